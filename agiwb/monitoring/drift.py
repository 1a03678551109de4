"""Drift: whether a window of served examples comes from where the reference came from.

Fixed limits are wrong at both ends: with 64 features, p < 0.05 alarms in nearly every window
without drift, and PSI > 0.1 cries wolf at 200 rows and misses real shifts at 2,000. So a feature
counts as drifted only if both hold: its p-value survives the correction for the number of
features (Benjamini and Hochberg 1995), and its effect is larger than the largest effect over all
features that windows of this size show when they are drawn from the reference itself.

The calibration takes rows as independent. Where neighbouring rows resemble each other (seasons,
bursts from one client), real windows vary more than this allows for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

_BINS = 10
_BOOTSTRAP_DRAWS = 400
_BOOTSTRAP_ROWS = 2_000
"""Most distinct reference rows in the calibration: more would only prolong it."""
_PERMUTATIONS = 1_999


@dataclass(frozen=True)
class FeatureDrift:
    """How each feature of a window compares with the reference; arrays of shape ``(features,)``.

    Attributes:
        effect: Kolmogorov-Smirnov distance, 0 (alike) to 1 (apart).
        p_value: Of that distance, adjusted for the number of features.
        psi: Population stability index over the reference's deciles.
        divergence: Jensen-Shannon distance (base 2, 0 to 1) over the same bins.
        threshold: The effect above which a difference is more than chance for this window size.
        drifted: Whether the feature drifted.
    """

    effect: NDArray[np.float64]
    p_value: NDArray[np.float64]
    psi: NDArray[np.float64]
    divergence: NDArray[np.float64]
    threshold: float
    drifted: NDArray[np.bool_]


class OutputDrift(BaseModel):
    """How the model's answers in a window compare with those on the reference.

    Attributes:
        score_effect: Kolmogorov-Smirnov distance of the top probabilities, 0 to 1.
        score_p_value: Its p-value.
        reference_score: Mean top probability on the reference.
        window_score: Mean top probability in the window.
        classes_effect: Total variation distance of the shares of predicted classes, 0 to 1.
        classes_p_value: Its p-value.
        reference_shares: Share of each class among the answers on the reference.
        window_shares: The same in the window.
        limit: A p-value below this counts as drift.
    """

    model_config = ConfigDict(frozen=True)

    score_effect: float
    score_p_value: float
    reference_score: float
    window_score: float
    classes_effect: float
    classes_p_value: float
    reference_shares: tuple[float, ...]
    window_shares: tuple[float, ...]
    limit: float

    @property
    def score_drifted(self) -> bool:
        """Whether the model became more, or less, sure of itself."""
        return self.score_p_value < self.limit

    @property
    def classes_drifted(self) -> bool:
        """Whether the model names the classes in other proportions."""
        return self.classes_p_value < self.limit


def feature_names(shape: tuple[int, ...]) -> tuple[str, ...]:
    """Return what each feature of an example is called: ``pixel[3,4]``, or ``feature[7]``."""
    kind = "feature" if len(shape) < 2 else "pixel"
    return tuple(f"{kind}[{','.join(map(str, index))}]" for index in np.ndindex(shape or (1,)))


def calibrate_effect(
    reference: NDArray[np.float32], window_rows: int, false_alarm_rate: float, seed: int = 0
) -> float:
    """Return the effect that windows without drift exceed in ``false_alarm_rate`` of all cases.

    Both samples are drawn anew with replacement (Efron 1979), so the noise of the reference is
    allowed for as well as the window's, and rows are drawn whole, so the dependence between
    features is kept.

    Args:
        reference: Finite values, shape ``(rows, features)``.
        window_rows: Rows of the windows that are to be judged.
        false_alarm_rate: Share of windows in which any feature may exceed the result.
        seed: Equal seeds give equal results.
    """
    rng = np.random.default_rng(seed)
    whole = len(reference)
    if whole > _BOOTSTRAP_ROWS:
        reference = reference[rng.choice(whole, _BOOTSTRAP_ROWS, replace=False)]
    equal = np.full(len(reference), 1 / len(reference))
    drawn = rng.multinomial(window_rows, equal, _BOOTSTRAP_DRAWS) / window_rows
    drawn -= rng.multinomial(whole, equal, _BOOTSTRAP_DRAWS) / whole
    weights = drawn.T.astype(np.float32)  # (rows, draws): each row's share of window less reference
    largest = np.zeros(_BOOTSTRAP_DRAWS, np.float32)
    for column in reference.T[np.ptp(reference, axis=0) > 0]:
        order = np.argsort(column, kind="stable")
        ends = np.flatnonzero(np.append(np.diff(column[order]) > 0, True))  # after ties
        distances = np.abs(np.cumsum(weights[order], axis=0)[ends]).max(axis=0)
        np.maximum(largest, distances, out=largest)
    return float(np.quantile(largest, 1 - false_alarm_rate, method="higher"))


def compare_features(
    reference: NDArray[np.float32],
    window: NDArray[np.float32],
    threshold: float,
    false_alarm_rate: float,
) -> FeatureDrift:
    """Return how the features of ``window`` compare with those of ``reference``.

    Values that are NaN or infinite are left out; a feature without any other counts as not
    drifted, and is a matter of the data's quality.

    Args:
        reference: Finite values, shape ``(rows, features)``.
        window: Shape ``(rows, features)``.
        threshold: What ``calibrate_effect`` gave for this reference and number of rows.
        false_alarm_rate: Level of the corrected tests.
    """
    from scipy.stats import false_discovery_control, kstwo

    count = reference.shape[1]
    effect, p_value = np.zeros(count), np.ones(count)
    psi, divergence = np.zeros(count), np.zeros(count)
    for index in range(count):
        column = window[:, index]
        column = np.sort(column[np.isfinite(column)])
        if len(column) == 0:
            continue
        known = np.sort(reference[:, index])
        effect[index] = ks_distance(known, column)
        rows = round(len(known) * len(column) / (len(known) + len(column)))
        p_value[index] = kstwo.sf(effect[index], max(rows, 1))
        psi[index], divergence[index] = _binned_distances(known, column)
    adjusted = false_discovery_control(np.clip(p_value, 0, 1))
    drifted = (adjusted < false_alarm_rate) & (effect > threshold)
    return FeatureDrift(effect, adjusted, psi, divergence, threshold, drifted)


def compare_output(
    reference: NDArray[np.float32], window: NDArray[np.float32], limit: float, seed: int = 0
) -> OutputDrift | None:
    """Return how the answers in ``window`` compare with those on the reference, or None.

    The p-value of the classes is that of the chi-square statistic among tables with the same
    margins, drawn at random (Patefield 1981): rare classes need no large-sample formula, and a
    class that the reference never saw is one more column.

    Args:
        reference: Probabilities, shape ``(rows, classes)``.
        window: The same for the window; rows that are not finite are left out, and if none is
            left, so is the comparison.
        limit: p-value below which each of the two comparisons counts as drift.
        seed: Equal seeds give equal results.
    """
    from scipy.stats import ks_2samp

    window = window[np.isfinite(window).all(axis=1)]
    if len(window) == 0:
        return None
    known, served = reference.max(axis=1), window.max(axis=1)
    score = ks_2samp(known, served)
    classes = reference.shape[1]
    before, now = (
        np.bincount(answers.argmax(axis=1), minlength=classes) for answers in (reference, window)
    )
    shares_before, shares_now = before / before.sum(), now / now.sum()
    return OutputDrift(
        score_effect=float(score.statistic),
        score_p_value=float(score.pvalue),
        reference_score=float(known.mean()),
        window_score=float(served.mean()),
        classes_effect=float(np.abs(shares_before - shares_now).sum() / 2),
        classes_p_value=_homogeneity_p_value(before, now, seed),
        reference_shares=tuple(shares_before.tolist()),
        window_shares=tuple(shares_now.tolist()),
        limit=limit,
    )


def ks_distance(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the largest distance between two empirical distributions, from sorted values."""
    points = np.concatenate((first, second))
    below_first = np.searchsorted(first, points, side="right") / len(first)
    below_second = np.searchsorted(second, points, side="right") / len(second)
    return float(np.abs(below_first - below_second).max())


