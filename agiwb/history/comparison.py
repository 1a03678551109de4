"""Two runs side by side: what differs in config, origin, figures and files, and what that means."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agiwb.errors import InputError
from agiwb.runs.record import Record
from agiwb.statistics import Interval

Verdict = Literal["identical", "same results", "within the intervals", "different"]

_TIMING = re.compile(r"(^|_)(ms|s|us|seconds|latency|duration|throughput|speedup|rate)(_|$)")
"""Names of figures that depend on what else the machine does."""
_RECORD_FILE = "record.json"


@dataclass(frozen=True)
class Change:
    """Something that two runs have differently; None where one has it not at all."""

    name: str
    first: Any
    second: Any


@dataclass(frozen=True)
class MetricChange:
    """A figure of two runs.

    ``interval`` is of 95 %, for the second less the first, where both have an interval: see
    ``difference_interval``.
    """

    name: str
    first: float | None
    second: float | None
    first_interval: Interval | None = None
    second_interval: Interval | None = None
    interval: Interval | None = None

    @property
    def difference(self) -> float | None:
        """The second less the first."""
        if self.first is None or self.second is None:
            return None
        return self.second - self.first

    @property
    def is_same(self) -> bool:
        """Whether both have exactly this figure; NaN is the same as NaN."""
        first, second = self.first, self.second
        if first is None or second is None:
            return first is second
        return first == second or (math.isnan(first) and math.isnan(second))

    @property
    def is_timing(self) -> bool:
        """Whether it is a time or a rate, which no two runs have in common."""
        return bool(_TIMING.search(self.name))

    @property
    def is_explained(self) -> bool:
        """Whether the difference is no larger than the examples' chance would make it."""
        return self.interval is not None and self.interval.low <= 0 <= self.interval.high


@dataclass(frozen=True)
class Comparison:
    """What two runs of one step have differently; ``metrics`` has the equal ones too."""

    first: Record
    second: Record
    config: tuple[Change, ...]
    origin: tuple[Change, ...]
    """Inputs, packages, code, Python and machine."""
    metrics: tuple[MetricChange, ...]
    files: tuple[Change, ...]
    """By path, their SHA-256."""

    @property
    def verdict(self) -> Verdict:
        """Whether the results are the same; times and rates have no say.

        ``identical``: all figures and all files, byte for byte. ``same results``: all figures.
        ``within the intervals``: each figure that differs does so by no more than chance explains.
        """
        differing = [one for one in self.metrics if not one.is_same and not one.is_timing]
        if not differing:
            return "same results" if self.files else "identical"
        if all(one.is_explained for one in differing):
            return "within the intervals"
        return "different"

    def sentence(self) -> str:
        """Return the verdict in words, with what has changed in between."""
        words = {
            "identical": "The results are identical: every figure and every file, byte for byte.",
            "same results": "Every figure is the same to the last digit; only the bytes of "
            f"{_listed([one.name for one in self.files])} differ.",
            "within the intervals": "The figures differ by no more than chance explains: "
            f"{_listed(self._differing())}.",
            "different": f"The results differ: {_listed(self._differing())}.",
        }[self.verdict]
        changed = [*(f"`{one.name}`" for one in self.config), *(one.name for one in self.origin)]
        return f"{words} Changed in between: {_listed(changed)}." if changed else words

    def _differing(self) -> list[str]:
        return [one.name for one in self.metrics if not one.is_same and not one.is_timing]


def compare(first: Record, second: Record) -> Comparison:
    """Return what two finished runs have differently.

    Raises:
        InputError: They are of different steps, whose records have nothing in common.
    """
    if first.run.step != second.run.step:
        raise InputError(
            f"Run {first.run.id[:8]} is of `{first.run.step}` and run {second.run.id[:8]} of "
            f"`{second.run.step}`.",
            "Compare two runs of one step.",
        )
    return Comparison(
        first,
        second,
        _changes(first.config.model_dump(mode="json"), second.config.model_dump(mode="json")),
        _changes(_origin(first), _origin(second)),
        _metrics(first, second),
        _changes(_files(first), _files(second)),
    )


def difference_interval(
    first: float, first_interval: Interval, second: float, second_interval: Interval
) -> Interval:
    """Return the 95 % interval of ``second - first`` from the intervals of both.

    The square-and-add method (Newcombe 1998, method 10; Zou and Donner 2008). It takes the two
    figures as independent; on the same test examples they rarely are, and it is then too wide.
    """
    difference = second - first
    return Interval(
        difference - math.hypot(second - second_interval.low, first_interval.high - first),
        difference + math.hypot(second_interval.high - second, first - first_interval.low),
    )


def with_interval(value: float | None, interval: Interval | None) -> str:
    """Return a figure in words: ``0.8028 [0.759, 0.840]``."""
    if value is None:
        return ""
    return f"{value:.6g}" + (f" [{interval.low:.4g}, {interval.high:.4g}]" if interval else "")


def _metrics(first: Record, second: Record) -> tuple[MetricChange, ...]:
    return tuple(
        _metric(name, first, second) for name in dict.fromkeys([*first.metrics, *second.metrics])
    )


def _metric(name: str, first: Record, second: Record) -> MetricChange:
    one, other = first.metrics.get(name), second.metrics.get(name)
    bounds, other_bounds = _interval(name, first), _interval(name, second)
    interval = None
    if one is not None and other is not None and bounds is not None and other_bounds is not None:
        interval = difference_interval(one, bounds, other, other_bounds)
    return MetricChange(name, one, other, bounds, other_bounds, interval)


def _interval(name: str, record: Record) -> Interval | None:
    """Return the interval that a record keeps for one of its figures."""
    if name == f"test_{getattr(record, 'main_metric', '')}":
        found = getattr(record, "test_interval", None)
    else:
        found = getattr(record, f"{name}_interval", None)
    return None if found is None else Interval(*found)


def _origin(record: Record) -> dict[str, str]:
    made = record.run.provenance
    return {
        **{f"the input {name}": digest for name, digest in made.inputs.items()},
        **{f"the version of {name}": version for name, version in made.packages.items()},
        "the code of agiwb": made.code_sha256,
        "the version of Python": made.python,
        "the machine": made.machine,
    }


def _files(record: Record) -> dict[str, str]:
    return {file.path: file.sha256 for file in record.run.files if file.path != _RECORD_FILE}


def _changes(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[Change, ...]:
    names = dict.fromkeys([*first, *second])
    return tuple(
        Change(name, first.get(name), second.get(name))
        for name in names
        if first.get(name) != second.get(name)
    )


def _listed(names: list[str]) -> str:
    """Return a few names, and how many more there are."""
    few = 6
    shown = ", ".join(names[:few])
    return f"{shown} and {len(names) - few} more" if len(names) > few else shown
