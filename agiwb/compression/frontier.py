"""The front of a trade-off, and the choice of one candidate under constraints; pure.

Both go by the accuracy on the validation split: the test split is for the report on what was
chosen, and would flatter it if it had chosen too.

What cannot be told from the baseline counts as equal to it: a candidate's accuracy where McNemar's
p-value is above 0.05, its latency where no difference may be claimed. Otherwise one lucky
example or one percent of jitter would decide who is on the front. Each candidate is compared with
the baseline alone, not with each other: "not distinguishable" is not transitive, so a rule for
pairs could let A beat B, B beat C, and C beat A.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agiwb.compression.candidate import Candidate
from agiwb.compression.recipe import BASELINE

_TOLERANCE = 1e-9
"""A drop of exactly one in a hundred must pass a limit of 0.01, whatever floats make of it."""


@dataclass(frozen=True)
class Choice:
    """The candidate chosen, or None, and why, in words."""

    name: str | None
    reason: str


@dataclass(frozen=True)
class _Point:
    """What is compared. ``accuracy`` and ``latency`` equal the baseline's if not distinguishable.

    ``drop`` is the accuracy lost as measured: that a small data set cannot detect a loss does not
    prove that there is none, so a limit on the drop is held against the bare number.
    """

    name: str
    accuracy: float
    drop: float
    gzip_bytes: int
    latency: float

    def dominates(self, other: _Point) -> bool:
        mine = (-self.accuracy, self.gzip_bytes, self.latency)
        theirs = (-other.accuracy, other.gzip_bytes, other.latency)
        return mine != theirs and all(a <= b for a, b in zip(mine, theirs, strict=True))


@dataclass(frozen=True)
class _Limits:
    accuracy_drop: float
    latency_ratio: float | None

    def excess(self, point: _Point) -> tuple[float, float]:
        """Return by how much the point exceeds each limit; 0 is within."""
        drop = point.drop - self.accuracy_drop
        slow = 0.0 if self.latency_ratio is None else point.latency - self.latency_ratio
        return (drop if drop > _TOLERANCE else 0.0, slow if slow > _TOLERANCE else 0.0)

    def __str__(self) -> str:
        points = 100 * self.accuracy_drop
        words = f"lose at most {points:g} point{'' if points == 1 else 's'} of validation accuracy"
        if self.latency_ratio is None:
            return words
        return f"{words} and take at most {self.latency_ratio:g} of the baseline's time"


def front(candidates: Sequence[Candidate]) -> frozenset[str]:
    """Return the names of the candidates that no other dominates.

    One dominates another if it is at least as good in accuracy (higher), size after gzip (lower)
    and latency (lower), and better in one of them; see the module for what counts as equal.
    """
    points = _points(candidates)
    return frozenset(
        point.name for point in points if not any(other.dominates(point) for other in points)
    )


def choose(
    candidates: Sequence[Candidate],
    max_accuracy_drop: float,
    max_latency_ratio: float | None = None,
) -> Choice:
    """Return the candidate that is smallest after gzip among those within the limits.

    The baseline is a candidate too: to leave the model as it is may be the best there is. If none
    is within, the reason names the one that exceeds the limits least and by how much.

    Args:
        candidates: All of a sweep, the baseline among them with its measurements.
        max_accuracy_drop: Largest share of the validation examples that may be lost, as measured.
        max_latency_ratio: Largest latency relative to the baseline's.
    """
    limits = _Limits(max_accuracy_drop, max_latency_ratio)
    points = _points(candidates)
    if not points:
        return Choice(None, "No candidate is usable: every one failed.")
    within = [point for point in points if not any(limits.excess(point))]
    if not within:
        return Choice(None, _nearest(points, limits))
    best = min(within, key=lambda point: point.gzip_bytes)
    others = f"{len(within)} of {len(candidates)} candidates {limits}"
    if best.name == BASELINE:
        return Choice(best.name, f"{others}; none is smaller than the model as it is.")
    return Choice(
        best.name,
        f"{others}; `{best.name}` is the smallest of them: {best.gzip_bytes:,} bytes after gzip.",
    )


def _nearest(points: list[_Point], limits: _Limits) -> str:
    # Both excesses are shares, of the examples and of the baseline's time: their sum is a fair
    # distance without weights that nobody has chosen.
    point = min(points, key=lambda point: sum(limits.excess(point)))
    drop, slow = limits.excess(point)
    misses = []
    if drop:
        misses.append(f"loses {100 * point.drop:.2g} points of accuracy, {100 * drop:.2g} too many")
    if slow:
        misses.append(f"takes {point.latency:.2f} of the baseline's time, {slow:.2g} too much")
    return f"No candidate would {limits}. The nearest is `{point.name}`: it {' and '.join(misses)}."


def _points(candidates: Sequence[Candidate]) -> list[_Point]:
    """Return a point for each usable candidate; none if the baseline was not measured."""
    baseline = next((c.measured for c in candidates if c.name == BASELINE), None)
    if baseline is None:
        return []
    reference = baseline.validation_accuracy
    usable = {c.name: c.measured for c in candidates if c.usable and c.measured}
    return [
        _Point(
            name=name,
            accuracy=measured.validation_accuracy if measured.validation_differs else reference,
            drop=reference - measured.validation_accuracy,
            gzip_bytes=measured.gzip_bytes,
            latency=1.0 if measured.speed == "same" else measured.latency_ratio,
        )
        for name, measured in usable.items()
    ]
