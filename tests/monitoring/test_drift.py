"""Drift is found where it is, and windows without drift alarm as rarely as promised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp

from agiwb.monitoring.drift import (
    calibrate_effect,
    compare_features,
    compare_output,
    feature_names,
    ks_distance,
)
from agiwb.monitoring.quality import check_quality

FEATURES, CLASSES = 64, 10
RATE = 0.05
EACH = RATE / 4
"""What each of the four questions may take of the rate, as the monitor step divides it."""


def draw(rng, rows):
    """64 features that depend on each other, some skewed, some whole numbers, two constant."""
    hidden = rng.normal(size=(rows, 8))
    features = hidden @ np.random.default_rng(5).normal(size=(8, FEATURES))
    features += rng.normal(size=(rows, FEATURES))
    features[:, 10:20] = np.exp(features[:, 10:20] / 3)
    features[:, 20:30] = np.clip(np.round(features[:, 20:30]), 0, None)
    features[:, :2] = 0
    return features.astype(np.float32)


def answer(rng, rows):
    return rng.dirichlet(np.linspace(0.2, 1, CLASSES), rows).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [200, 1000])
def test_windows_without_drift_rarely_alarm(rows):
    rng = np.random.default_rng(rows)
    reference, known = draw(rng, 1500), answer(rng, 400)
    threshold = calibrate_effect(reference, rows, EACH)
    names = feature_names((FEATURES,))
    alarms = 0
    for _ in range(100):
        window, answers = draw(rng, rows), answer(rng, rows)
        output = compare_output(known, answers, EACH)
        assert output is not None
        alarms += bool(
            compare_features(reference, window, threshold, EACH).drifted.any()
            or output.score_drifted
            or output.classes_drifted
            or check_quality(reference, window, names, EACH)
        )
    assert alarms <= 7


def test_a_real_shift_is_always_found():
    rng = np.random.default_rng(11)
    reference = rng.normal(size=(1500, FEATURES)).astype(np.float32)
    threshold = calibrate_effect(reference, 1000, EACH)
    shifted = np.arange(FEATURES) % 3 == 0
    for _ in range(20):
        window = rng.normal(size=(1000, FEATURES)) + 0.3 * shifted
        found = compare_features(reference, window.astype(np.float32), threshold, EACH)
        assert found.drifted[shifted].sum() >= 0.8 * shifted.sum()
        assert found.drifted[~shifted].sum() <= 2


def test_effect_and_p_value_are_scipys():
    rng = np.random.default_rng(2)
    reference, window = draw(rng, 700), draw(rng, 300) + np.float32(0.2)
    found = compare_features(reference, window, 0.0, RATE)
    for index in (0, 5, 12, 25):
        expected = ks_2samp(reference[:, index], window[:, index], method="asymp")
        assert found.effect[index] == pytest.approx(expected.statistic, abs=1e-12)
        # The correction only ever raises a p-value.
        assert found.p_value[index] >= expected.pvalue * (1 - 1e-9)
    single = compare_features(reference[:, 5:6], window[:, 5:6], 0.0, RATE)
    expected = ks_2samp(reference[:, 5], window[:, 5], method="asymp")
    assert single.p_value[0] == pytest.approx(expected.pvalue, rel=1e-6)


def test_binned_distances_are_the_textbooks():
    rng = np.random.default_rng(4)
    reference = rng.normal(size=(50_000, 1)).astype(np.float32)
    window = rng.normal(0.5, 1, size=(40_000, 1)).astype(np.float32)
    found = compare_features(reference, window, 0.0, RATE)
    edges = np.quantile(reference, np.linspace(0, 1, 11))
    edges[[0, -1]] = -np.inf, np.inf
    p, q = (np.histogram(values, edges)[0] / len(values) for values in (reference, window))
    assert found.psi[0] == pytest.approx(((q - p) * np.log(q / p)).sum(), rel=1e-3)
    assert found.divergence[0] == pytest.approx(jensenshannon(p, q, base=2), rel=1e-3)


def test_calibration_is_smaller_for_larger_windows_and_repeatable():
    reference = draw(np.random.default_rng(6), 900)
    small, large = (calibrate_effect(reference, rows, EACH) for rows in (50, 2000))
    assert 0 < large < small < 1
    assert calibrate_effect(reference, 50, EACH) == small


@pytest.mark.parametrize("rows", [1, 2, 40])
def test_empty_constant_and_broken_features_are_compared_without_a_crash(rows):
    rng = np.random.default_rng(9)
    reference = draw(rng, 100)
    window = draw(rng, rows)
    window[:, 5] = np.nan
    window[:, 6] = np.inf
    window[:, 7] = 3.25
    window[0, 8] = np.nan
    found = compare_features(reference, window, calibrate_effect(reference, rows, EACH), EACH)
    assert not found.drifted[[0, 1, 5, 6]].any()
    assert np.isfinite(found.p_value).all()
    assert np.isfinite(found.psi).all()
    assert np.isfinite(found.divergence).all()
    assert found.effect[5] == 0
    assert found.drifted[7] == (rows == 40)


def test_a_feature_that_was_constant_and_moves_is_drift():
    reference = np.zeros((200, 3), np.float32)
    window = np.zeros((50, 3), np.float32)
    window[:, 1] = 1
    threshold = calibrate_effect(reference, 50, EACH)
    assert threshold == 0
    assert compare_features(reference, window, threshold, EACH).drifted.tolist() == [False, 1, 0]


def test_a_class_the_reference_never_had_is_drift_of_the_answers():
    rng = np.random.default_rng(3)
    known, answers = answer(rng, 300), answer(rng, 200)
    known[:, 4], answers[:80] = 0, np.eye(CLASSES, dtype=np.float32)[4]
    output = compare_output(known, answers, EACH)
    assert output is not None
    assert output.classes_drifted
    assert output.reference_shares[4] == 0
    assert output.window_shares[4] >= 0.4
    assert output.classes_effect >= 0.39


def test_a_model_that_is_less_sure_is_found():
    rng = np.random.default_rng(8)
    known, answers = answer(rng, 300), answer(rng, 200) * 0.7 + np.float32(0.03)
    output = compare_output(known, answers, EACH)
    assert output is not None
    assert output.score_drifted
    assert output.window_score < output.reference_score


def test_answers_that_are_all_nan_are_not_compared():
    known = answer(np.random.default_rng(0), 100)
    assert compare_output(known, np.full((40, CLASSES), np.nan, np.float32), EACH) is None
    output = compare_output(known, known[:1], EACH)
    assert output is not None
    assert not output.score_drifted


def test_distance_is_between_zero_and_one():
    apart = ks_distance(np.arange(3, dtype=np.float32), np.arange(5, 9, dtype=np.float32))
    assert apart == 1
    assert ks_distance(np.zeros(3, np.float32), np.zeros(1, np.float32)) == 0


def test_features_are_named_after_their_place():
    assert feature_names((2,)) == ("feature[0]", "feature[1]")
    assert feature_names((2, 2))[2] == "pixel[1,0]"
    assert feature_names((1, 1, 2)) == ("pixel[0,0,0]", "pixel[0,0,1]")
