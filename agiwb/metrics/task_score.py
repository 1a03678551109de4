"""A task's main metric: accuracy, area under the ROC curve, or root mean squared error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def score(metric: str, labels: NDArray[Any], outputs: NDArray[np.floating]) -> float:
    """Return a main metric; NaN where the examples give none.

    Args:
        metric: ``accuracy``, ``auc`` (averaged over the labels that occur both ways) or ``rmse``;
            see ``agiwb.datasets.main_metric.MAIN_METRIC``.
        labels: As in ``Split.labels``.
        outputs: The model's answers, ``(examples, outputs)``.
    """
    if not len(labels):
        return float("nan")
    if metric == "accuracy":
        return float((outputs.argmax(axis=1) == labels).mean())
    if metric == "rmse":
        return float(np.sqrt(((outputs[:, 0].astype(np.float64) - labels) ** 2).mean()))
    return mean_auc(labels.reshape(len(labels), -1), outputs)


def mean_auc(truths: NDArray[Any], scores: NDArray[np.floating]) -> float:
    """Return the area under the ROC curve, averaged over the labels that occur both ways.

    Args:
        truths: 0 or 1, ``(examples, labels)``.
        scores: ``(examples, labels)``, the higher the likelier.
    """
    from sklearn.metrics import roc_auc_score

    areas = [
        roc_auc_score(truth, score)
        for truth, score in zip(truths.T, scores.T, strict=True)
        if truth.min() != truth.max()
    ]
    return float(np.mean(areas)) if areas else float("nan")
