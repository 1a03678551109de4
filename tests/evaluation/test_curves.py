"""Curves of stored counts are what the scores themselves give."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.evaluation.curves import CalibrationBins, Matrices


def matrices_of(scores, labels, thresholds):
    """Count as TFMA does: a class is named where its score is above the threshold."""
    named = scores[None, :] > np.asarray(thresholds)[:, None]
    truth = labels[None, :].astype(bool)
    pairs = (named & truth, named & ~truth, ~named & ~truth, ~named & truth)
    return Matrices(np.asarray(thresholds), *(pair.sum(axis=1).astype(float) for pair in pairs))


@pytest.fixture
def scored():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 400)
    return np.clip(np.round(0.3 * labels + rng.random(400) * 0.7, 2), 0, 1), labels


def test_areas_are_scikit_learns(scored):
    from sklearn.metrics import average_precision_score, roc_auc_score

    scores, labels = scored
    found = matrices_of(scores, labels, [-1e-6, *np.linspace(0, 1, 101)])
    assert found.auc == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert found.average_precision == pytest.approx(
        average_precision_score(labels, scores), abs=1e-12
    )


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.57, 1.0])
def test_a_threshold_gives_the_counts_of_the_scores(scored, threshold):
    scores, labels = scored
    found = matrices_of(scores, labels, [-1e-6, *(i / 100 for i in range(101))]).at(threshold)
    named, truth = scores > threshold, labels == 1
    assert found.threshold == pytest.approx(threshold)
    assert found.true_positives == (named & truth).sum()
    assert found.false_positives == (named & ~truth).sum()
    assert found.recall == pytest.approx((named & truth).sum() / truth.sum())
    if named.any():
        assert found.precision == pytest.approx((named & truth).sum() / named.sum())
    else:
        assert found.precision is None


def test_one_class_only_has_no_roc_and_empty_counts_no_figure():
    found = matrices_of(np.array([0.2, 0.8]), np.array([1, 1]), [-1e-6, 0.0, 0.5, 1.0])
    assert found.auc is None
    assert found.average_precision == pytest.approx(1.0)
    assert found.at(0.5).false_positive_rate is None
    empty = matrices_of(np.zeros(0), np.zeros(0), [-1e-6, 0.5])
    assert (empty.auc, empty.average_precision, empty.at(0.5).f1) == (None, None, None)


def test_the_calibration_error_is_the_mean_distance_by_examples():
    bins = CalibrationBins(
        lower=np.array([0.0, 0.5]), upper=np.array([0.5, 1.0]),
        examples=np.array([10.0, 30.0]), labels=np.array([1.0, 27.0]),
        predictions=np.array([4.0, 24.0]),
    )  # fmt: skip
    assert bins.expected_calibration_error == pytest.approx((10 * 0.3 + 30 * 0.1) / 40)
    assert bins.overconfidence == pytest.approx((28 - 28) / 40)
    none = CalibrationBins(*(np.zeros(2) for _ in range(5)))
    assert none.expected_calibration_error is None