def _binned_distances(
    reference: NDArray[np.float32], window: NDArray[np.float32]
) -> tuple[float, float]:
    """Return the PSI and the Jensen-Shannon distance over the deciles of sorted ``reference``.

    Half an observation is added to every bin (Jeffreys), so an empty one leaves PSI finite.
    """
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, _BINS + 1)[1:-1]))
    p, q = (_bin_shares(values, edges) for values in (reference, window))
    psi = float(((q - p) * np.log(q / p)).sum())
    middle = (p + q) / 2
    divergence = (p * np.log2(p / middle) + q * np.log2(q / middle)).sum() / 2
    return psi, float(np.sqrt(max(divergence, 0.0)))


def _bin_shares(values: NDArray[np.float32], edges: NDArray[np.float32]) -> NDArray[np.float64]:
    places = np.searchsorted(edges, values, side="left")  # a bin holds its upper edge
    counts = np.bincount(places, minlength=len(edges) + 1) + 0.5
    return np.asarray(counts / counts.sum(), np.float64)


def _homogeneity_p_value(before: NDArray[np.intp], now: NDArray[np.intp], seed: int) -> float:
    total = before + now
    now, total = now[total > 0], total[total > 0]
    rng = np.random.default_rng(seed)
    drawn = rng.multivariate_hypergeometric(
        total, int(now.sum()), size=_PERMUTATIONS, method="marginals"
    )
    # With fixed margins this orders tables as the chi-square statistic does.
    expected = total * (now.sum() / total.sum())
    simulated = ((drawn - expected) ** 2 / total).sum(axis=1)
    observed = ((now - expected) ** 2 / total).sum()
    exceeding = int((simulated >= observed - 1e-9).sum())
    return (1 + exceeding) / (1 + _PERMUTATIONS)
