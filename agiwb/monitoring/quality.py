"""Whether the served values are sound: numbers, within what is known, and alive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

_TESTS = 4
"""Chance can raise four kinds of finding on a feature: too low, too high, constant, and more often
missing than in training."""
_MARGIN = 0.1
"""Share of the reference's span by which a value must leave it: a reference whose extremes happen
to lie close together would otherwise find something in window after window."""


_BEYOND = 1.0
"""Spans of the training data that a value may leave them by: twice as bright is drift, a value in
other units is a fault."""


class QualityFinding(BaseModel):
    """Something wrong with one feature; ``share`` is the share of the window's rows it affects."""

    model_config = ConfigDict(frozen=True)

    feature: str
    kind: Literal[
        "not a number", "below range", "above range", "constant",
        "empty", "undecodable", "no answer",
    ]  # fmt: skip
    share: float
    sentence: str


def check_quality(
    reference: NDArray[np.float32],
    window: NDArray[np.float32],
    names: Sequence[str],
    false_alarm_rate: float,
) -> tuple[QualityFinding, ...]:
    """Return what is wrong with the window's values, feature by feature.

    NaN and infinity always count, unless the reference has some of that feature too. All else
    happens by chance too (more of these, values well outside the reference's range, features that
    do not vary), so it counts only where chance would bring a finding in at most
    ``false_alarm_rate`` of all windows, over all features together.

    Args:
        reference: Shape ``(rows, features)``.
        window: Shape ``(rows, features)``.
        names: What the features are called.
        false_alarm_rate: Share of windows without fault that may show a finding.
    """
    limit = false_alarm_rate / (_TESTS * max(len(names), 1))
    findings: list[QualityFinding] = []
    for name, known, served in zip(names, reference.T, window.T, strict=True):
        findings.extend(_check_numbers(name, known, served, limit))
        finite, usual = served[np.isfinite(served)], known[np.isfinite(known)]
        if len(finite) and len(usual):
            findings.extend(_check_range(name, usual, finite, len(served), limit))
            findings.extend(_check_variation(name, usual, finite, len(served), limit))
    return tuple(findings)


def check_answers(answers: NDArray[np.floating[Any]]) -> tuple[QualityFinding, ...]:
    """Return whether a model answered with NaN or infinity, which it never did in training.

    Args:
        answers: Probabilities, shape ``(rows, classes)``.
    """
    share = float((~np.isfinite(answers)).any(axis=1).mean())
    if not share:
        return ()
    told = f"The model answered with NaN or infinity in {share:.1%} of the rows."
    return (QualityFinding(feature="answers", kind="no answer", share=share, sentence=told),)


def more_often(known: NDArray[np.bool_], served: NDArray[np.bool_], level: float) -> bool:
    """Return whether something holds in a larger share of ``served`` (Fisher's exact test)."""
    from scipy.stats import fisher_exact

    if not served.any():
        return False
    table = [
        [int(served.sum()), int((~served).sum())],
        [int(known.sum()), int((~known).sum())],
    ]
    return bool(fisher_exact(table, alternative="greater").pvalue < level)


def unlike_any(
    reference: NDArray[np.float32], values: NDArray[np.float32], *, one_range: bool = False
) -> NDArray[np.bool_]:
    """Return the rows with a value that is no number, or far from the whole reference: ``(rows,)``.

    A value may be missing where some of the reference's are.

    Args:
        reference: Shape ``(rows, features)``.
        values: Shape ``(rows, features)``.
        one_range: Whether all features have the same range.
    """
    finite = np.isfinite(reference)
    low = np.where(finite, reference, np.inf).min(axis=0)
    high = np.where(finite, reference, -np.inf).max(axis=0)
    if one_range:
        low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
    with np.errstate(invalid="ignore"):  # of a feature that the reference never has
        margin = _BEYOND * np.maximum(high - low, np.abs(high) * 1e-6)
        far = (values < low - margin) | (values > high + margin)
    missing = np.isnan(values) & finite.all(axis=0) | np.isinf(values)
    return np.asarray((far | missing).any(axis=1))


def _check_numbers(
    name: str, known: NDArray[np.float32], served: NDArray[np.float32], limit: float
) -> Iterator[QualityFinding]:
    broken, usual = ~np.isfinite(served), ~np.isfinite(known)
    if not broken.any() or (usual.any() and not more_often(usual, broken, limit)):
        return
    share = float(broken.mean())
    before = f"; in training it is in {usual.mean():.1%}" if usual.any() else ""
    yield QualityFinding(
        feature=name,
        kind="not a number",
        share=share,
        sentence=f"{name} is NaN or infinite in {share:.1%} of the rows{before}.",
    )


def _check_range(
    name: str, known: NDArray[np.float32], served: NDArray[np.float32], rows: int, limit: float
) -> Iterator[QualityFinding]:
    low, high = float(known.min()), float(known.max())
    margin = _MARGIN * (high - low)
    below, above = int((served < low - margin).sum()), int((served > high + margin).sum())
    if below and _chance_of_extremes(below, len(served), len(known)) < limit:
        share = below / rows
        yield QualityFinding(
            feature=name,
            kind="below range",
            share=share,
            sentence=f"{name} is far below {low:g}, the lowest in training, in {share:.1%} of the "
            f"rows, and as low as {served.min():g}.",
        )
    if above and _chance_of_extremes(above, len(served), len(known)) < limit:
        share = above / rows
        yield QualityFinding(
            feature=name,
            kind="above range",
            share=share,
            sentence=f"{name} is far above {high:g}, the highest in training, in {share:.1%} of "
            f"the rows, and as high as {served.max():g}.",
        )


def _check_variation(
    name: str, known: NDArray[np.float32], served: NDArray[np.float32], rows: int, limit: float
) -> Iterator[QualityFinding]:
    value = served[0]
    if known.min() == known.max():  # nothing to miss
        return
    # The reference's share of this value, with the row at hand counted in.
    usual = (int((known == value).sum()) + 1) / (len(known) + 1)
    if (served == value).all() and usual ** len(served) < limit:
        yield QualityFinding(
            feature=name,
            kind="constant",
            share=len(served) / rows,
            sentence=f"{name} is {value:g} in every finite row; in training it varied from "
            f"{known.min():g} to {known.max():g}.",
        )


def _chance_of_extremes(count: int, served: int, known: int) -> float:
    """Return the probability that ``count`` served values lie beyond all known ones.

    All orders of the pooled values are equally likely without drift, whatever their distribution:
    the topmost ``count`` are all served ones in the product below (Wilks 1942).
    """
    steps = np.arange(count)
    return float(np.exp(np.log((served - steps) / (served + known - steps)).sum()))
