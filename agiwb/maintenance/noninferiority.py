"""Whether one model is at most a margin worse than another, from their scores on the same rows.

A paired bootstrap (Efron and Tibshirani 1993, section 16.4) takes the differences as they are.
Where they are few or alike it knows nothing of those that happened not to be drawn: without a
single row on which two classifiers differ it would be certain. So a parametric test has to agree,
and the larger p-value counts: of right and wrong answers Tango's score test for paired
proportions (Statistics in Medicine 17, 1998, 891-908), with a continuity correction of 1/2, and of
real-valued scores Student's t.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.statistics import Interval

FEWEST_ROWS = 10
"""Rows below which nothing is said."""
_RESAMPLES = 4_000
_DRAWN_AT_ONCE = 4_000_000
_CORRECTION = 0.5
_STRIDE = 1.04
_NEGLIGIBLE = 1e-6
_FEW_DIFFERING = 500
"""Rows with a difference below which the formula's normal approximation is not relied on."""


@dataclass(frozen=True)
class PairedComparison:
    """The challenger's scores less the champion's, over the same rows; higher is better.

    Attributes:
        rows: How many.
        difference: Their mean.
        interval: Its 95 % percentile interval.
        spread: Their standard deviation.
        discordant: Share of the rows with a difference.
        p_not_worse: That the challenger is worse by the margin or more; small: it is not.
        p_worse: That it is worse by the margin or less; small: it is worse by more.
    """

    rows: int
    difference: float
    interval: Interval
    spread: float
    discordant: float
    p_not_worse: float
    p_worse: float


def compare_pairs(
    differences: NDArray[np.float64], margin: float, *, seed: int = 0
) -> PairedComparison:
    """Return what the differences of the scores say about a margin.

    Both p-values are 1 with fewer than ten rows.

    Args:
        differences: Challenger's score less champion's, shape ``(rows,)``; finite.
        margin: How much worse the challenger may be; positive, in the unit of the scores.
        seed: Of the resampling.
    """
    rows = len(differences)
    if rows < FEWEST_ROWS:
        mean = float(differences.mean()) if rows else 0.0
        unknown = Interval(-math.inf, math.inf)
        return PairedComparison(rows, mean, unknown, 0.0, 0.0, 1.0, 1.0)
    counted = bool(np.isin(differences, (-1.0, 0.0, 1.0)).all())
    means = _resampled_means(differences, seed, counted=counted)
    at_margin = _score_test if counted else _t_test
    not_worse, worse = at_margin(differences, margin)
    low, high = np.quantile(means, (0.025, 0.975))
    return PairedComparison(
        rows=rows,
        difference=float(differences.mean()),
        interval=Interval(float(low), float(high)),
        spread=float(differences.std(ddof=1)),
        discordant=float((differences != 0).mean()),
        p_not_worse=max(_share(means <= -margin), not_worse),
        p_worse=max(_share(means >= -margin), worse),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted so that any of them is wrongly small with probability alpha at most.

    Holm's step-down procedure (Scandinavian Journal of Statistics 6, 1979, 65-70), in the order
    given.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, p_values[place] * (len(p_values) - rank)))
        adjusted[place] = largest
    return adjusted


def rows_needed(found: PairedComparison, margin: float, alpha: float, power: float) -> int:
    """Return of how many rows the test would find two equally good models so, with this power.

    The power calculation for non-inferiority of Blackwelder (Controlled Clinical Trials 3, 1982,
    345-353) with the variance of paired differences (Liu, Hsueh, Hsieh and Chen, Statistics in
    Medicine 21, 2002, 231-245): ``n = ((z_alpha s_0 + z_power s_1) / margin)^2``. ``s_1`` is what
    the rows show, one more row of each kind added so that none is taken for impossible; ``s_0`` of
    right and wrong answers is the deviation at the margin that the score test uses. Where answers
    seldom differ the formula asks for too few, so from there the exact power of the score test
    decides.

    Args:
        found: What the rows so far show.
        margin: As in ``compare_pairs``.
        alpha: One-sided level.
        power: Chance to find it.
    """
    from scipy.stats import norm

    z_alpha, z_power = float(norm.isf(alpha)), float(norm.ppf(power))
    if found.spread > 0 and found.spread**2 > found.discordant * 1.01:  # not counted in ones
        return max(FEWEST_ROWS, math.ceil(((z_alpha + z_power) * found.spread / margin) ** 2))
    differing = (found.discordant * found.rows + 1) / (found.rows + 2)
    at_margin = math.sqrt(max(differing - margin, 0.0) + margin * (1 - margin))
    needed = math.ceil(((z_alpha * at_margin + z_power * math.sqrt(differing)) / margin) ** 2)
    needed = max(FEWEST_ROWS, needed)
    while (
        needed * differing < _FEW_DIFFERING
        and _exact_power(needed, differing, margin, alpha) < power
    ):
        needed = math.ceil(_STRIDE * needed)
    return needed


