"""Drift: whether a window of served examples comes from where the reference came from.

Fixed limits are wrong at both ends: with 64 features, p < 0.05 alarms in nearly every window
without drift, and PSI > 0.1 cries wolf at 200 rows and misses real shifts at 2,000. So a feature
counts as drifted only if both hold: its p-value survives the correction for all features and
groups of rows that were looked at (Benjamini and Hochberg 1995), and its effect is larger than the
largest effect over all of them that windows of this size show when they are drawn from the
reference itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agiwb.monitoring.calibration import Calibration
from agiwb.monitoring.distances import Distances, measure
from agiwb.monitoring.sketches import NumericSketch


@dataclass(frozen=True)
class FeatureDrift:
    """How each feature of a window compares with the reference; arrays of shape ``(features,)``.

    Attributes:
        distances: All distances of the window from the reference.
        p_value: Of the Kolmogorov-Smirnov distance, adjusted for all that was compared with it.
        threshold: The effect above which a difference is more than chance for this window size.
        drifted: Whether the feature drifted.
    """

    distances: Distances
    p_value: NDArray[np.float64]
    threshold: float
    drifted: NDArray[np.bool_]

    @property
    def effect(self) -> NDArray[np.float64]:
        """Kolmogorov-Smirnov distance, 0 (alike) to 1 (apart)."""
        return self.distances.ks


def feature_names(shape: tuple[int, ...]) -> tuple[str, ...]:
    """Return what each feature of an example is called: ``pixel[3,4]``, or ``feature[7]``."""
    kind = "feature" if len(shape) < 2 else "pixel"
    return tuple(f"{kind}[{','.join(map(str, index))}]" for index in np.ndindex(shape or (1,)))


def compare_features(
    reference: NumericSketch, window: NumericSketch, calibration: Calibration, rate: float
) -> FeatureDrift:
    """Return how the features of ``window`` compare with those of ``reference``.

    Values that are NaN or infinite are left out; a feature without any other counts as not
    drifted, and is a matter of the data's quality.

    Args:
        reference: Sketch of the rows that ``calibration`` was made of.
        window: Sketch of the rows to judge, over the same bins.
        calibration: What windows without drift show.
        rate: Share of windows without drift in which any feature may count as drifted.
    """
    return compare_groups(reference, [window], calibration, rate)[0]


def compare_groups(
    reference: NumericSketch,
    windows: Sequence[NumericSketch],
    calibration: Calibration,
    rate: float,
) -> tuple[FeatureDrift, ...]:
    """Return how several windows (hours, versions) compare with the same reference.

    See ``compare_pairs``.
    """
    return compare_pairs([Pair(reference, window, calibration) for window in windows], rate)


@dataclass(frozen=True)
class Pair:
    """A window and what it is compared with; ``calibration`` was made of that reference's rows."""

    reference: NumericSketch
    window: NumericSketch
    calibration: Calibration


def compare_pairs(pairs: Sequence[Pair], rate: float) -> tuple[FeatureDrift, ...]:
    """Return how several windows compare, each with a reference of the same features.

    All that is compared shares one ``rate``: the p-values are corrected over features times
    windows, and each window may take an equal part of the rate with its largest effect.
    """
    from scipy.stats import false_discovery_control

    if not pairs:
        return ()
    found = [measure(pair.reference, pair.window) for pair in pairs]
    p_values = np.stack(
        [_p_values(distances.ks, pair) for distances, pair in zip(found, pairs, strict=True)]
    )
    adjusted = p_values
    if p_values.size:
        adjusted = false_discovery_control(p_values, axis=None).reshape(p_values.shape)
    made = []
    for distances, pair, p_value in zip(found, pairs, adjusted, strict=True):
        window = pair.window
        rows = int(window.rows.max(initial=0))
        threshold = pair.calibration.threshold(rows, rate / len(pairs))
        # A feature that is often missing has fewer rows than the window, and needs more effect.
        fewer = np.sqrt(max(rows, 1) / np.maximum(window.finite, 1))
        drifted = (p_value < rate) & (distances.ks > threshold * fewer)
        made.append(FeatureDrift(distances, p_value, threshold, drifted))
    return tuple(made)


def _p_values(ks: NDArray[np.float64], pair: Pair) -> NDArray[np.float64]:
    """Return the p-values of the distances, for as many rows as are worth independent ones.

    The limit distribution is corrected for few rows as in Stephens 1970.
    """
    from scipy.stats import kstwobign

    known, served = pair.reference.finite.astype(float), pair.window.finite.astype(float)
    rows = known * served / np.maximum(known + served, 1) / pair.calibration.dispersion
    root = np.sqrt(np.maximum(rows, 1e-9))
    p_values = kstwobign.sf(ks * (root + 0.12 + 0.11 / root))
    return np.where((known > 0) & (served > 0), np.clip(p_values, 0, 1), 1.0)
