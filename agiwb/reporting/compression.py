"""The trade-off of a sweep, as a picture and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import LogFormatter

from agiwb.compression.recipe import BASELINE
from agiwb.compression.sweep import Measurements, SweepRecord
from agiwb.reporting.picture import BLUE, GREY, VERMILION, Picture
from agiwb.reporting.tables import Table
from agiwb.statistics import Interval

_KIB = 1024
# Room that a name needs, as a share of the points' spread.
_LABEL_WIDTH, _LABEL_HEIGHT = 0.25, 0.15

_LEGEND = "bars: 95 % intervals · filled: on the front · square: chosen · line: baseline"


@dataclass(frozen=True)
class _Point:
    """A usable candidate, to be drawn."""

    name: str
    measured: Measurements
    on_front: bool
    chosen: bool

    @property
    def percent(self) -> float:
        """Test accuracy as it is drawn."""
        return 100 * self.measured.test_accuracy

    @property
    def gzip_kib(self) -> float:
        """Size as it is drawn."""
        return self.measured.gzip_bytes / _KIB

    @property
    def colour(self) -> str:
        """Red if chosen, blue if only on the front, else grey."""
        if self.chosen:
            return VERMILION
        return BLUE if self.on_front else GREY


def plot_tradeoff(record: SweepRecord) -> Picture:
    """Return test accuracy against compressed size and against latency, with 95 % intervals.

    Only usable candidates are drawn; the others are named below, and if there is no usable one the
    picture says so.
    """
    points = _points(record)
    missing = _missing(record, points)
    if not points:
        return _empty(f"No form of {record.model_name} is usable", missing)
    picture = Picture(10, 4.2, _alt(record.model_name, points, missing))
    size, speed = picture.axes_row(2)
    for point in points:
        _draw(size, point.gzip_kib, None, point)
        bounds = point.measured.latency_ratio_interval
        _draw(speed, point.measured.latency_ratio, bounds, point)
    _annotate(size, [(point.gzip_kib, point) for point in points])
    _annotate(speed, [(point.measured.latency_ratio, point) for point in points])
    for axes in (size, speed):
        axes.set(ylabel="test accuracy (%)")
        for baseline in (point for point in points if point.name == BASELINE):
            axes.axhline(baseline.percent, color="0.8", linewidth=1, zorder=0)
    size.set(xlabel="size after gzip (KiB, log)", xscale="log")
    for set_formatter in (size.xaxis.set_major_formatter, size.xaxis.set_minor_formatter):
        set_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 1)))
    speed.set(xlabel="p50 latency, batch 1 (ratio to baseline)")
    speed.axvspan(
        1 / record.latency_floor, record.latency_floor,
        color="0.93", zorder=0, label="too close to call (A/A)",
    )  # fmt: skip
    speed.legend(frameon=False, loc="lower right", fontsize=8)
    picture.supxlabel("\n".join(filter(None, (_LEGEND, missing))), fontsize=8)
    return picture


def candidate_table(record: SweepRecord) -> Table:
    """Return a row for each candidate: its measurements, and what they mean or why it failed."""
    rows = [
        {
            "candidate": candidate.name,
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
        "accuracy": f"{measured.test_accuracy:.2%}",
        "95 % interval": f"{accuracy.low:.1%} to {accuracy.high:.1%}",
        "worse / better": f"{measured.worse} / {measured.better}",
        "file": f"{measured.size_bytes / _KIB:.1f} KiB",
        "gzip": f"{measured.gzip_bytes / _KIB:.1f} KiB",
        "p50 latency": f"{measured.latency_ms_p50:.3g} ms",
        "of baseline": f"{measured.latency_ratio:.2f} ({ratio.low:.2f} to {ratio.high:.2f})",
    }


def _points(record: SweepRecord) -> list[_Point]:
    return [
        _Point(
            candidate.name,
            candidate.measured,
            candidate.on_front,
            candidate.name == record.chosen,
        )
        for candidate in record.candidates
        if candidate.usable and candidate.measured
    ]


def _missing(record: SweepRecord, points: Sequence[_Point]) -> str:
    """Return which candidates are not drawn, in words; empty if all are."""
    names = [candidate.name for candidate in record.candidates if not candidate.usable]
    if not names:
        return ""
    alone = "only the baseline is usable; " if [p.name for p in points] == [BASELINE] else ""
    return f"{alone}not usable, so not drawn: {', '.join(names)}"


def _alt(model: str, points: Sequence[_Point], missing: str) -> str:
    shown = (
        f"{point.name} {point.percent:.1f}%, {point.measured.gzip_bytes:,} bytes after gzip, "
        f"{point.measured.latency_ratio:.2f} of the baseline's time"
        for point in points
    )
    return f"Trade-off among forms of {model}: {'; '.join(filter(None, (*shown, missing)))}."


def _empty(title: str, missing: str) -> Picture:
    """Return a picture of words alone."""
    picture = Picture(10, 1.2, f"{title}; {missing}.")
    picture.text(0.5, 0.6, f"{title}.", ha="center")
    picture.text(0.5, 0.25, missing, ha="center", fontsize=8)
    return picture


def _draw(axes: Axes, x: float, x_bounds: Interval | None, point: _Point) -> None:
    """Draw one candidate with its intervals; it is filled on the front, square if chosen."""
    low, high = point.measured.accuracy_interval
    axes.errorbar(
        x,
        point.percent,
        yerr=_reach(point.percent, Interval(100 * low, 100 * high)),
        xerr=_reach(x, x_bounds) if x_bounds else None,
        color=point.colour,
        marker="s" if point.chosen else "o",
        markerfacecolor=point.colour if point.on_front else "white",
        linestyle="none",
        capsize=2,
        elinewidth=0.8,
    )


def _reach(value: float, bounds: Interval) -> list[list[float]]:
    """Return how far the bar extends below and above ``value``: never less than 0, by rounding."""
    return [[max(0.0, value - bounds.low)], [max(0.0, bounds.high - value)]]


def _annotate(axes: Axes, points: Sequence[tuple[float, _Point]]) -> None:
    """Write each candidate's name beside its point; names that would collide are stacked."""
    xs, ys = [x for x, _ in points], [point.percent for _, point in points]
    width, height = max(xs) - min(xs) or 1, max(ys) - min(ys) or 1
    written: list[tuple[float, float]] = []
    for x, point in sorted(points, key=lambda pair: pair[0]):
        level = sum(
            abs(x - other_x) / width < _LABEL_WIDTH
            and abs(point.percent - y) / height < _LABEL_HEIGHT
            for other_x, y in written
        )
        written.append((x, point.percent))
        axes.annotate(
            point.name,
            (x, point.percent),
            xytext=(5, 5 + 11 * level),
            textcoords="offset points",
            fontsize=8,
        )
