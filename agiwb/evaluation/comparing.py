"""Which slices got better or worse from one model to another, and which groups are apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agiwb.evaluation.record import EvaluateRecord
from agiwb.evaluation.stored import WHOLE, StoredMetric
from agiwb.evaluation.tfma_engine import BASELINE
from agiwb.history.comparison import difference_interval
from agiwb.statistics import Interval

COUNT = "example_count"
_LOWER_IS_BETTER = ("error", "loss", "crossentropy", "false_", "gap")

Direction = Literal["better", "worse", "no clear difference", "too small"]


@dataclass(frozen=True)
class SliceChange:
    """One slice of two models; ``difference`` is this model's less the other's."""

    slice: str
    examples: int
    value: float
    other: float
    difference: float
    interval: Interval | None
    direction: Direction


@dataclass(frozen=True)
class Gap:
    """The largest difference of one metric between the groups of one column."""

    column: str
    metric: str
    low_group: str
    low: float
    high_group: str
    high: float

    @property
    def size(self) -> float:
        """How far the groups are apart."""
        return self.high - self.low


def is_better_lower(metric: str) -> bool:
    """Return whether less of a metric is better: of errors and losses."""
    return any(word in metric for word in _LOWER_IS_BETTER)


def paired_metrics(metrics: Sequence[StoredMetric]) -> list[str]:
    """Return the metrics of which differences to a baseline are stored, accuracies first."""
    names = {one.name for one in metrics if one.is_diff and one.class_id is None} - {COUNT}
    return sorted(names, key=lambda name: ("accuracy" not in name, name))


def paired_changes(
    metrics: Sequence[StoredMetric], metric: str, smallest: int
) -> list[SliceChange]:
    """Return each slice beside the baseline's, by differences on the very same examples.

    Args:
        metrics: Of one evaluation.
        metric: One of ``paired_metrics``.
        smallest: Slices with fewer examples are too small to be judged.
    """
    sizes = slice_sizes(metrics)
    chosen = [one for one in metrics if one.name == metric and one.class_id is None]
    ours = {one.slice: one.value for one in chosen if not one.is_diff and one.model != BASELINE}
    theirs = {one.slice: one.value for one in chosen if not one.is_diff and one.model == BASELINE}
    lower = is_better_lower(metric)
    return [
        SliceChange(
            one.slice, sizes.get(one.slice, 0), ours[one.slice], theirs[one.slice], one.value,
            one.interval,
            _direction(one.interval, sizes.get(one.slice, 0) < smallest, lower_is_better=lower),
        )
        for one in _whole_first([one for one in chosen if one.is_diff])
        if one.slice in ours and one.slice in theirs
    ]  # fmt: skip


def independent_changes(record: EvaluateRecord, other: EvaluateRecord) -> list[SliceChange]:
    """Return the accuracy of each slice that two evaluations have, intervals as if independent.

    On the same examples they are not, and these intervals are then too wide: see
    ``difference_interval``. Evaluations of numbers have none.
    """
    smallest = max(record.config.min_slice_size, other.config.min_slice_size)
    theirs = _accuracies(other)
    found = []
    for name, (value, interval, examples) in _accuracies(record).items():
        if name not in theirs:
            continue
        second, bounds, their_examples = theirs[name]
        apart = difference_interval(second, bounds, value, interval)
        small = min(examples, their_examples) < smallest
        direction = _direction(apart, small, lower_is_better=False)
        found.append(SliceChange(name, examples, value, second, value - second, apart, direction))
    return found


def gaps(metrics: Sequence[StoredMetric], smallest: int) -> list[Gap]:
    """Return for each column and metric which groups are farthest apart, the widest gap first.

    Args:
        metrics: Of one evaluation.
        smallest: Groups with fewer examples are left out.
    """
    sizes = slice_sizes(metrics)
    groups: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for one in metrics:
        if len(one.columns) != 1 or one.is_diff or one.model == BASELINE or one.name == COUNT:
            continue
        large = sizes.get(one.slice, 0) >= smallest
        if large and one.class_id is None and math.isfinite(one.value):
            groups.setdefault((one.columns[0], one.name), []).append((one.value, one.values[0]))
    found = [
        Gap(column, metric, min(them)[1], min(them)[0], max(them)[1], max(them)[0])
        for (column, metric), them in groups.items()
        if len(them) > 1
    ]
    return sorted(found, key=lambda one: -one.size)


def slice_sizes(metrics: Sequence[StoredMetric]) -> dict[str, int]:
    """Return the number of examples in each slice."""
    return {one.slice: round(one.value) for one in metrics if one.name == COUNT and not one.is_diff}


def _whole_first(metrics: list[StoredMetric]) -> list[StoredMetric]:
    return sorted(metrics, key=lambda one: (one.slice != WHOLE, one.slice))


def _accuracies(record: EvaluateRecord) -> dict[str, tuple[float, Interval, int]]:
    if record.accuracy_interval is None:
        return {}
    overall = record.metrics[f"{record.config.split}_accuracy"]
    return {
        WHOLE: (overall, record.accuracy_interval, record.examples),
        **{
            f"{one.column} = {one.value}": (one.accuracy, one.accuracy_interval, one.examples)
            for one in record.slices
        },
    }


def _direction(interval: Interval | None, is_small: bool, *, lower_is_better: bool) -> Direction:
    if is_small:
        return "too small"
    if interval is None or interval.low <= 0 <= interval.high:
        return "no clear difference"
    return "better" if (interval.low > 0) != lower_is_better else "worse"