def _exact_power(rows: int, differing: float, margin: float, alpha: float) -> float:
    """Return how often the score test finds two equal models, which differ in this share of rows.

    As many rows are won as lost in the long run; what both are is enumerated.
    """
    from scipy.stats import binom

    most = int(binom.isf(_NEGLIGIBLE, rows, differing / 2)) + 1
    counts = np.arange(most + 1)
    lost, won = counts[:, None], counts[None, :]
    chance = binom.pmf(lost, rows, differing / 2)
    chance = chance * binom.pmf(won, rows - lost, differing / 2 / (1 - differing / 2))
    return float(chance[_score_p_values(lost, won, rows, margin)[0] <= alpha].sum())


def _resampled_means(
    differences: NDArray[np.float64], seed: int, *, counted: bool
) -> NDArray[np.float64]:
    """Return the means of samples drawn with replacement."""
    draw, rows = np.random.default_rng(seed), len(differences)
    if counted:  # to draw rows is to draw how many of each kind there are
        kinds = np.array([(differences == value).mean() for value in (-1.0, 0.0, 1.0)])
        drawn = draw.multinomial(rows, kinds / kinds.sum(), size=_RESAMPLES)
        return np.asarray((drawn[:, 2] - drawn[:, 0]) / rows, np.float64)
    each = max(1, _DRAWN_AT_ONCE // rows)
    return np.concatenate(
        [
            differences[draw.integers(rows, size=(min(each, _RESAMPLES - first), rows))].mean(1)
            for first in range(0, _RESAMPLES, each)
        ]
    )


def _share(beyond: NDArray[Any]) -> float:
    """Return a resampling p-value, which is never 0 (Davison and Hinkley 1997, section 4.2)."""
    return (1 + int(beyond.sum())) / (1 + len(beyond))


def _score_test(differences: NDArray[np.float64], margin: float) -> tuple[float, float]:
    """Return the score test's p-values for differences of -1, 0 and 1."""
    lost, won = (differences == -1).sum(), (differences == 1).sum()
    not_worse, worse = _score_p_values(lost, won, len(differences), margin)
    return float(not_worse), float(worse)


def _score_p_values(lost: Any, won: Any, rows: int, margin: float) -> tuple[Any, Any]:
    """Return Tango's p-values, continuity-corrected, for numbers of rows lost and won."""
    from scipy.stats import norm

    # The share of rows won that is most likely if lost and won differ by the margin.
    a = 2.0 * rows
    b = (2.0 * rows - lost + won) * margin - lost - won
    c = -won * margin * (1 - margin)
    share = (np.sqrt(np.maximum(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    deviation = np.sqrt(rows * (2 * share + margin * (1 - margin)))
    distance = lost - won - rows * margin
    return (
        norm.cdf((distance + _CORRECTION) / deviation),
        norm.sf((distance - _CORRECTION) / deviation),
    )


def _t_test(differences: NDArray[np.float64], margin: float) -> tuple[float, float]:
    """Return Student's p-values; equal differences leave nothing to chance."""
    from scipy.stats import t

    rows, deviation = len(differences), float(differences.std(ddof=1))
    distance = float(differences.mean()) + margin
    if deviation == 0:
        return (0.0, 1.0) if distance > 0 else (1.0, 0.0 if distance < 0 else 1.0)
    value = distance / (deviation / math.sqrt(rows))
    return float(t.sf(value, rows - 1)), float(t.cdf(value, rows - 1))
