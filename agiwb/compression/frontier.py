"""The front of a trade-off and its ties; pure.

Both go by the accuracy on the validation split: the test split is for the report on what was
chosen, and would flatter it if it had chosen too.

What cannot be told from the baseline counts as equal to it: a candidate's accuracy where McNemar's
p-value is above 0.05, its latency where no difference may be claimed. Otherwise one lucky
example or one percent of jitter would decide who is on the front. Each candidate is compared with
the baseline alone, not with each other: "not distinguishable" is not transitive, so a rule for
pairs could let A beat B, B beat C, and C beat A.

Two that differ from the baseline may still not differ from each other, and both be on the front
by luck. Such pairs are kept, and declared as ties.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.candidate import Candidate
from agiwb.compression.measurements import SIGNIFICANT, Measurements
from agiwb.compression.recipe import BASELINE
from agiwb.errors import WorkError
from agiwb.statistics import mcnemar_p_value

_TOLERANCE = 1e-9
"""A drop of exactly one in a hundred must pass a limit of 0.01, whatever floats make of it."""

Rightness = Mapping[str, NDArray[np.bool_]]
"""By candidate: whether it is right on each validation example, ``(examples,)``, all in one order.
"""


@dataclass(frozen=True)
class Point:
    """What is compared. ``accuracy`` and ``latency`` equal the baseline's if not distinguishable.

    ``drop`` is the accuracy lost as measured: that a small data set cannot detect a loss does not
    prove that there is none, so a limit on the drop is held against the bare number.
    """

    name: str
    accuracy: float
    drop: float
    gzip_bytes: int
    latency: float

    @property
    def costs(self) -> tuple[float, float, float]:
        """Its place in the trade-off: of each number, less is better."""
        return (-self.accuracy, self.gzip_bytes, self.latency)

    def excess_drop(self, limit: float) -> float:
        """Return by how much more than ``limit`` it loses; 0 if it keeps to it."""
        excess = self.drop - limit
        return excess if excess > _TOLERANCE else 0.0

    def dominates(self, other: Point) -> bool:
        """Return whether it is as good as ``other`` throughout, and better somewhere."""
        return self.costs != other.costs and all(
            mine <= theirs for mine, theirs in zip(self.costs, other.costs, strict=True)
        )


def points_of(candidates: Sequence[Candidate]) -> list[Point]:
    """Return a point for each usable candidate; none if the baseline was not measured.

    Raises:
        WorkError: Their latencies were measured on more than one kind of machine.
    """
    kinds = {c.measured.hardware: c.name for c in candidates if c.measured}
    if len(kinds) > 1:
        told = ", ".join(f"{name} on {kind or 'an unknown one'}" for kind, name in kinds.items())
        raise WorkError(
            f"These candidates were timed on {len(kinds)} kinds of machine ({told}), and do not "
            "compare.",
            "Measure all of them on one: in one sweep.",
        )
    baseline = next((c.measured for c in candidates if c.name == BASELINE), None)
    if baseline is None:
        return []
    reference = baseline.validation_accuracy
    usable = {c.name: c.measured for c in candidates if c.usable and c.measured}
    return [
        Point(
            name=name,
            accuracy=measured.validation_accuracy if measured.validation_differs else reference,
            drop=reference - measured.validation_accuracy,
            gzip_bytes=measured.gzip_bytes,
            latency=1.0 if measured.speed == "same" else measured.latency_ratio,
        )
        for name, measured in usable.items()
    ]


def front(candidates: Sequence[Candidate]) -> frozenset[str]:
    """Return the names of the candidates that no other dominates.

    One dominates another if it is at least as good in accuracy (higher), size after gzip (lower)
    and latency (lower), and better in one of them; see the module for what counts as equal.
    """
    return frozenset(point.name for point in undominated(points_of(candidates)))


def undominated(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other dominates, in their order."""
    return [point for point in points if not any(other.dominates(point) for other in points)]


def ties(
    candidates: Sequence[Candidate], right: Rightness, floor: float
) -> dict[str, tuple[str, ...]]:
    """Return for each candidate on the front the others there that noise alone keeps apart.

    Two are tied if McNemar's test on the validation split does not tell their accuracies apart
    and their latencies are not either. Their sizes are exact, and may differ.

    Args:
        candidates: All of a sweep.
        right: Of at least those on the front.
        floor: Above 1: how many times slower something must be to be called so.
    """
    on_front = front(candidates)
    measured = {c.name: c.measured for c in candidates if c.name in on_front and c.measured}
    tied: dict[str, tuple[str, ...]] = dict.fromkeys(measured, ())
    for one, other in combinations(measured, 2):
        if same_accuracy(right[one], right[other]) and _same_latency(
            measured[one], measured[other], floor
        ):
            tied[one] += (other,)
            tied[other] += (one,)
    return tied


def same_accuracy(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> bool:
    """Return whether two are right equally often as far as McNemar's test can tell, at 5 %."""
    only_one, only_other = int(np.sum(one & ~other)), int(np.sum(other & ~one))
    return mcnemar_p_value(only_one, only_other) > SIGNIFICANT


def _same_latency(one: Measurements, other: Measurements, floor: float) -> bool:
    """Return whether the intervals of the two ratios come closer than the noise floor."""
    fast, slow = sorted((one.latency_ratio_interval, other.latency_ratio_interval))
    return slow.low <= fast.high * floor
