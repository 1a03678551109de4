"""Three named picks, for those who have no limits in mind; pure.

All go by the validation split, and by usable candidates only, which therefore beat chance.

``quality`` is the smallest after gzip of those whose accuracy cannot be told from the highest and
is at most the allowed drop below it.

``balanced`` is the knee of the front among those that lose at most three times the allowed drop:
the one nearest to the ideal, by ``sqrt(a^2 + s^2 + t^2)``, where ``a``, ``s`` and ``t`` run from 0
for the best of them to 1 for the worst in accuracy, logarithm of bytes and logarithm of time.

``compact`` is the smallest after gzip of those that lose at most three times the allowed drop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from agiwb.compression.candidate import Candidate
from agiwb.compression.frontier import Point, Rightness, points_of, same_accuracy, undominated

_LENIENCE = 3
"""How many times the allowed drop a balanced or compact model may lose."""


def pick(candidates: Sequence[Candidate], right: Rightness, accuracy_drop: float) -> dict[str, str]:
    """Return the name of each pick's candidate; a pick is missing if no candidate qualifies.

    Args:
        candidates: All of a sweep, the baseline among them.
        right: Of every usable candidate.
        accuracy_drop: The share of the validation examples that a choice may lose.
    """
    points = points_of(candidates)
    if not points:
        return {}
    picks = {"quality": _quality(points, right, accuracy_drop)}
    tolerable = [p for p in points if not p.excess_drop(_LENIENCE * accuracy_drop)]
    if tolerable:
        picks["balanced"] = _knee(undominated(tolerable)).name
        picks["compact"] = min(tolerable, key=lambda point: point.gzip_bytes).name
    return picks


def _quality(points: Sequence[Point], right: Rightness, accuracy_drop: float) -> str:
    best = min(points, key=lambda point: point.drop)
    ties = [
        point
        for point in points
        if not point.excess_drop(best.drop + accuracy_drop)
        and same_accuracy(right[point.name], right[best.name])
    ]
    return min(ties, key=lambda point: point.gzip_bytes).name


def _knee(points: Sequence[Point]) -> Point:
    costs = {
        point: (-point.accuracy, math.log(point.gzip_bytes), math.log(point.latency))
        for point in points
    }
    best = [min(axis) for axis in zip(*costs.values(), strict=True)]
    spread = [max(axis) - min(axis) for axis in zip(*costs.values(), strict=True)]

    def distance(point: Point) -> float:
        return math.hypot(
            *(
                (cost - low) / width if width else 0.0
                for cost, low, width in zip(costs[point], best, spread, strict=True)
            )
        )

    return min(points, key=distance)
