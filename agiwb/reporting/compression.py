"""The trade-off of a sweep, as a picture and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from agiwb.compression.frontier import Point, points_of, undominated
from agiwb.compression.recipe import BASELINE
from agiwb.compression.sweep import Measurements, SweepRecord
from agiwb.reporting.picture import BLUE, GREY, VERMILION, Picture
from agiwb.reporting.point_labels import place_labels
from agiwb.reporting.tables import Table
from agiwb.statistics import Interval

_KIB = 1024
_WIDE = 8
"""How many times the least latency the greatest must be to need a logarithmic axis."""

_LEGEND = (
    "bars: 95 % intervals · filled: on the front · square: chosen · hollow: another does all as "
    "well or better · = number: tied, noise alone keeps them apart"
)


@dataclass(frozen=True)
class _Mark:
    """A usable candidate, to be drawn."""

    name: str
    measured: Measurements
    on_front: bool
    chosen: bool
    tie: int | None
    """A number that all candidates tied with it share; None if there is none."""

    @property
    def percent(self) -> float:
        """Accuracy as it is drawn: on the validation split, which decides."""
        return 100 * self.measured.validation_accuracy

    @property
    def gzip_kib(self) -> float:
        """Size as it is drawn."""
        return self.measured.gzip_bytes / _KIB

    @property
    def label(self) -> str:
        """What is written beside it."""
        return self.name if self.tie is None else f"{self.name} ={self.tie}"

    @property
    def colour(self) -> str:
        """Red if chosen, blue if only on the front, else grey."""
        if self.chosen:
            return VERMILION
        return BLUE if self.on_front else GREY


def plot_tradeoff(record: SweepRecord) -> Picture:
    """Return validation accuracy against compressed size and latency, with 95 % intervals.

    It is the validation split that front, choice and picks go by; what the chosen one is worth is
    its test accuracy, in the table. Lines show the baseline, the limits of the choice, and the
    front of each picture's own two values; what is not told from the baseline counts as equal to
    it there, as in the choice. Only usable candidates are drawn; the others are named below, and
    if there is no usable one the picture says so.
    """
    marks = _marks(record)
    missing = _missing(record, marks)
    if not marks:
        return _empty(f"No form of {record.model_name} is usable", missing)
    picture = Picture(11, 5, _alt(record, marks, missing))
    size, speed = picture.axes_row(2)
    for mark in marks:
        _draw(size, mark.gzip_kib, None, mark)
        bounds = mark.measured.latency_ratio_interval
        _draw(speed, mark.measured.latency_ratio, bounds, mark)
    _draw_size_axis(size, record)
    _draw_speed_axis(speed, record)
    points = points_of(record.candidates)
    _draw_front(size, marks, [_without(point, latency=1) for point in points])
    _draw_front(speed, marks, [_without(point, gzip_bytes=1) for point in points])
    for axes in (size, speed):
        axes.set(ylabel="validation accuracy (%), which front and choice go by")
        _draw_accuracies(axes, record)
        axes.margins(x=0.12, y=0.1)
    for axes in (size, speed):
        axes.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2)
    picture.supxlabel("\n".join(filter(None, (_LEGEND, missing))), fontsize=7.5)
    place_labels(size, [(mark.gzip_kib, mark.percent, mark.label) for mark in marks])
    place_labels(speed, [(mark.measured.latency_ratio, mark.percent, mark.label) for mark in marks])
    return picture


def candidate_table(record: SweepRecord) -> Table:
    """Return a row for each candidate: its measurements, and what they mean or why it failed."""
    rows = [
        {
            "candidate": candidate.name,
            "pick": ", ".join(candidate.picks),
            **(_figures(candidate.measured) if candidate.measured else {}),
            "verdict": candidate.verdict,
        }
        for candidate in record.candidates
    ]
    return Table.of(rows)


def _figures(measured: Measurements) -> dict[str, str]:
    """Return the measurements in words, by column."""
    accuracy, ratio = measured.accuracy_interval, measured.latency_ratio_interval
    return {
        "validation": f"{measured.validation_accuracy:.2%}",
        "test": f"{measured.test_accuracy:.2%}",
        "95 % interval": f"{accuracy.low:.1%} to {accuracy.high:.1%}",
        "worse / better": f"{measured.worse} / {measured.better}",
        "file": _size(measured.size_bytes),
        "gzip": _size(measured.gzip_bytes),
        "xz": _size(measured.xz_bytes),
        "packed": _size(measured.packed_bytes),
        "p50 latency": f"{measured.latency_ms_p50:.3g} ms",
        "of baseline": f"{measured.latency_ratio:.2f} ({ratio.low:.2f} to {ratio.high:.2f})",
        f"in batches of {measured.batch_size}": f"{measured.batch_latency_ratio:.2f}",
        "load": f"{measured.load_ms:.3g} ms",
        "memory": f"{measured.peak_memory_bytes / _KIB**2:.1f} MiB",
    }


def _size(content: int | None) -> str:
    return "" if content is None else f"{content / _KIB:.1f} KiB"


def _marks(record: SweepRecord) -> list[_Mark]:
    groups = _tie_numbers(record)
    return [
        _Mark(
            candidate.name,
            candidate.measured,
            candidate.on_front,
            candidate.name == record.chosen,
            groups.get(candidate.name),
        )
        for candidate in record.candidates
        if candidate.usable and candidate.measured
    ]


def _tie_numbers(record: SweepRecord) -> dict[str, int]:
    """Return a number for each tied candidate; those linked by ties, however far, share it."""
    ties = {candidate.name: candidate.ties for candidate in record.candidates if candidate.ties}
    numbers: dict[str, int] = {}
    for first in ties:
        if first in numbers:
            continue
        number, waiting = len(set(numbers.values())) + 1, [first]
        while waiting:
            name = waiting.pop()
            if name not in numbers:
                numbers[name] = number
                waiting.extend(ties.get(name, ()))
    return numbers


def _missing(record: SweepRecord, marks: Sequence[_Mark]) -> str:
    """Return which candidates are not drawn, in words; empty if all are."""
    names = [candidate.name for candidate in record.candidates if not candidate.usable]
    if not names:
        return ""
    alone = "only the baseline is usable; " if [m.name for m in marks] == [BASELINE] else ""
    return f"{alone}not usable, so not drawn: {', '.join(names)}"


def _alt(record: SweepRecord, marks: Sequence[_Mark], missing: str) -> str:
    shown = (
        f"{mark.name} {mark.percent:.1f}% right of the validation split, "
        f"{mark.measured.gzip_bytes:,} bytes after gzip, "
        f"{mark.measured.latency_ratio:.2f} of the baseline's time"
        for mark in marks
    )
    said = "; ".join(filter(None, (*shown, missing)))
    return f"Trade-off among forms of {record.model_name}: {said}."


def _empty(title: str, missing: str) -> Picture:
    """Return a picture of words alone."""
    picture = Picture(10, 1.2, f"{title}; {missing}.")
    picture.text(0.5, 0.6, f"{title}.", ha="center")
    picture.text(0.5, 0.25, missing, ha="center", fontsize=8)
    return picture


def _draw(axes: Axes, x: float, x_bounds: Interval | None, mark: _Mark) -> None:
    """Draw one candidate with its intervals; it is filled on the front, square if chosen."""
    low, high = mark.measured.validation_interval
    axes.errorbar(
        x,
        mark.percent,
        yerr=_reach(mark.percent, Interval(100 * low, 100 * high)),
        xerr=_reach(x, x_bounds) if x_bounds else None,
        color=mark.colour,
        marker="s" if mark.chosen else "o",
        markerfacecolor=mark.colour if mark.on_front else "white",
        linestyle="none",
        capsize=2,
        elinewidth=0.8,
    )


def _reach(value: float, bounds: Interval) -> list[list[float]]:
    """Return how far the bar extends below and above ``value``: never less than 0, by rounding."""
    return [[max(0.0, value - bounds.low)], [max(0.0, bounds.high - value)]]


def _draw_size_axis(axes: Axes, record: SweepRecord) -> None:
    axes.set(xlabel="size after gzip (KiB, log)", xscale="log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if record.config.max_bytes is not None:
        axes.axvline(
            record.config.max_bytes / _KIB, color="0.3", linestyle="-.", linewidth=1,
            label=f"limit: {record.config.max_bytes:,} bytes",
        )  # fmt: skip


def _draw_speed_axis(axes: Axes, record: SweepRecord) -> None:
    ratios = [
        each
        for candidate in record.candidates
        if candidate.usable and candidate.measured
        for each in candidate.measured.latency_ratio_interval
    ]
    wide = max(ratios) > _WIDE * min(ratios)
    axes.set(xlabel=f"p50 latency, batch 1 (ratio to baseline{', log' if wide else ''})")
    if wide:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.axvspan(
        1 / record.latency_floor, record.latency_floor,
        color="0.93", zorder=0, label="too close to call (A/A)",
    )  # fmt: skip
    if record.config.max_latency_ratio is not None:
        axes.axvline(
            record.config.max_latency_ratio, color="0.3", linestyle="-.", linewidth=1,
            label=f"limit: {record.config.max_latency_ratio:g} of the baseline's time",
        )  # fmt: skip


def _draw_accuracies(axes: Axes, record: SweepRecord) -> None:
    """Draw the baseline's accuracy, and what the choice may lose of it."""
    measured = next((c.measured for c in record.candidates if c.name == BASELINE), None)
    if measured is None:
        return
    accuracy = 100 * measured.validation_accuracy
    axes.axhline(accuracy, color="0.75", linewidth=1, zorder=0, label="baseline")
    drop = 100 * record.config.max_accuracy_drop
    axes.axhline(
        accuracy - drop, color="0.3", linestyle=":", linewidth=1, zorder=0,
        label=f"limit: {drop:g} point{'' if drop == 1 else 's'} less",
    )  # fmt: skip


def _without(point: Point, **same: float) -> Point:
    """Return the point with one respect made equal for all, so that it decides nothing."""
    return Point(**{**vars(point), **same})


def _draw_front(axes: Axes, marks: Sequence[_Mark], points: Sequence[Point]) -> None:
    """Join the candidates that no other dominates in the two respects that ``axes`` shows."""
    names = {point.name for point in undominated(points)}
    joined = [mark for mark in marks if mark.name in names]
    sizes = axes.get_xscale() == "log" and "KiB" in axes.get_xlabel()
    ends = sorted(
        (mark.gzip_kib if sizes else mark.measured.latency_ratio, mark.percent) for mark in joined
    )
    if len(ends) > 1:
        axes.plot(*zip(*ends, strict=True), color=BLUE, linewidth=0.8, linestyle="--", zorder=1,
                  label="front of these two")  # fmt: skip
