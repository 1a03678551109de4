"""How sure the test score is: the 95 % interval of a task's main metric."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Split
from agiwb.statistics import Interval, bootstrap_interval, wilson_interval


def labels_of(split: Split) -> NDArray[Any]:
    """Return all labels of a split, also of one that stays on disk."""
    return np.concatenate([block.labels for block in split.blocks()])


def score_interval(metric: str, labels: NDArray[Any], outputs: NDArray[np.float32]) -> Interval:
    """Return the 95 % interval of a main metric on a test split.

    Args:
        metric: ``accuracy``, ``auc`` or ``rmse``; see ``objectives.MAIN_METRIC``.
        labels: As in ``Split.labels``.
        outputs: The model's answers, ``(examples, outputs)``.
    """
    if metric == "accuracy":
        right = int((outputs.argmax(axis=1) == labels).sum())
        return wilson_interval(right, len(labels))
    if metric == "rmse":
        squared_errors = (outputs[:, 0].astype(np.float64) - labels) ** 2
        return bootstrap_interval(
            lambda rows: float(np.sqrt(squared_errors[rows].mean())), len(labels)
        )
    truths = labels.reshape(len(labels), -1)
    return bootstrap_interval(lambda rows: _mean_auc(truths[rows], outputs[rows]), len(labels))


def _mean_auc(truths: NDArray[Any], scores: NDArray[np.float32]) -> float:
    """Return the area under the ROC curve, averaged over the labels that occur both ways."""
    from sklearn.metrics import roc_auc_score

    areas = [
        roc_auc_score(truth, score)
        for truth, score in zip(truths.T, scores.T, strict=True)
        if truth.min() != truth.max()
    ]
    return float(np.mean(areas)) if areas else float("nan")
