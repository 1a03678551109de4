"""Whether an artifact does its task worse than the model, by more than chance.

Both answer the same examples, so that the test is paired: McNemar's where an answer is right or
wrong, else a bootstrap of the difference.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agiwb.metrics.task_score import score
from agiwb.statistics import bootstrap_interval, mcnemar_p_value

_SIGNIFICANT = 0.05


class ScoreChange(BaseModel):
    """The task's metric of an artifact and of its model on the same real examples.

    Attributes:
        metric: ``accuracy``, ``auc`` or ``rmse``.
        score: The artifact's.
        reference: The model's.
        loss: How much worse the artifact is: a difference of shares, or of errors as a fraction
            of the model's own. Negative if it is better.
        p_value: McNemar's, of erring alike; for accuracy.
        loss_interval: 95 % interval of ``loss`` by paired bootstrap; for the other metrics.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    metric: str
    score: float
    reference: float
    loss: float
    p_value: float | None = None
    loss_interval: tuple[float, float] | None = None

    @property
    def is_certain(self) -> bool:
        """Whether the artifact is worse by more than chance explains (at 5 %)."""
        if self.p_value is not None:
            return self.loss > 0 and self.p_value < _SIGNIFICANT
        return self.loss_interval is not None and self.loss_interval[0] > 0


def change_of_score(
    metric: str, labels: NDArray[Any], found: NDArray[Any], expected: NDArray[Any]
) -> ScoreChange:
    """Return how the metric changes from the model's answers to the artifact's.

    Args:
        metric: ``accuracy``, ``auc`` or ``rmse``.
        labels: As in ``Split.labels``.
        found: The artifact's answers, ``(examples, outputs)``.
        expected: The model's.
    """
    ours, theirs = score(metric, labels, found), score(metric, labels, expected)
    if metric == "accuracy":
        right = found.argmax(axis=1) == labels
        model_right = expected.argmax(axis=1) == labels
        p_value = mcnemar_p_value(int((model_right & ~right).sum()),
                                  int((right & ~model_right).sum()))  # fmt: skip
        return ScoreChange(
            metric=metric, score=ours, reference=theirs, loss=theirs - ours, p_value=p_value
        )

    def loss(rows: NDArray[np.intp]) -> float:
        return _loss(
            metric,
            score(metric, labels[rows], found[rows]),
            score(metric, labels[rows], expected[rows]),
        )

    low, high = bootstrap_interval(loss, len(labels))
    return ScoreChange(
        metric=metric,
        score=ours,
        reference=theirs,
        loss=_loss(metric, ours, theirs),
        loss_interval=(low, high),
    )


def _loss(metric: str, ours: float, theirs: float) -> float:
    if metric != "rmse":
        return theirs - ours
    return (ours - theirs) / theirs if theirs else (0.0 if ours == theirs else float("inf"))
