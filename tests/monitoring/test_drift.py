"""Drift is found where it is, and windows without drift alarm as rarely as promised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from agiwb.monitoring.calibration import calibrate, dependent_rows
from agiwb.monitoring.drift import compare_features, compare_groups, feature_names
from agiwb.monitoring.output import compare_output
from agiwb.monitoring.quality import check_quality
from agiwb.monitoring.sketches import NumericBins, NumericSketch

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


def sketched(reference, window):
    known = NumericSketch.of(NumericBins.from_reference(reference), reference)
    return known, NumericSketch.of(known.bins, window)


def compare(reference, window, calibration=None, rate=EACH):
    calibration = calibration or calibrate(reference, len(window))
    return compare_features(*sketched(reference, window), calibration, rate)


def answer(rng, rows):
    return rng.dirichlet(np.linspace(0.2, 1, CLASSES), rows).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [200, 1000])
def test_windows_without_drift_rarely_alarm(rows):
    rng = np.random.default_rng(rows)
    reference, known = draw(rng, 1500), answer(rng, 400)
    calibration = calibrate(reference, rows)
    names = feature_names((FEATURES,))
    alarms = 0
    for _ in range(100):
        window, answers = draw(rng, rows), answer(rng, rows)
        output = compare_output(known, answers, EACH)
        assert output is not None
        alarms += bool(
            compare(reference, window, calibration).drifted.any()
            or output.score_drifted
            or output.classes_drifted
            or check_quality(reference, window, names, EACH)
        )
    assert alarms <= 7


def test_a_real_shift_is_always_found():
    rng = np.random.default_rng(11)
    reference = rng.normal(size=(1500, FEATURES)).astype(np.float32)
    calibration = calibrate(reference, 1000)
    shifted = np.arange(FEATURES) % 3 == 0
    for _ in range(20):
        window = rng.normal(size=(1000, FEATURES)) + 0.3 * shifted
        found = compare(reference, window.astype(np.float32), calibration)
        assert found.drifted[shifted].sum() >= 0.8 * shifted.sum()
        assert found.drifted[~shifted].sum() <= 2


def test_effect_and_p_value_are_scipys():
    rng = np.random.default_rng(2)
    reference, window = draw(rng, 700), draw(rng, 300) + np.float32(0.2)
    found = compare(reference, window)
    for index in (0, 5, 12, 25):
        expected = ks_2samp(reference[:, index], window[:, index], method="asymp")
        assert found.effect[index] == pytest.approx(expected.statistic, abs=1 / 253)
        # The correction only ever raises a p-value, and distances over bins are smaller.
        assert found.p_value[index] >= expected.pvalue * 0.9
    few = np.round(reference[:, 20:21]), np.round(window[:, 20:21])  # each value has its own bin
    single, expected = compare(*few), ks_2samp(*(x[:, 0] for x in few), method="asymp")
    assert single.effect[0] == pytest.approx(expected.statistic, abs=1e-12)
    assert single.p_value[0] == pytest.approx(expected.pvalue, rel=0.2)


def test_calibration_is_smaller_for_larger_windows_and_repeatable():
    reference = draw(np.random.default_rng(6), 900)
    small, large = (calibrate(reference, rows).threshold(rows, EACH) for rows in (50, 2000))
    assert 0 < large < small < 1
    assert calibrate(reference, 50).threshold(50, EACH) == small
    assert calibrate(reference, 50).threshold(50, EACH / 100) > small


@pytest.mark.parametrize("rows", [1, 2, 40])
def test_empty_constant_and_broken_features_are_compared_without_a_crash(rows):
    rng = np.random.default_rng(9)
    reference = draw(rng, 100)
    window = draw(rng, rows)
    window[:, 5] = np.nan
    window[:, 6] = np.inf
    window[:, 7] = 3.25
    window[0, 8] = np.nan
    found = compare(reference, window)
    assert not found.drifted[[0, 1, 5, 6]].any()
    assert np.isfinite(found.p_value).all()
    assert all(np.isfinite(values).all() for values in vars(found.distances).values())
    assert found.effect[5] == 0
    assert found.drifted[7] == (rows == 40)


def test_a_feature_that_was_constant_and_moves_is_drift():
    reference = np.zeros((200, 3), np.float32)
    window = np.zeros((50, 3), np.float32)
    window[:, 1] = 1
    calibration = calibrate(reference, 50)
    assert calibration.threshold(50, EACH) == 0
    assert compare(reference, window, calibration).drifted.tolist() == [False, 1, 0]
    assert compare(reference, -window, calibration).drifted.tolist() == [False, 1, 0]


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


def test_rows_that_resemble_their_neighbours_widen_what_counts_as_chance():
    rng = np.random.default_rng(12)
    noise = rng.normal(size=(9000, 4))
    waves = np.zeros_like(noise)
    for row in range(1, len(noise)):
        waves[row] = 0.9 * waves[row - 1] + noise[row]
    shuffled = rng.permutation(waves)
    assert dependent_rows(shuffled) == 1
    assert dependent_rows(waves) > 10
    reference, later = np.split(waves, [6000])
    windows = np.split(later, 10)
    calibration, unaware = calibrate(reference, 300), calibrate(reference, 300, block_rows=1)
    assert calibration.dispersion.min() > 2 > unaware.dispersion.max()
    careful, careless = (
        sum(compare(reference, window, made).drifted.any() for window in windows)
        for made in (calibration, unaware)
    )
    assert careful <= 1
    assert careless >= 5


def test_many_groups_share_one_rate():
    rng = np.random.default_rng(14)
    reference = rng.normal(size=(3000, 8))
    known = NumericSketch.of(NumericBins.from_reference(reference), reference)
    calibration = calibrate(reference, 300)
    alarms = 0
    for _ in range(20):
        quiet = [NumericSketch.of(known.bins, rng.normal(size=(300, 8))) for _ in range(10)]
        groups = compare_groups(known, quiet, calibration, 0.05)
        alarms += any(group.drifted.any() for group in groups)
    assert alarms <= 4
    moved = NumericSketch.of(known.bins, rng.normal(0.6, 1, size=(300, 8)))
    found = compare_groups(known, [*quiet, moved], calibration, 0.05)
    assert found[-1].drifted.all()
    assert compare_groups(known, [], calibration, 0.05) == ()


def test_features_are_named_after_their_place():
    assert feature_names((2,)) == ("feature[0]", "feature[1]")
    assert feature_names((2, 2))[2] == "pixel[1,0]"
    assert feature_names((1, 1, 2)) == ("pixel[0,0,0]", "pixel[0,0,1]")
