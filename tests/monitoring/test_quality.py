"""What is broken is found; what chance brings is not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from agiwb.monitoring.quality import _chance_of_extremes, check_answers, check_quality

RATE = 0.0125


@pytest.fixture
def reference():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(500, 4)).astype(np.float32)
    values[:, 3] = 7
    return values


@pytest.fixture
def window():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(100, 4)).astype(np.float32)
    values[:, 3] = 7
    return values


def kinds(reference, window):
    found = check_quality(reference, window, ("a", "b", "c", "d"), RATE)
    return {(finding.feature, finding.kind): finding for finding in found}


def test_a_sound_window_has_no_finding(reference, window):
    window[0, 0] = 9  # a single new extreme is no news
    assert kinds(reference, window) == {}


def test_nan_and_infinity_are_found_even_once(reference, window):
    window[3, 1] = np.nan
    window[4:6, 2] = -np.inf
    found = kinds(reference, window)
    assert set(found) == {("b", "not a number"), ("c", "not a number")}
    assert found["c", "not a number"].share == 0.02
    assert found["b", "not a number"].sentence == "b is NaN or infinite in 1.0% of the rows."


def test_values_beyond_what_training_had_are_found(reference, window):
    window[:10, 0] = 50
    window[:7, 1] = -40
    found = kinds(reference, window)
    assert set(found) == {("a", "above range"), ("b", "below range")}
    assert found["a", "above range"].share == 0.1
    assert "as high as 50" in found["a", "above range"].sentence


def test_a_sensor_that_hangs_is_found_and_one_that_always_did_is_not(reference, window):
    window[:, 2] = reference[0, 2]
    assert set(kinds(reference, window)) == {("c", "constant")}


def test_answers_that_are_no_numbers_are_found():
    answers = np.full((50, 3), 0.3, np.float32)
    assert check_answers(answers) == ()
    answers[:5, 1] = np.inf
    (found,) = check_answers(answers)
    assert found.sentence == "The model answered with NaN or infinity in 10.0% of the rows."


def test_shares_are_of_all_the_rows(reference, window):
    window[:50] = np.nan
    window[50:60, 0] = 50
    window[50:60, 1] = -50
    window[50:, 2] = 5
    found = kinds(reference, window)
    assert found["a", "above range"].share == 0.1
    assert "in 10.0% of the rows" in found["a", "above range"].sentence
    assert found["b", "below range"].share == 0.1
    assert "in 10.0% of the rows" in found["b", "below range"].sentence
    assert found["c", "constant"].share == 0.5
    assert found["c", "constant"].sentence.startswith("c is 5 in every finite row;")


def test_a_window_of_nothing_but_nan(reference, window):
    found = kinds(reference, np.full_like(window, np.nan))
    assert {kind for _, kind in found} == {"not a number"}


def test_chance_of_extremes_is_that_of_all_orders():
    served, known, count = 3, 4, 2
    orders = list(itertools.combinations(range(served + known), served))
    top = [order for order in orders if order[-count:] == (5, 6)]
    assert _chance_of_extremes(count, served, known) == pytest.approx(len(top) / len(orders))
