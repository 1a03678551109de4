"""Permutation importance: how much worse a model gets when it cannot rely on a column.

Breiman, "Random Forests" (2001), section 10; for any model Fisher, Rudin and Dominici (2019). The
values of one column are shuffled among the examples, which breaks what it tells and keeps how it
is distributed. Columns that stand in for each other each look unimportant.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.source import Progress, say_nothing
from agiwb.explanation.answers import AnswerFunction
from agiwb.explanation.columns import Columns
from agiwb.metrics.task_score import score
from agiwb.training.objectives import LOWER_IS_BETTER


def permutation_drops(
    answer: AnswerFunction,
    columns: Columns,
    features: NDArray[Any],
    labels: NDArray[Any],
    metric: str,
    groups: NDArray[np.bool_],
    *,
    repeats: int = 10,
    seed: int = 0,
    report: Progress = say_nothing,
) -> NDArray[np.float64]:
    """Return how much worse the metric is without each column: ``(repeats, groups, columns)``.

    A positive number is a loss of quality, whichever way the metric points. Each repeat shuffles
    anew among all examples, and scores the same examples with and without, drawn with replacement:
    what varies between repeats is the shuffle and the sample.

    Args:
        answer: The model.
        columns: Of the features.
        features: As the model takes them, ``(examples, ...)``.
        labels: As in ``Split.labels``.
        metric: ``accuracy``, ``auc`` or ``rmse``.
        groups: Masks of the examples to score by themselves, ``(groups, examples)``.
        repeats: How often each column is shuffled.
        seed: Equal seeds give equal shuffles.
        report: Told of a phase, how much of it is done, and how much there is.
    """
    draw = np.random.default_rng(seed)
    matrix, names = columns.matrix(features), columns.names
    sign = -1 if metric in LOWER_IS_BETTER else 1
    usual = answer(features)
    drops = np.empty((repeats, len(groups), len(names)))
    for repeat in range(repeats):
        order = draw.permutation(len(matrix))
        sample = draw.integers(len(matrix), size=len(matrix))
        rows = [sample[group[sample]] for group in groups]
        before = [score(metric, labels[own], usual[own]) for own in rows]
        for index in range(len(names)):
            shuffled = matrix.copy()
            shuffled[:, index] = matrix[order, index]
            without = answer(columns.features(shuffled))
            after = [score(metric, labels[own], without[own]) for own in rows]
            drops[repeat, :, index] = sign * (np.array(before) - after)
            report("shuffling columns", repeat * len(names) + index + 1, repeats * len(names))
    return drops
