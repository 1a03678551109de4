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

    Classes: the answers and the labels are independent by the chi-squared test at the 1 % level.
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
    """Return whether answers and labels depend on each other (chi-squared test)."""
    from scipy.stats import chi2_contingency

    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (labels, answers), 1)
    table = table[table.any(axis=1)][:, table.any(axis=0)]
    if min(table.shape) < 2:
        # All labels or all answers are one class. If both are the same, nothing is wrong.
        return bool((labels == answers).all())
    return bool(chi2_contingency(table).pvalue < _SIGNIFICANT)


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
