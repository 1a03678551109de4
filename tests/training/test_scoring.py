from __future__ import annotations

import numpy as np
import pytest

from agiwb.statistics import wilson_interval
from agiwb.training.scoring import score_interval

RNG = np.random.default_rng(0)


def test_accuracy_has_wilsons_interval() -> None:
    labels = np.array([0, 1, 1, 0])
    answers = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]], np.float32)
    assert score_interval("accuracy", labels, answers) == wilson_interval(3, 4)


def test_the_interval_of_an_error_holds_what_theory_says() -> None:
    labels = np.zeros(2000, np.float32)
    answers = RNG.normal(scale=3, size=(2000, 1)).astype(np.float32)
    low, high = score_interval("rmse", labels, answers)
    assert low < 3 < high
    # The standard error of a normal sample's deviation is sigma / sqrt(2 n).
    assert high - low == pytest.approx(2 * 1.96 * 3 / np.sqrt(4000), rel=0.25)


def test_the_interval_of_auc_holds_the_score_and_ignores_labels_that_never_occur() -> None:
    from sklearn.metrics import roc_auc_score

    truths = (RNG.random((400, 3)) > 0.5).astype(np.float32)
    truths[:, 2] = 0
    answers = (truths + RNG.normal(size=truths.shape)).astype(np.float32)
    low, high = score_interval("auc", truths, answers)
    assert low < roc_auc_score(truths[:, :2], answers[:, :2]) < high
    assert high - low < 0.1
