"""Macro averages agree with scikit-learn's, undefined shares included."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.evaluation.confusion import macro_scores


@pytest.mark.parametrize("seed", range(5))
def test_macro_scores_are_those_of_scikit_learn(seed):
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 6, 80)
    predicted = np.where(rng.random(80) < 0.6, labels, rng.integers(0, 6, 80))
    labels[labels == 2] = 3  # a class that is only predicted
    predicted[predicted == 4] = 5  # a class that is never predicted
    labels[labels == 0] = predicted[predicted == 0] = 1  # a class that does not occur
    matrix = confusion_matrix(labels, predicted, labels=range(6))

    *expected, _ = precision_recall_fscore_support(
        labels, predicted, average="macro", zero_division=0
    )
    assert macro_scores(matrix) == pytest.approx(tuple(expected), abs=1e-12)
