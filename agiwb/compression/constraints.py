"""The choice of one candidate under constraints; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agiwb.compression.candidate import Candidate
from agiwb.compression.frontier import Point, points_of
from agiwb.compression.recipe import BASELINE

_TOLERANCE = 1e-9
"""A time of exactly the limit is within it, whatever floats make of it."""


@dataclass(frozen=True)
class Limits:
    """What a choice may cost.

    Attributes:
        accuracy_drop: Largest share of the validation examples that may be lost, as measured.
        gzip_bytes: Largest file after gzip.
        latency_ratio: Longest time relative to the baseline's.
    """

    accuracy_drop: float
    gzip_bytes: int | None = None
    latency_ratio: float | None = None

    def __str__(self) -> str:
        drop = 100 * self.accuracy_drop
        words = [f"lose at most {drop:g} point{'' if drop == 1 else 's'} of validation accuracy"]
        if self.gzip_bytes is not None:
            words.append(f"have at most {self.gzip_bytes:,} bytes after gzip")
        if self.latency_ratio is not None:
            words.append(f"take at most {self.latency_ratio:g} of the baseline's time")
        return _listed(words)


@dataclass(frozen=True)
class Choice:
    """The candidate chosen, or None; why, in words; and if None, which comes nearest."""

    name: str | None
    reason: str
    nearest: str | None = None


@dataclass(frozen=True)
class _Excess:
    """By how much a candidate exceeds each limit, in the limit's own unit; 0 is within."""

    drop: float
    gzip_bytes: int
    latency: float

    @property
    def any(self) -> bool:
        return bool(self.drop or self.gzip_bytes or self.latency)


def choose(candidates: Sequence[Candidate], limits: Limits) -> Choice:
    """Return the candidate that is smallest after gzip among those within the limits.

    The baseline is a candidate too: to leave the model as it is may be the best there is. If none
    is within, the reason names the one that exceeds the limits least, by how much it exceeds
    each, and how many candidates keep each limit by itself.

    Args:
        candidates: All of a sweep, the baseline among them with its measurements.
        limits: What may be lost. A latency that cannot be told from the baseline's counts as equal
            to it; a loss of accuracy counts as measured.
    """
    points = points_of(candidates)
    if not points:
        return Choice(None, "No candidate is usable: every one failed.")
    within = [point for point in points if not _excess(point, limits).any]
    if not within:
        return _nearest(candidates, points, limits)
    best = min(within, key=lambda point: point.gzip_bytes)
    others = f"{len(within)} of {len(candidates)} candidates {limits}"
    if best.name == BASELINE:
        return Choice(best.name, f"{others}; none is smaller than the model as it is.")
    return Choice(
        best.name,
        f"{others}; `{best.name}` is the smallest of them: {best.gzip_bytes:,} bytes after gzip.",
    )


def _excess(point: Point, limits: Limits) -> _Excess:
    size = 0 if limits.gzip_bytes is None else point.gzip_bytes - limits.gzip_bytes
    slow = 0.0 if limits.latency_ratio is None else point.latency - limits.latency_ratio
    return _Excess(
        drop=point.excess_drop(limits.accuracy_drop),
        gzip_bytes=max(0, size),
        latency=slow if slow > _TOLERANCE else 0.0,
    )


def _nearest(candidates: Sequence[Candidate], points: Sequence[Point], limits: Limits) -> Choice:
    whole = next(c.measured.gzip_bytes for c in candidates if c.name == BASELINE and c.measured)

    # Shares of the examples, of the baseline's bytes and of its time: their sum is a fair
    # distance without weights that nobody has chosen.
    def distance(point: Point) -> float:
        excess = _excess(point, limits)
        return excess.drop + excess.gzip_bytes / whole + excess.latency

    point = min(points, key=distance)
    excess = _excess(point, limits)
    misses = []
    if excess.drop:
        misses.append(
            f"loses {100 * point.drop:.2g} points of accuracy, {100 * excess.drop:.2g} too many"
        )
    if excess.gzip_bytes:
        misses.append(f"has {point.gzip_bytes:,} bytes after gzip, {excess.gzip_bytes:,} too many")
    if excess.latency:
        misses.append(
            f"takes {point.latency:.2f} of the baseline's time, {excess.latency:.2g} too much"
        )
    reason = (
        f"No candidate would {limits}. The nearest is `{point.name}`: it {_listed(misses)}."
        f"{_alone(points, limits)}"
    )
    return Choice(None, reason, point.name)


def _alone(points: Sequence[Point], limits: Limits) -> str:
    """Return how many candidates keep each limit by itself; nothing if there is only one limit."""
    found = [_excess(point, limits) for point in points]
    kept = [f"{sum(not each.drop for each in found)} the one on accuracy"]
    if limits.gzip_bytes is not None:
        kept.append(f"{sum(not each.gzip_bytes for each in found)} the one on size")
    if limits.latency_ratio is not None:
        kept.append(f"{sum(not each.latency for each in found)} the one on time")
    if len(kept) == 1:
        return ""
    return f" Of {len(points)} usable candidates {_listed(kept)} by itself."


def _listed(words: Sequence[str]) -> str:
    """Return the words joined by commas and an ``and``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
