from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from agiwb.serving.rollout.comparison import Comparison, Difference, difference


def test_rows_with_another_top_class_disagree():
    a = np.array([[0.1, 0.9], [0.8, 0.2], [0.6, 0.4]], np.float32)
    b = np.array([[0.2, 0.8], [0.4, 0.6], [0.6, 0.4]], np.float32)
    found = difference({"y": a}, {"y": b})
    assert (found.rows, found.disagreeing, found.values) == (3, 1, 6)
    assert found.largest == pytest.approx(0.4)
    assert found.total == pytest.approx(0.2 + 0.8)


def test_single_numbers_are_compared_by_their_size():
    found = difference({"y": np.array([100.0, 1.0, 0.0])}, {"y": np.array([104.0, 2.0, 0.0])})
    assert (found.rows, found.disagreeing, found.largest) == (3, 1, 4.0)
    assert found.relative == pytest.approx(4 / 104 + 0.5)


def test_one_probability_of_two_classes_is_a_class():
    a, b = np.array([[0.01], [0.4]]), np.array([[0.02], [0.6]])
    assert difference({"y": a}, {"y": b}, ("no", "yes")).disagreeing == 1
    assert difference({"y": a}, {"y": b}).disagreeing == 2


def test_texts_and_integers_agree_if_they_are_equal():
    a = {"text": np.array(["a", "b"], object), "n": np.array([1, 2])}
    b = {"text": np.array(["a", "c"], object), "n": np.array([1, 2])}
    assert difference(a, b) == Difference(rows=2, disagreeing=1)


@pytest.mark.parametrize(
    "other", [{}, {"y": np.zeros((2, 3))}, {"y": np.zeros((1, 2))}, {"z": np.zeros((2, 2))}]
)
def test_an_answer_of_another_form_disagrees_in_every_row(other):
    assert difference({"y": np.zeros((2, 2))}, other).disagreeing == 2


def test_what_is_not_finite_is_a_disagreement_and_in_no_mean():
    a = np.array([[0.1, 0.9], [0.1, 0.9]])
    b = np.array([[np.nan, 0.9], [0.1, 0.9]])
    found = difference({"y": a}, {"y": b})
    assert (found.disagreeing, found.values, found.largest) == (1, 3, 0.0)
    assert difference({"y": b}, {"y": b}).disagreeing == 0
    both = np.array([np.nan, np.inf])
    assert difference({"y": both}, {"y": both}).disagreeing == 0


def test_no_rows_differ_in_nothing():
    assert difference({"y": np.zeros((0, 2))}, {"y": np.zeros((0, 2))}) == Difference(0, 0)


def test_the_latency_ratio_has_the_paired_t_interval():
    random = np.random.default_rng(0)
    champion = random.uniform(0.001, 0.003, 50)
    shadow = champion * random.lognormal(math.log(1.5), 0.3, 50)
    comparison = Comparison(2)
    for a, b in zip(champion, shadow, strict=True):
        comparison.add(Difference(1, 0), a, b)
    logs = np.log(shadow / champion)
    described = comparison.describe()
    assert described["latency_ratio"] == pytest.approx(np.exp(logs.mean()))
    expected = stats.t.interval(0.95, 49, logs.mean(), stats.sem(logs))
    assert described["latency_ratio_interval"] == pytest.approx(np.exp(expected), rel=1e-4)


def test_the_description_is_json_before_and_after_the_first_request():
    comparison = Comparison(2, window=2)
    assert json.loads(json.dumps(comparison.describe()))["disagreement"] is None
    comparison.add(Difference(4, 1, 0.5, 1.0, 0.1, 4), 0.001, 0.002)
    comparison.add_failure(4, ValueError("no"))
    described = json.loads(json.dumps(comparison.describe()))
    assert described["rows_compared"] == 8
    assert described["disagreement"] == 5 / 8
    assert described["mean_absolute_difference"] == 0.25
    assert described["last_failure"] == "ValueError: no"
    comparison.add(Difference(1, 0), 0.001, 0.001)
    assert comparison.recent() == (5, 4)  # of the newest two
