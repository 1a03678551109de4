"""What a dashboard shows of a model's traffic: a stretch of time, asked of the rollups alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import NotFoundError
from agiwb.monitoring.distances import measure
from agiwb.monitoring.log import Rollups, logged_models, prediction_folder, read_rollups
from agiwb.monitoring.log.cells import EVERYTHING
from agiwb.monitoring.log.profile import LATENCY, PREDICTED, SCORE
from agiwb.monitoring.sketches import NumericSketch

_LONGEST_BY_HOUR_S = 4 * 86_400
"""Longer stretches are read by the day."""
FEWEST_ROWS = 30
"""Rows below which nothing is said of how a stretch differs."""


@dataclass(frozen=True)
class Offered:
    """What can be asked of a model's log.

    Attributes:
        first: When its first hour begins, Unix time in seconds.
        last: When its last hour ends.
        versions: Those that answered.
        slices: ``feature=category`` of each slice; not the whole.
    """

    first: float
    last: float
    versions: tuple[int, ...]
    slices: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """A stretch of a model's log; ``version`` and ``slice_name`` are all by default."""

    start: float
    end: float
    version: int | None = None
    slice_name: str = EVERYTHING


@dataclass(frozen=True)
class FeatureChange:
    """How a feature's values are spread, as against what was logged before.

    Attributes:
        feature: Its name.
        distance: Kolmogorov-Smirnov distance, 0 to 1.
        mean_before: Mean before the stretch.
        mean: Mean in it.
    """

    feature: str
    distance: float
    mean_before: float
    mean: float


@dataclass(frozen=True)
class FeatureQuality:
    """Values of a feature that are no number, out of the known range, or of no known category."""

    feature: str
    rows: int
    missing: int
    below: int
    above: int
    unseen: int

    @property
    def share(self) -> float:
        """Share of the rows with any of these."""
        return (self.missing + self.below + self.above + self.unseen) / max(self.rows, 1)


@dataclass(frozen=True)
class Dashboard:
    """What is known of a stretch.

    Attributes:
        asked: The stretch.
        rows: Examples in it.
        times: Unix times at which its hours (or days) begin, shape ``(hours,)``.
        traffic: Examples of each, shape ``(hours,)``.
        latency_ms: Median and 95th percentile of each, NaN without any, shape ``(hours, 2)``.
        score: Mean of the highest probability of each, NaN without any, shape ``(hours,)``.
        classes: Examples by answered class, and the same before the stretch; empty if unknown.
        quality: The features with anything wrong, the worst first.
        changes: The features that changed, the farthest first; None with too few rows to say.
        rows_before: Examples before the stretch, which it is compared with.
        until: Unix time in seconds at which the last hour (or day) with rows ends; the end asked
            for if there is none.
    """

    asked: Asked
    rows: int
    times: NDArray[np.int64]
    traffic: NDArray[np.int64]
    latency_ms: NDArray[np.float64]
    score: NDArray[np.float64]
    classes: dict[str, tuple[int, int]]
    quality: tuple[FeatureQuality, ...]
    changes: tuple[FeatureChange, ...] | None
    rows_before: int
    until: float


def what_is_offered(name: str) -> Offered:
    """Return what can be asked of a model's log.

    Args:
        name: One of ``logged_models``.

    Raises:
        NotFoundError: It is none of these, or holds nothing.
    """
    folder = _folder(name)
    found = read_rollups(folder, features=[LATENCY], figures=(), by="day")
    if not found.rows:
        raise NotFoundError(f"Nothing has been logged of {name!r}.", "Send it requests first.")
    days = found.cells["hour"].to_numpy()
    newest = read_rollups(folder, float(days.max()), features=[LATENCY], figures=())
    profile = found.profile
    return Offered(
        first=float(days.min()),
        last=_end_of(newest, math.nan),
        versions=tuple(np.unique(found.cells["version"].to_numpy()).tolist()),
        slices=tuple(f"{one}={text}" for one in profile.slices for text in profile.categories[one]),
    )


