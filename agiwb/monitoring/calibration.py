"""Calibration: what windows without drift look like, learned from the reference itself.

Windows are drawn from the reference in blocks of neighbouring rows (Kuensch 1989; circular as in
Politis and Romano 1992), so seasons shorter than a block and rows that resemble their neighbours
widen what counts as chance. Rows are drawn whole: dependence between features is kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DRAWS = 400
_ROWS = 2_000
"""Most distinct rows in the bootstrap if they are independent: more would only prolong it."""
_ORDERED_ROWS = 8_000
_KOLMOGOROV_SECOND_MOMENT = math.pi**2 / 12
"""Expected square of the limit of ``sqrt(n)`` times the KS distance (Kolmogorov 1933)."""
_FEWEST_BEYOND = 5
"""Draws beyond a quantile below which its tail is extrapolated."""
_EULER = 0.5772156649015329


@dataclass(frozen=True)
class Calibration:
    """What chance does to Kolmogorov-Smirnov distances, for one reference.

    Attributes:
        reference_rows: Rows of the reference.
        block_rows: Neighbouring rows that were drawn together.
        largest: Of each drawn window, the largest distance over all features, in units of
            ``sqrt(1 / window_rows + 1 / reference_rows)``; shape ``(draws,)``.
        dispersion: How much more the distances of each feature vary than with independent rows,
            at least 1, shape ``(features,)``: that many rows say as much as one.
    """

    reference_rows: int
    block_rows: int
    largest: NDArray[np.float64]
    dispersion: NDArray[np.float64]

    def threshold(self, window_rows: int, rate: float) -> float:
        """Return the distance that any feature exceeds in a share ``rate`` of quiet windows.

        Beyond what the draws resolve, the tail is that of Gumbel's distribution of extremes, with
        the draws' mean and standard deviation.
        """
        unit = math.sqrt(1 / max(window_rows, 1) + 1 / max(self.reference_rows, 1))
        if rate * len(self.largest) >= _FEWEST_BEYOND:
            return unit * float(np.quantile(self.largest, 1 - rate, method="higher"))
        scale = float(self.largest.std()) * math.sqrt(6) / math.pi
        mean = float(self.largest.mean())
        return unit * (mean - scale * (_EULER + math.log(-math.log1p(-rate))))


def calibrate(
    reference: NDArray[np.floating[Any]],
    window_rows: int,
    *,
    block_rows: int | None = None,
    seed: int = 0,
) -> Calibration:
    """Return what windows of ``window_rows`` rows show without drift.

    Args:
        reference: Values, shape ``(rows, features)``, in order of time if they have one; those
            that are NaN or infinite count as smallest.
        window_rows: Rows of the windows that are to be judged.
        block_rows: Rows drawn together; by default as many as resemble their neighbours.
        seed: Equal seeds give equal results.
    """
    rng = np.random.default_rng(seed)
    whole, window_rows = len(reference), max(window_rows, 1)
    if 0 in reference.shape:
        return Calibration(whole, 1, np.zeros(_DRAWS), np.ones(reference.shape[1]))
    block = dependent_rows(reference) if block_rows is None else max(1, min(block_rows, whole))
    reference = _fewer(reference, block, rng)
    weights = _drawn_shares(len(reference), window_rows, block, rng)
    weights -= _drawn_shares(len(reference), whole, block, rng)
    squares, largest = np.zeros(reference.shape[1]), np.zeros(_DRAWS, np.float32)
    for place, column in enumerate(reference.T):
        values = np.where(np.isfinite(column), column, -np.inf)
        if (values == values[0]).all():
            continue
        order = np.argsort(values, kind="stable")
        ends = np.flatnonzero(np.append(values[order][1:] > values[order][:-1], True))  # after ties
        distances = np.abs(np.cumsum(weights[order], axis=0)[ends]).max(axis=0)
        squares[place] = np.mean(distances.astype(np.float64) ** 2)
        np.maximum(largest, distances, out=largest)
    unit = 1 / window_rows + 1 / whole
    dispersion = np.maximum(1, squares / (unit * _KOLMOGOROV_SECOND_MOMENT))
    return Calibration(whole, block, largest.astype(np.float64) / math.sqrt(unit), dispersion)


def dependent_rows(reference: NDArray[np.floating[Any]]) -> int:
    """Return how many neighbouring rows resemble each other: 1 if their order means nothing.

    For each feature it is twice the lag after which the autocorrelation of the ranks stays within
    chance (Politis and White 2004, section 3.2); the features' upper quartile counts.
    """
    rows = min(len(reference), _ORDERED_ROWS)
    longest = math.isqrt(rows)
    run = max(5, math.isqrt(round(math.log10(max(rows, 10)))))
    if longest <= run:
        return 1
    # The limit is Bonferroni's for all lags looked at, so shuffled rows rarely seem to depend.
    limit = math.sqrt(2 * math.log(longest * reference.shape[1] * 20)) / math.sqrt(rows)
    lags = [
        _last_lag(column, longest, run, limit)
        for column in reference[-rows:].T
        if (column != column[0]).any()
    ]
    if not lags:
        return 1
    return min(max(1, 2 * round(float(np.quantile(lags, 0.75)))), max(1, rows // 10))


def _last_lag(column: NDArray[np.floating[Any]], longest: int, run: int, limit: float) -> int:
    """Return the last lag before ``run`` lags whose autocorrelation is within ``limit``."""
    ranks = np.unique(column, return_inverse=True)[1].astype(np.float64)
    ranks -= ranks.mean()
    spectrum = np.abs(np.fft.rfft(ranks, 2 * len(ranks))) ** 2
    correlation = np.fft.irfft(spectrum)[1 : longest + 1] / (ranks @ ranks)
    beyond = np.flatnonzero(np.abs(correlation) > limit) + 1
    last = 0
    for lag in beyond:
        if lag - last > run:
            break
        last = int(lag)
    return last


def _fewer(
    reference: NDArray[np.floating[Any]], block: int, rng: np.random.Generator
) -> NDArray[np.floating[Any]]:
    if block > 1:
        return reference[-_ORDERED_ROWS:]
    if len(reference) <= _ROWS:
        return reference
    return reference[rng.choice(len(reference), _ROWS, replace=False)]


def _drawn_shares(
    rows: int, drawn: int, block: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the share of each row in each drawn sample, shape ``(rows, draws)``."""
    block = min(block, drawn)
    blocks = max(1, round(drawn / block))
    starts = rng.multinomial(blocks, np.full(rows, 1 / rows), _DRAWS).T
    if block > 1:  # a row is in every block that starts up to ``block - 1`` rows before it
        around = np.concatenate((starts[-block + 1 :], starts))
        total = np.concatenate((np.zeros((1, _DRAWS), int), np.cumsum(around, axis=0)))
        starts = total[block:] - total[:-block]
    return np.asarray(starts / (blocks * block), np.float32)
