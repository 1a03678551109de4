"""No better than chance: the answers have nothing to do with the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.training.diagnosis.finding import Evidence, Finding
from agiwb.training.diagnosis.observed import Baseline
from agiwb.training.scoring import score_interval

_SIGNIFICANT = 0.01
_SHUFFLES = 400
_HIGH_RATE = 0.01  # above it, only a lower one is worth a try
_SHOWN_CLASSES = 12


def no_better_than_chance(
    baseline: Baseline,
    labels: NDArray[Any],
    outputs: NDArray[np.float32],
    classes: Sequence[str],
    learning_rate: float,
) -> Finding | None:
    """Return a finding if the answers on held-out examples tell nothing about their labels.

    Classes: the answers and the labels are independent by a permutation test at the 1 % level, if
    there are examples enough for answers that are all right to pass it.
    Otherwise: the 95 % interval of the main metric reaches the baseline's score.

    Args:
        baseline: What the best constant answer scores.
        labels: As in ``Split.labels``.
        outputs: The model's answers, ``(examples, outputs)``.
        classes: Names of the classes; empty for regression and ranking.
        learning_rate: The one that was used.
    """
    if len(labels) == 0 or (baseline.metric == "rmse" and baseline.score == 0):
        return None
    higher = f" or {10 * learning_rate:g}" if learning_rate <= _HIGH_RATE else ""
    advice = (
        f"Try another `learning_rate` ({learning_rate / 10:g}{higher}; "
        "`agiwb range_test` looks for a good one), and check that features and labels of a row "
        "belong together."
    )
    if baseline.metric == "accuracy":
        answers = outputs.argmax(axis=1)
        if _related(labels, answers, len(classes)):
            return None
        return Finding(
            rule="no_better_than_chance",
            severity="problem",
            what=_words(labels, answers, classes),
            evidence=_answers_given(answers, classes),
            advice=advice,
        )
    interval = score_interval(baseline.metric, labels, outputs)
    if baseline.metric == "rmse":
        better = interval.high < baseline.score
    else:
        better = interval.low > baseline.score
    if better:
        return None
    return Finding(
        rule="no_better_than_chance",
        severity="problem",
        what=f"On {len(labels)} validation examples the model is no better than a constant answer: "
        f"its {baseline.metric} lies between {interval.low:.4g} and {interval.high:.4g} (95 % "
        f"interval), and a constant answer has {baseline.score:.4g}.",
        evidence=Evidence(
            y_label=baseline.metric,
            bars={"interval, low end": interval.low, "interval, high end": interval.high},
            levels={"best constant answer": baseline.score},
        ),
        advice=advice,
    )


def _related(labels: NDArray[Any], answers: NDArray[Any], classes: int) -> bool:
    """Return whether answers and labels depend on each other, or nobody could tell.

    The chi-squared statistic is compared with its values where the labels are shuffled, which
    holds for few examples too.
    """
    if len(np.unique(answers)) < 2:
        # Always the same answer. If it is right, nothing is wrong.
        return bool((labels == answers).all())
    return (
        _p_value(labels, answers, classes) < _SIGNIFICANT
        or _p_value(labels, labels, classes) >= _SIGNIFICANT
    )


def _p_value(labels: NDArray[Any], answers: NDArray[Any], classes: int) -> float:
    """Return how often shuffled labels depend on the answers as much as the labels do."""
    table = _chi_squared(labels, answers, classes)
    draw = np.random.default_rng(0)
    shuffled = [_chi_squared(draw.permutation(labels), answers, classes) for _ in range(_SHUFFLES)]
    return float((1 + sum(value >= table - 1e-9 for value in shuffled)) / (1 + _SHUFFLES))


def _chi_squared(labels: NDArray[Any], answers: NDArray[Any], classes: int) -> float:
    """Return Pearson's statistic of independence for the table of labels and answers."""
    table = np.bincount(labels * classes + answers, minlength=classes**2).reshape(classes, classes)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / len(labels)
    known = expected > 0
    return float(((table - expected)[known] ** 2 / expected[known]).sum())


def _words(labels: NDArray[Any], answers: NDArray[Any], classes: Sequence[str]) -> str:
    right = float((labels == answers).mean())
    given = np.unique(answers)
    if len(given) == 1:
        return (
            f"The model always answers {classes[int(given[0])]!r}, which is right for {right:.1%} "
            f"of {len(labels)} validation examples: it has learned nothing from its input."
        )
    return (
        f"On {len(labels)} validation examples the answers have nothing to do with the labels: "
        f"{right:.1%} are right, as many as chance would have it."
    )


def _answers_given(answers: NDArray[Any], classes: Sequence[str]) -> Evidence:
    shares = np.bincount(answers, minlength=len(classes)) / len(answers)
    first = np.argsort(-shares, kind="stable")[:_SHOWN_CLASSES]
    return Evidence(
        x_label="class",
        y_label="share of the answers",
        bars={classes[index]: float(shares[index]) for index in first},
        levels={"equal shares": 1 / len(classes)},
    )
