"""The trade-off of a sweep, as a picture and as a table."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import LogFormatter

from agiwb.compression.sweep import Candidate, SweepRecord
from agiwb.reporting.picture import BLUE, GREY, VERMILION, Picture
from agiwb.reporting.tables import Table
from agiwb.statistics import Interval

_KIB = 1024
# Room that a name needs, as a share of the points' spread.
_LABEL_WIDTH, _LABEL_HEIGHT = 0.25, 0.15


def plot_tradeoff(record: SweepRecord) -> Picture:
    """Return test accuracy against compressed size and against latency, with 95 % intervals."""
    usable = [candidate for candidate in record.candidates if candidate.status == "ok"]
    picture = Picture(
        10, 4.2,
        f"Trade-off of {len(usable)} compressed forms of {record.model_name}: "
        + "; ".join(f"{c.name} {c.test_accuracy:.1%}, {c.gzip_bytes} bytes" for c in usable),
    )  # fmt: skip
    size, speed = picture.axes_row(2)
    for candidate in usable:
        bounds = candidate.latency_ratio_interval
        _draw_point(size, candidate.gzip_bytes / _KIB, None, candidate, record)
        _draw_point(speed, candidate.latency_ratio, bounds, candidate, record)
    _annotate(size, [(c.gzip_bytes / _KIB, c) for c in usable])
    _annotate(speed, [(c.latency_ratio, c) for c in usable])
    for axes in (size, speed):
        axes.set(ylabel="test accuracy (%)")
        for baseline in (c for c in usable if c.name == "baseline"):
            axes.axhline(100 * baseline.test_accuracy, color="0.8", linewidth=1, zorder=0)
    size.set(xlabel="size after gzip (KiB, log)", xscale="log")
    for set_formatter in (size.xaxis.set_major_formatter, size.xaxis.set_minor_formatter):
        set_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 1)))
    speed.set(xlabel="p50 latency, batch 1 (ratio to baseline)")
    speed.axvspan(
        1 / record.latency_floor, record.latency_floor,
        color="0.93", zorder=0, label="too close to call (A/A)",
    )  # fmt: skip
    speed.legend(frameon=False, loc="lower right", fontsize=8)
    picture.supxlabel(
        "bars: 95 % intervals · filled: on the front · square: chosen · line: baseline", fontsize=8
    )
    return picture


def _draw_point(
    axes: Axes, x: float, x_bounds: Interval | None, candidate: Candidate, record: SweepRecord
) -> None:
    """Draw one candidate with its intervals; it is filled on the front, square if chosen."""
    colour = _colour(candidate, record)
    accuracy, bounds = candidate.test_accuracy, candidate.accuracy_interval
    axes.errorbar(
        x,
        100 * accuracy,
        yerr=[[100 * (accuracy - bounds.low)], [100 * (bounds.high - accuracy)]],
        xerr=None
        if x_bounds is None
        else [[max(0, x - x_bounds.low)], [max(0, x_bounds.high - x)]],
        color=colour,
        marker="s" if candidate.name == record.chosen else "o",
        markerfacecolor=colour if candidate.on_front else "white",
        linestyle="none",
        capsize=2,
        elinewidth=0.8,
    )


def candidate_table(record: SweepRecord) -> Table:
    """Return a row for each candidate, failed ones with their reason."""
    rows = [
        {
            "candidate": candidate.name,
            "accuracy": f"{candidate.test_accuracy:.2%}",
            "95 % interval": "{:.1%} to {:.1%}".format(*candidate.accuracy_interval),
            "worse / better": f"{candidate.worse} / {candidate.better}",
            "file": f"{candidate.size_bytes / _KIB:.1f} KiB",
            "gzip": f"{candidate.gzip_bytes / _KIB:.1f} KiB",
            "latency": "as before"
            if candidate.speed == "same"
            else f"{candidate.latency_ratio:.2f}x",
            "verdict": candidate.verdict,
        }
        if candidate.status == "ok"
        else {"candidate": candidate.name, "verdict": candidate.reason}
        for candidate in record.candidates
    ]
    return Table.of(rows)


def _colour(candidate: Candidate, record: SweepRecord) -> str:
    if candidate.name == record.chosen:
        return VERMILION
    return BLUE if candidate.on_front else GREY


def _annotate(axes: Axes, points: list[tuple[float, Candidate]]) -> None:
    """Write each candidate's name beside its point; names that would collide are stacked."""
    accuracies = [candidate.test_accuracy for _, candidate in points]
    width = max(x for x, _ in points) - min(x for x, _ in points) or 1
    height = max(accuracies) - min(accuracies) or 1
    written: list[tuple[float, float]] = []
    for x, candidate in sorted(points, key=lambda point: point[0]):
        place = (x / width, candidate.test_accuracy / height)
        level = sum(
            abs(place[0] - other[0]) < _LABEL_WIDTH and abs(place[1] - other[1]) < _LABEL_HEIGHT
            for other in written
        )
        written.append(place)
        axes.annotate(
            candidate.name,
            (x, 100 * candidate.test_accuracy),
            xytext=(5, 5 + 11 * level),
            textcoords="offset points",
            fontsize=8,
        )
