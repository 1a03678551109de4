"""Distances between two sketches, all features at once.

Kolmogorov-Smirnov and Wasserstein distances use all 256 bins. The population stability index, the
Jensen-Shannon distance and chi-square would mostly measure noise in so many: they are taken over
about ten groups of bins that hold equal shares of the reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import ConfigError
from agiwb.monitoring.sketches import CategoryCounts, NumericSketch

_GROUPS = 10
_FEWEST_EXPECTED = 5
_PRIOR = 0.5
"""Added to each group's count (Jeffreys), so that an empty one leaves the PSI finite."""


@dataclass(frozen=True)
class Distances:
    """How far a window is from a reference; arrays of shape ``(features,)``.

    A feature without any finite value on either side has no distance: 0, and a p-value of 1.

    Attributes:
        ks: Kolmogorov-Smirnov distance, 0 to 1.
        wasserstein: First Wasserstein distance, in the feature's own unit.
        spread: Standard deviation of the reference, in the same unit.
        psi: Population stability index.
        jensen_shannon: Jensen-Shannon distance, base 2, 0 to 1.
        chi_square: Statistic of the test of homogeneity.
        chi_square_p_value: Its p-value.
    """

    ks: NDArray[np.float64]
    wasserstein: NDArray[np.float64]
    spread: NDArray[np.float64]
    psi: NDArray[np.float64]
    jensen_shannon: NDArray[np.float64]
    chi_square: NDArray[np.float64]
    chi_square_p_value: NDArray[np.float64]


def measure(reference: NumericSketch, window: NumericSketch) -> Distances:
    """Return all distances of ``window`` from ``reference``.

    Raises:
        ConfigError: Their bins differ.
    """
    if not reference.bins.same(window.bins):
        raise ConfigError(
            "Two sketches over different bins cannot be compared.",
            "Make both with the bins of the same reference.",
        )
    known = (reference.finite > 0) & (window.finite > 0)
    psi, jensen_shannon, chi_square, p_value = _grouped(reference, window)
    return Distances(
        ks=np.where(known, ks_distances(reference, window), 0.0),
        wasserstein=np.where(known, _wasserstein(reference, window), 0.0),
        spread=spread(reference),
        psi=np.where(known, psi, 0.0),
        jensen_shannon=np.where(known, jensen_shannon, 0.0),
        chi_square=np.where(known, chi_square, 0.0),
        chi_square_p_value=np.where(known, p_value, 1.0),
    )


def ks_distances(first: NumericSketch, second: NumericSketch) -> NDArray[np.float64]:
    """Return the largest difference of the distribution functions, taken at the bins' ends."""
    return np.asarray(np.abs(_gap(first, second)).max(axis=1))


def spread(sketch: NumericSketch) -> NDArray[np.float64]:
    """Return the standard deviation of each feature, each value taken as its bin's mean."""
    counts = np.maximum(sketch.counts, 1)
    centres = sketch.sums / counts
    share = _shares(sketch)
    mean = (share * centres).sum(axis=1, keepdims=True)
    return np.asarray(np.sqrt((share * (centres - mean) ** 2).sum(axis=1)))


def _shares(sketch: NumericSketch) -> NDArray[np.float64]:
    return np.asarray(sketch.counts / np.maximum(sketch.finite, 1)[:, None])


def _gap(first: NumericSketch, second: NumericSketch) -> NDArray[np.float64]:
    """Return the difference of the distribution functions at each bin's end."""
    return np.asarray(np.cumsum(_shares(first) - _shares(second), axis=1)[:, :-1])


def _wasserstein(first: NumericSketch, second: NumericSketch) -> NDArray[np.float64]:
    """Return the integral of the absolute difference of the distribution functions.

    Within each bin the signed integral follows exactly from the sums of the values (by parts), so
    the result is exact unless the functions cross inside a bin, and then too small: most where
    the reference has few values and the window others between them.
    """
    weighted = np.pad(first.bins.edges * _gap(first, second), ((0, 0), (1, 1)))
    sums = (
        first.sums / np.maximum(first.finite, 1)[:, None]
        - second.sums / np.maximum(second.finite, 1)[:, None]
    )
    return np.asarray(np.abs(np.diff(weighted, axis=1) - sums).sum(axis=1))


