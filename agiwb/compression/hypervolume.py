"""The hypervolume of a front: one number for how much of a trade-off it covers.

It is the volume of what the front dominates up to a reference point (Zitzler and Thiele 1998), in
units of the baseline: its accuracy, its bytes after gzip and its time are each 1. The reference
lies 10 % beyond the baseline in each, so that the baseline alone has 0.1 ** 3 = 0.001. What is
worse than the reference in any respect adds nothing. Sweeps of one model on one data set can be
compared by it; others cannot.
"""

from __future__ import annotations

from collections.abc import Sequence

from agiwb.compression.candidate import Candidate
from agiwb.compression.frontier import points_of
from agiwb.compression.recipe import BASELINE

_MARGIN = 0.1
"""How far beyond the baseline the reference lies, as a share of it."""

Triple = tuple[float, float, float]


def reference_of(candidates: Sequence[Candidate]) -> dict[str, float]:
    """Return the baseline's values made 10 % worse, by field; none if it was not measured."""
    baseline = next((c.measured for c in candidates if c.name == BASELINE), None)
    if baseline is None:
        return {}
    return {
        "validation_accuracy": baseline.validation_accuracy * (1 - _MARGIN),
        "gzip_bytes": baseline.gzip_bytes * (1 + _MARGIN),
        "latency_ratio": 1 + _MARGIN,
    }


def hypervolume(candidates: Sequence[Candidate]) -> float:
    """Return the hypervolume of the usable candidates, 0 if there is none; see the module.

    What cannot be told from the baseline counts as equal to it, as it does on the front: luck and
    jitter cover nothing.
    """
    baseline = next((c.measured for c in candidates if c.name == BASELINE), None)
    if baseline is None or not baseline.validation_accuracy:
        return 0.0
    return dominated_volume(
        [
            (
                -point.accuracy / baseline.validation_accuracy,
                point.gzip_bytes / baseline.gzip_bytes,
                point.latency,
            )
            for point in points_of(candidates)
        ],
        (_MARGIN - 1, 1 + _MARGIN, 1 + _MARGIN),
    )


def dominated_volume(points: Sequence[Triple], reference: Triple) -> float:
    """Return the volume between ``points`` and ``reference``; of each number less is better.

    It sweeps along the third axis: between two heights the cut is the area of all points below
    (Fonseca, Paquete and Lopez-Ibanez 2006, in its plain form of O(n^2 log n)).
    """
    inside = sorted(
        (point for point in points if all(a < b for a, b in zip(point, reference, strict=True))),
        key=lambda point: point[2],
    )
    heights = [point[2] for point in inside] + [reference[2]]
    return sum(
        _area([(x, y) for x, y, _ in inside[: index + 1]], reference[0], reference[1])
        * (heights[index + 1] - heights[index])
        for index in range(len(inside))
    )


def _area(points: list[tuple[float, float]], right: float, top: float) -> float:
    """Return the area between the staircase of ``points`` and the corner ``(right, top)``."""
    area, ceiling = 0.0, top
    for x, y in sorted(points):
        if y < ceiling:
            area += (right - x) * (ceiling - y)
            ceiling = y
    return area
