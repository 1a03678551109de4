"""How sure the test score is: the 95 % interval of a task's main metric."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.metrics.task_score import mean_auc
from agiwb.statistics import Interval, bootstrap_interval, wilson_interval

_MOST_EXAMPLES = 20_000


def score_interval(metric: str, labels: NDArray[Any], outputs: NDArray[np.float32]) -> Interval:
    """Return the 95 % interval of a main metric on a test split.

    Args:
        metric: ``accuracy``, ``auc`` or ``rmse``; see ``score`` in agiwb.metrics.task_score.
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
    return _auc_interval(labels.reshape(len(labels), -1), outputs)


def _auc_interval(truths: NDArray[Any], outputs: NDArray[np.float32]) -> Interval:
    """Return the bootstrap interval of the area under the ROC curve.

    Of more examples than can be drawn from hundreds of times in a few seconds, some are drawn from;
    the interval is as much narrower as their number is smaller, by the square root.
    """
    count = len(truths)
    rows = np.random.default_rng(0).permutation(count)[:_MOST_EXAMPLES]
    few_truths, few_outputs = truths[rows], outputs[rows]
    interval = bootstrap_interval(
        lambda drawn: mean_auc(few_truths[drawn], few_outputs[drawn]), len(rows)
    )
    if len(rows) == count:
        return interval
    whole, few, narrower = (
        mean_auc(truths, outputs), mean_auc(few_truths, few_outputs), (len(rows) / count) ** 0.5
    )  # fmt: skip
    return Interval(*(whole + narrower * (end - few) for end in interval))