def read_dashboard(name: str, asked: Asked) -> Dashboard:
    """Return what the log of a model says of a stretch, as against all before it.

    Args:
        name: One of ``logged_models``.
        asked: The stretch, its version and its slice.

    Raises:
        NotFoundError: It is none of these, or holds nothing.
    """
    folder = _folder(name)
    long = asked.end - asked.start > _LONGEST_BY_HOUR_S
    wanted: dict[str, Any] = {"version": asked.version, "slice_name": asked.slice_name}
    found = read_rollups(folder, asked.start, asked.end, by="day" if long else "hour", **wanted)
    hour = math.floor(asked.start / 3600) * 3600
    # What other versions were asked before is just as much what used to come.
    before = read_rollups(
        folder, end=hour - 1, by="day", profile=found.profile, slice_name=asked.slice_name
    )
    parts = found.by_hour()
    return Dashboard(
        asked=asked,
        rows=found.rows,
        times=found.hours,
        traffic=np.array([one.rows for one in parts.values()], np.int64),
        latency_ms=np.array([_quantiles(one) for one in parts.values()]).reshape(-1, 2),
        score=np.array([_mean(one, SCORE) for one in parts.values()]),
        classes=_classes(found, before),
        quality=_quality(found),
        changes=_changes(found, before),
        rows_before=before.rows,
        until=_end_of(found, asked.end),
    )


def _end_of(found: Rollups, otherwise: float) -> float:
    ends = found.cells["hour"].to_numpy() + found.cells["span"].to_numpy()
    return float(ends.max()) if len(ends) else otherwise


def _folder(name: str) -> Path:
    if name not in logged_models():
        raise NotFoundError(f"Nothing has been logged under {name!r}.", "Choose a served model.")
    return prediction_folder(name)


def _one_feature(found: Rollups, feature: str) -> NumericSketch | None:
    import pyarrow.compute as pc

    if feature not in found.profile.bins.names:
        return None
    cells = found.cells.filter(pc.equal(found.cells["feature"], feature))
    return Rollups(found.profile, cells).sketch() if len(cells) else None


def _quantiles(found: Rollups) -> tuple[float, float]:
    """Return the median and the 95th percentile of the latency, to a bin; NaN without any."""
    sketch = _one_feature(found, LATENCY)
    if sketch is None or not sketch.finite[0]:
        return math.nan, math.nan
    upper = np.append(sketch.bins.edges[0], sketch.bins.edges[0][-1])
    seen = np.cumsum(sketch.counts[0])
    ends = [upper[int(np.searchsorted(seen, share * seen[-1]))] for share in (0.5, 0.95)]
    return float(ends[0]), float(ends[1])


def _mean(found: Rollups, feature: str) -> float:
    sketch = _one_feature(found, feature)
    return math.nan if sketch is None else float(sketch.means[0])


def _classes(found: Rollups, before: Rollups) -> dict[str, tuple[int, int]]:
    if PREDICTED not in found.profile.categories:
        return {}
    now, then = (one.categories(PREDICTED).counts.tolist() for one in (found, before))
    names = found.profile.categories[PREDICTED]
    return {name: (a, b) for name, a, b in zip(names, now, then, strict=True)}


def _quality(found: Rollups) -> tuple[FeatureQuality, ...]:
    made = [
        FeatureQuality(feature, **counts)
        for feature, counts in found.totals().items()
        if feature not in {LATENCY, SCORE, PREDICTED}
    ]
    return tuple(sorted((one for one in made if one.share > 0), key=lambda one: -one.share))


def _changes(found: Rollups, before: Rollups) -> tuple[FeatureChange, ...] | None:
    if min(found.rows, before.rows) < FEWEST_ROWS:
        return None
    then, now = before.sketch(), found.sketch()
    if not then.bins.same(now.bins):
        return None
    distances = measure(then, now).ks
    made = [
        FeatureChange(name, distance, mean_before, mean)
        for name, distance, mean_before, mean in zip(
            now.bins.names, distances.tolist(), then.means.tolist(), now.means.tolist(), strict=True
        )
        if name != LATENCY
    ]
    return tuple(sorted(made, key=lambda one: -one.distance))
