"""What a worker has counted, as JSON can say it, and the sums of several.

Light: the supervisor adds up as well, so that the counts of a worker that died are not lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agiwb.serving.metrics.metrics import Metrics

Numbers = dict[str, Any]
"""``{"values": {family: [[labels, value], ...]},``
``"histograms": {family: [[labels, bounds, cumulative counts, sum], ...]}}``."""

_HIGHEST = frozenset(
    {"agiwb_model_version_state", "agiwb_model_load_seconds", "agiwb_rollout_share"}
)
"""Gauges that every worker has for itself and that do not add up: the highest is told."""
_PASSING = _HIGHEST | {"agiwb_requests_in_flight"}
"""Gauges; they end with their worker."""


def numbers_of(metrics: Metrics) -> Numbers:
    """Return what ``metrics`` has counted."""
    return {
        "values": {
            family: [[list(labels), value] for labels, value in by_labels.items()]
            for family, by_labels in metrics.values().items()
        },
        "histograms": {
            family: [
                [list(labels), list(histogram.bounds), counts, total]
                for labels, (histogram, counts, total) in by_labels.items()
            ]
            for family, by_labels in metrics.histograms().items()
        },
    }


def add_up(several: Iterable[Numbers]) -> Numbers:
    """Return the sums of ``several``; of gauges that do not add up, the highest."""
    values: dict[str, dict[tuple[str, ...], float]] = {}
    histograms: dict[str, dict[tuple[str, ...], list[Any]]] = {}
    for numbers in several:
        for family, entries in numbers["values"].items():
            sums = values.setdefault(family, {})
            for labels, value in entries:
                key = tuple(labels)
                known = sums.get(key, 0)
                sums[key] = max(known, value) if family in _HIGHEST else known + value
        for family, entries in numbers["histograms"].items():
            known_entries = histograms.setdefault(family, {})
            for labels, bounds, counts, total in entries:
                present = known_entries.get(tuple(labels))
                if present is None:
                    known_entries[tuple(labels)] = [bounds, list(counts), total]
                    continue
                present[1] = [one + other for one, other in zip(present[1], counts, strict=True)]
                present[2] += total
    return {
        "values": {
            family: [[list(labels), value] for labels, value in sums.items()]
            for family, sums in values.items()
        },
        "histograms": {
            family: [[list(labels), *entry] for labels, entry in entries.items()]
            for family, entries in histograms.items()
        },
    }


def lasting(numbers: Numbers) -> Numbers:
    """Return ``numbers`` without what ends with its worker."""
    values = {
        family: entries for family, entries in numbers["values"].items() if family not in _PASSING
    }
    return {"values": values, "histograms": numbers["histograms"]}
