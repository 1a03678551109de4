"""What labels tell: how many are needed, which rows to label first, and what they then show.

Without labels, a change of what the right answers *are* (concept drift) cannot be seen at all. So
a report without labels says how many would show it, and which.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agiwb.monitoring.chance import chance
from agiwb.statistics import Interval, wilson_interval

_LEVEL = 0.05
_POWER = 0.8
FEWEST_LABELS = 30
"""Labels below which no accuracy is stated."""


def labels_needed(accuracy: float, drop: float = 0.02) -> int:
    """Return how many labels show that ``accuracy`` fell by ``drop`` in four cases of five.

    They are taken of rows drawn at random; the test is one-sided at 5 % (Fleiss, Levin and Paik
    2003, section 2.5.2).
    """
    from scipy.stats import norm

    before = min(max(accuracy, 1e-3), 1 - 1e-3)
    after = max(before - drop, 1e-3)
    if before <= after:
        return FEWEST_LABELS
    spreads = (math.sqrt(share * (1 - share)) for share in (before, after))
    quantiles = (float(norm.isf(_LEVEL)), float(norm.isf(1 - _POWER)))
    total = sum(spread * quantile for spread, quantile in zip(spreads, quantiles, strict=True))
    return max(FEWEST_LABELS, math.ceil((total / (before - after)) ** 2))


def rows_to_label(
    expected: NDArray[np.float64], count: int, seed: int = 0
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the rows whose labels say most about the accuracy, the most telling first.

    Rows are drawn with chances in proportion to the standard deviation of being right (Neyman
    1934): mostly those about which the model is unsure, though each has a chance, so what
    ``accuracy_of_sample`` makes of them is unbiased.

    Args:
        expected: Probability that each answer is right, shape ``(rows,)``.
        count: How many rows can be labelled.
        seed: Equal seeds give equal rows.

    Returns:
        Places of at most ``count`` rows, and the number of rows that each stands for.
    """
    rows = len(expected)
    count = min(count, rows)
    if count <= 0:
        return np.zeros(0, np.intp), np.zeros(0)
    telling = np.sqrt(np.clip(expected * (1 - expected), 0.01, None))
    chance = _inclusion(telling, count)
    # Systematic sampling over a random order: exactly these chances, and exactly `count` rows.
    rng = np.random.default_rng(seed)
    order = rng.permutation(rows)
    passed = np.floor(np.cumsum(chance[order]) + rng.random() + 1e-9)
    drawn = order[np.diff(passed, prepend=np.floor(0.0)) > 0][:count]
    drawn = drawn[np.argsort(-telling[drawn], kind="stable")]
    return drawn, 1 / chance[drawn]


def accuracy_of_sample(
    expected: NDArray[np.float64],
    weights: NDArray[np.float64],
    rows: NDArray[np.intp],
    right: NDArray[np.bool_],
) -> float:
    """Return the accuracy over all rows from the labels of those that ``rows_to_label`` chose.

    It is the expected accuracy, put right by how far the labels are from it (the difference
    estimator: Saerndal, Swensson and Wretman 1992, section 6.3).

    Args:
        expected: Probability that each answer is right, shape ``(rows,)``.
        weights: What ``rows_to_label`` gave with the rows, shape ``(labels,)``.
        rows: The rows with a label.
        right: Whether each of them was answered right.
    """
    correction = (weights * (right - expected[rows])).sum() / len(expected)
    return float(expected.mean() + correction)