def _grouped(reference: NumericSketch, window: NumericSketch) -> tuple[NDArray[np.float64], ...]:
    share = _shares(reference)
    middle = np.cumsum(share, axis=1) - share / 2
    group = np.minimum((middle * _GROUPS).astype(int), _GROUPS - 1)
    known, served = (
        np.stack([(sketch.counts * (group == place)).sum(axis=1) for place in range(_GROUPS)], 1)
        for sketch in (reference, window)
    )
    return _compare_counts(known, served)


def _compare_counts(
    known: NDArray[np.int64], served: NDArray[np.int64]
) -> tuple[NDArray[np.float64], ...]:
    """Return PSI, Jensen-Shannon distance, chi-square and its p-value of each row of counts."""
    from scipy.stats import chi2

    used = (known + served) > 0
    p, q = ((counts + _PRIOR) * used for counts in (known, served))
    p, q = (counts / np.maximum(counts.sum(axis=1, keepdims=True), _PRIOR) for counts in (p, q))
    p, q = np.where(used, p, 1.0), np.where(used, q, 1.0)  # groups that nobody used add nothing
    psi = ((q - p) * np.log(q / p)).sum(axis=1)
    middle = (p + q) / 2
    divergence = (p * np.log2(p / middle) + q * np.log2(q / middle)).sum(axis=1) / 2
    rows = known.sum(axis=1, keepdims=True), served.sum(axis=1, keepdims=True)
    total = np.maximum(rows[0] + rows[1], 1)
    pooled = np.where(used, (known + served) / total, 1.0)
    statistic = sum(
        ((counts - pooled * count) ** 2 / np.maximum(pooled * count, 1e-300)).sum(
            axis=1, where=used
        )
        for counts, count in zip((known, served), rows, strict=True)
    )
    freedom = np.maximum(used.sum(axis=1) - 1, 1)
    return (
        psi,
        np.sqrt(np.maximum(divergence, 0)),
        np.asarray(statistic),
        np.asarray(chi2.sf(statistic, freedom)),
    )


@dataclass(frozen=True)
class CategoryDistance:
    """How far a window's categories are from the reference's; fields as in ``Distances``.

    ``unseen_share`` is the share of rows whose category the reference never held.
    """

    psi: float
    jensen_shannon: float
    chi_square: float
    p_value: float
    unseen_share: float


def measure_categories(
    reference: CategoryCounts, window: CategoryCounts, *, dispersion: float = 1.0
) -> CategoryDistance:
    """Return how far ``window`` is from ``reference``; unseen categories count as one more.

    The p-value is that of chi-square over the categories of which five rows at least are expected
    on either side (Cochran 1954). The others, unseen ones among them, are taken together; if even
    these are too few, how many of them are in the window is tested exactly (hypergeometric), and
    the smaller p-value counts twice.

    Args:
        reference: Counts of the reference.
        window: Counts of the window.
        dispersion: How many rows say as much as an independent one, at least 1.

    Raises:
        ConfigError: Their known categories differ.
    """
    _ = reference + window  # says so if they do not fit
    rows = int(window.counts.sum()) + window.unseen
    if rows == 0 or reference.counts.sum() == 0:
        return CategoryDistance(0.0, 0.0, 0.0, 1.0, 0.0)
    known, served = (np.append(counts.counts, counts.unseen) for counts in (reference, window))
    psi, divergence, _, _ = (x.item() for x in _compare_counts(known[None], served[None]))
    statistic, p_value = _category_test(known, served, dispersion)
    return CategoryDistance(psi, divergence, statistic, p_value, window.unseen / rows)


def _category_test(
    known: NDArray[np.int64], served: NDArray[np.int64], dispersion: float
) -> tuple[float, float]:
    from scipy.stats import chi2, hypergeom

    total = known + served
    smaller = min(known.sum(), served.sum()) / total.sum()
    rare = total * smaller < _FEWEST_EXPECTED
    pooled = [np.append(counts[~rare], counts[rare].sum()) for counts in (known, served)]
    lumped = int((pooled[0] + pooled[1])[-1])
    few = lumped * smaller < _FEWEST_EXPECTED
    if few:
        pooled = [counts[:-1] for counts in pooled]
    statistic, p_value = 0.0, 1.0
    if len(pooled[0]) > 1:
        statistic = _compare_counts(*(counts[None] for counts in pooled))[2].item() / dispersion
        p_value = float(chi2.sf(statistic, len(pooled[0]) - 1))
    if few and lumped:
        seen = int(served[rare].sum())
        exact = hypergeom.sf(seen - 1, total.sum(), lumped, served.sum())
        p_value = min(1.0, 2 * min(p_value, float(exact)))
    return statistic, p_value
