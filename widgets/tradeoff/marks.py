"""What is drawn of each candidate, as plain data that a browser can be sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from agiwb.compression.candidate import Candidate
from agiwb.compression.frontier import Point, points_of, undominated
from agiwb.compression.measurements import Measurements
from agiwb.compression.sweep import SweepRecord

KIB = 1024

Mark = dict[str, Any]
"""``name``, the place ``x`` and ``y`` (in %), their intervals ``x_low``, ``x_high``, ``y_low`` and
``y_high`` (None where exact), ``front``, ``picks``, and the sentence ``told`` that is read out."""


def size_marks(record: SweepRecord) -> list[Mark]:
    """Return the usable candidates with KiB after gzip as ``x``."""
    return _marks(record, lambda measured: (measured.gzip_bytes / KIB, None, None))


def speed_marks(record: SweepRecord) -> list[Mark]:
    """Return the usable candidates with the ratio of their latency to the baseline's as ``x``."""
    return _marks(
        record, lambda measured: (measured.latency_ratio, *measured.latency_ratio_interval)
    )


def size_front(record: SweepRecord) -> list[str]:
    """Return the names of those that none beats in size and accuracy, the smallest first."""
    return _front(record, lambda point: replace(point, latency=1.0), lambda p: p.gzip_bytes)


def speed_front(record: SweepRecord) -> list[str]:
    """Return the names of those that none beats in latency and accuracy, the fastest first."""
    return _front(record, lambda point: replace(point, gzip_bytes=1), lambda p: p.latency)


def drawn(record: SweepRecord) -> list[Candidate]:
    """Return the candidates that have a place in the picture: those that are usable."""
    return [candidate for candidate in record.candidates if candidate.usable]


def told(candidate: Candidate) -> str:
    """Return a candidate in one sentence, for those who do not see its place."""
    measured = candidate.measured
    if measured is None:
        return f"{candidate.name}: not usable"
    words = [
        f"{candidate.name}: {measured.validation_accuracy:.1%} of the validation split right",
        f"{measured.gzip_bytes / KIB:.1f} KiB after gzip",
        f"{measured.latency_ratio:.2f} of the baseline's time",
    ]
    words += ["on the front"] if candidate.on_front else []
    words += [f"the {pick} pick" for pick in candidate.picks]
    return ", ".join(words)


def _marks(
    record: SweepRecord, place: Callable[[Measurements], tuple[float, float | None, float | None]]
) -> list[Mark]:
    marks = []
    for candidate in drawn(record):
        if (measured := candidate.measured) is None:
            continue
        x, x_low, x_high = place(measured)
        low, high = measured.validation_interval
        marks.append(
            {
                "name": candidate.name,
                "x": x,
                "x_low": x_low,
                "x_high": x_high,
                "y": 100 * measured.validation_accuracy,
                "y_low": 100 * low,
                "y_high": 100 * high,
                "front": candidate.on_front,
                "picks": list(candidate.picks),
                "told": told(candidate),
            }
        )
    return marks


def _front(
    record: SweepRecord, flatten: Callable[[Point], Point], cost: Callable[[Point], float]
) -> list[str]:
    points: Sequence[Point] = undominated(
        [flatten(point) for point in points_of(record.candidates)]
    )
    return [point.name for point in sorted(points, key=cost)]