def _inclusion(telling: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return chances in proportion to ``telling`` that sum to ``count`` and are at most 1."""
    certain = np.zeros(len(telling), bool)
    while True:
        left = count - int(certain.sum())
        rest = telling[~certain].sum()
        chance = np.where(certain, 1.0, telling * (left / rest if rest else 0.0))
        over = (chance > 1) & ~certain
        if not over.any():
            return np.minimum(chance, 1.0)
        certain |= over


class Performance(BaseModel):
    """How often the model was right, by the labels that have come in.

    Attributes:
        labels: Rows of the window whose label names a class.
        unknown: Labels that name no class of the model's.
        accuracy: Share of right answers, or None with fewer than 30 labels.
        interval: Its 95 % interval.
        expected: What was expected of the same rows without labels, or None.
        chosen: Whether rows about which the model is less sure were labelled rather than others:
            then their accuracy is not the window's.
        window_accuracy: Accuracy of the whole window: what is expected of it, put right by how
            far the labels are from what was expected of theirs.
        p_value: That the model is as often right as on the reference (Fisher's exact test) and,
            if rows were chosen, as expected of them (normal approximation); the larger one counts.
        sentence: All of it in words.
    """

    model_config = ConfigDict(frozen=True)

    labels: int
    unknown: int
    accuracy: float | None = None
    interval: Interval | None = None
    expected: float | None = None
    chosen: bool = False
    window_accuracy: float | None = None
    p_value: float | None = None
    sentence: str


def measure_performance(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    reference_right: int,
    reference_rows: int,
    *,
    expected: NDArray[np.float64],
    window_expected: NDArray[np.float64],
) -> Performance:
    """Return what the labels show.

    Args:
        probabilities: Answers to the rows with a label, shape ``(labels, classes)``; an answer
            that is not finite is wrong.
        labels: What was right, shape ``(labels,)``; a negative one names no class and is left out.
        reference_right: Right answers on the reference.
        reference_rows: Rows of the reference.
        expected: Probability that each of these answers is right, shape ``(labels,)``.
        window_expected: The same of all rows of the window, shape ``(rows,)``.
    """
    from scipy.stats import fisher_exact

    known = labels >= 0
    unknown = int((~known).sum())
    probabilities, labels, expected = probabilities[known], labels[known], expected[known]
    count = len(labels)
    aside = f" {unknown} labels name none of the classes." if unknown else ""
    if count < FEWEST_LABELS:
        told = f"Not enough labels: {count} rows have one, {FEWEST_LABELS} are needed."
        return Performance(labels=count, unknown=unknown, sentence=told + aside)
    finite = np.isfinite(probabilities).all(axis=1)
    right = finite & (np.nan_to_num(probabilities).argmax(axis=1) == labels)
    total = int(right.sum())
    table = [[total, count - total], [reference_right, reference_rows - reference_right]]
    p_value = float(fisher_exact(table, alternative="less").pvalue)
    interval = wilson_interval(total, count)
    chosen = expected.mean() < window_expected.mean() - 2 * expected.std() / math.sqrt(count)
    if chosen:
        p_value = max(p_value, _fewer_right(right, expected))
    whole = float(np.clip(window_expected.mean() + (right - expected).mean(), 0, 1))
    how = (
        f" Those rows are ones about which the model is less sure ({expected.mean():.1%} were "
        f"expected); by them {whole:.1%} of the whole window is right."
        if chosen
        else ""
    )
    return Performance(
        labels=count,
        unknown=unknown,
        accuracy=total / count,
        interval=interval,
        expected=float(expected.mean()),
        chosen=bool(chosen),
        window_accuracy=whole,
        p_value=p_value,
        sentence=f"Of {count} rows with a label {total / count:.1%} were answered right "
        f"({interval.low:.1%} to {interval.high:.1%}); on the validation split "
        f"{reference_right / max(reference_rows, 1):.1%} were ({chance(p_value)}).{how}{aside}",
    )


def _fewer_right(right: NDArray[np.bool_], expected: NDArray[np.float64]) -> float:
    """Return the chance of so few right answers, or fewer, among rows with these chances."""
    from scipy.stats import norm

    spread = math.sqrt(max(float((expected * (1 - expected)).sum()), 0.25))
    return float(norm.cdf((right.sum() + 0.5 - expected.sum()) / spread))


def describe_blind_spot(accuracy: float, rows: Sequence[int]) -> str:
    """Return in words what cannot be seen without labels, and what to do about it."""
    first = ", ".join(str(row) for row in rows[:5])
    begin = f" Label these rows of the window first: {first}." if first else ""
    return (
        "Without labels a change of what the right answers are (concept drift) is invisible. "
        f"{labels_needed(accuracy)} labels of rows drawn at random would show a drop of 2 points "
        f"in four cases of five.{begin}"
    )
