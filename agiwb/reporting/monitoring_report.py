"""The report on a model's traffic: what came, how sound, how different, how good, what alarmed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from agiwb.monitoring.dashboard import FEWEST_ROWS, Dashboard
from agiwb.monitoring.monitor import MonitorRecord
from agiwb.monitoring.slices import describe_slices, small_slices
from agiwb.reporting.monitoring import plot_drift, slice_drift_table
from agiwb.reporting.page import Section
from agiwb.reporting.picture import BLUE, GREY, ORANGE, VERMILION, Picture
from agiwb.reporting.tables import Table

_LISTED = 12
_DAY_S = 86_400
_A_BIT_DAYS = 1 / 48


def monitoring_sections(
    found: Dashboard, judged: Sequence[MonitorRecord], classes: Sequence[str] = ()
) -> list[Section]:
    """Return the parts of the report.

    Args:
        found: The stretch of the log.
        judged: The runs of ``agiwb monitor`` on windows that meet the stretch, newest first.
        classes: Names of the classes, if they are known.
    """
    return [
        _alerts(judged),
        _traffic(found),
        _quality(found),
        _drift(found, judged),
        *_slices(judged),
        _answers(found, classes),
        _performance(judged),
    ]


def _alerts(judged: Sequence[MonitorRecord]) -> Section:
    alarms = [one for one in judged if one.alarm]
    if not judged:
        return Section(
            "Alerts",
            "Nobody has judged a window in this time: `agiwb monitor` does.".replace("`", ""),
        )
    rate = judged[0].config.false_alarm_rate
    sentence = (
        f"{len(alarms)} of {len(judged)} windows judged in this time alarmed; without drift, "
        f"{rate:.0%} would."
    )
    rows = [
        {
            "from (UTC)": f"{one.window_start:%Y-%m-%d %H:%M}",
            "to (UTC)": f"{one.window_end:%Y-%m-%d %H:%M}",
            "rows": f"{one.rows:,}",
            "version": _version(one),
            "look closer": f"agiwb runs show {one.run.id[:8]}",
            "what": _first_of(one.problems) if one.alarm else one.sentences[0],
        }
        for one in judged[:_LISTED]
    ]
    if alarms:
        sentence += f" The newest, {_window(alarms[0])}:"
    details = alarms[0].problems if alarms else ()
    return Section("Alerts", sentence, "", Table.of(rows).html(), not alarms, details)


def _traffic(found: Dashboard) -> Section:
    if not found.rows:
        return Section("Traffic", "Nothing was asked of this version and slice in this time.")
    busiest = int(np.argmax(found.traffic))
    begin = datetime.fromtimestamp(int(found.times[busiest]), UTC)
    worst = np.nanmax(found.latency_ms[:, 1]) if found.latency_ms.size else math.nan
    sentence = (
        f"{found.rows:,} examples were asked; most in the stretch from {begin:%Y-%m-%d %H:%M} UTC "
        f"on ({found.traffic[busiest]:,})."
    )
    if math.isfinite(worst):
        sentence += f" At worst 95 % of the requests of a stretch took at most {worst:.3g} ms."
    return Section("Traffic", sentence, _plot_traffic(found, sentence).html())


def _plot_traffic(found: Dashboard, alt: str) -> Picture:
    picture = Picture(9, 3.4, f"Traffic and latency over time: {alt}")
    traffic, latency = picture.axes_row(2)
    times = found.times / _DAY_S  # as matplotlib counts dates: days since 1970
    traffic.plot(times, found.traffic, "o-", color=BLUE, markersize=3)
    traffic.set(ylabel="examples", ylim=(0, None))
    for column, name, colour in ((0, "median", BLUE), (1, "95th percentile", ORANGE)):
        latency.plot(
            times, found.latency_ms[:, column], "o-", color=colour, markersize=3, label=name
        )
    latency.set(ylabel="latency (ms)", ylim=(0, None))
    latency.legend(frameon=False, fontsize=8)
    for axes in (traffic, latency):
        axes.xaxis_date(UTC)
        axes.set_xlim(times[0] - _A_BIT_DAYS, times[-1] + _A_BIT_DAYS)
        axes.xaxis.set_major_formatter(lambda day, _: _moment(day))
        axes.tick_params(labelsize=8)
    return picture


def _quality(found: Dashboard) -> Section:
    if not found.rows:
        return Section("Data quality", "There is no row to look at.")
    if not found.quality:
        return Section(
            "Data quality",
            "Every value is a number within the range, or a category, that the log has known.",
        )
    worst = found.quality[0]
    sentence = (
        "Some values are missing, out of the known range or of no known category, in "
        f"{len(found.quality)} of the features; most of all in {worst.feature}: "
        f"{worst.share:.1%} of its rows."
    )
    rows = [
        {
            "feature": one.feature,
            "rows": f"{one.rows:,}",
            "missing": f"{one.missing:,}",
            "below": f"{one.below:,}",
            "above": f"{one.above:,}",
            "unseen category": f"{one.unseen:,}",
        }
        for one in found.quality[:_LISTED]
    ]
    return Section("Data quality", sentence, "", Table.of(rows).html())


def _drift(found: Dashboard, judged: Sequence[MonitorRecord]) -> Section:
    newest = next((one for one in judged if one.judged), None)
    picture = plot_drift(newest).html() if newest is not None else ""
    verdict: tuple[str, ...] = ()
    if newest is not None:
        count = f"{newest.drifted_count} of {math.prod(newest.feature_shape)} features drifted"
        verdict = (f"Against the training data, the window {_window(newest)}: {count}.",)
    if found.changes is None:
        return Section(
            "Drift",
            f"Not enough data to compare with what was asked before: {found.rows:,} rows, and "
            f"{found.rows_before:,} before, where {FEWEST_ROWS} are needed of each.",
            picture,
            passed=newest is None or not newest.drifted_count,
            details=verdict,
        )
    worst = found.changes[0]
    sentence = (
        f"As against the {found.rows_before:,} rows logged before, {worst.feature} changed most: "
        f"its mean went from {worst.mean_before:.3g} to {worst.mean:.3g} (distance "
        f"{worst.distance:.2f})."
    )
    rows = [
        {
            "feature": one.feature,
            "distance (KS)": f"{one.distance:.3f}",
            "mean before": f"{one.mean_before:.4g}",
            "mean now": f"{one.mean:.4g}",
        }
        for one in found.changes[:_LISTED]
    ]
    aside = "These distances are no verdict: chance alone makes some. Alarms are calibrated."
    return Section(
        "Drift",
        sentence,
        picture,
        Table.of(rows).html(),
        passed=newest is None or not newest.drifted_count,
        details=(*verdict, aside),
    )


def _slices(judged: Sequence[MonitorRecord]) -> list[Section]:
    """Return how the slices of the window judged last compare; nothing if it was not sliced."""
    newest = next((one for one in judged if one.slices), None)
    if newest is None:
        return []
    told = describe_slices(newest.slices) or "no slice drifted."
    sentence = f"Each against the same slice of the training data, {_window(newest)}: {told}"
    details = small_slices(newest.slices), "All slices share one rate of false alarms."
    table = slice_drift_table(newest).html()
    passed = not any(one.drifted_count for one in newest.slices)
    return [Section("Slices", sentence, "", table, passed, tuple(filter(None, details)))]


def _answers(found: Dashboard, classes: Sequence[str]) -> Section:
    known = found.score[np.isfinite(found.score)]
    if not found.rows or not len(known):
        return Section("Answers", "There is no answer to look at.")
    weights = found.traffic[np.isfinite(found.score)]
    sentence = (
        f"The model's top probability is {np.average(known, weights=weights):.2f} on average."
    )
    total, before = (sum(one[k] for one in found.classes.values()) or 1 for k in (0, 1))
    rows = [
        {
            "class": _class_name(name, classes),
            "answers": f"{now:,}",
            "share": f"{now / total:.1%}",
            "share before": f"{then / before:.1%}" if found.rows_before else "",
        }
        for name, (now, then) in found.classes.items()
    ]
    return Section("Answers", sentence, "", Table.of(rows).html() if rows else "")


def _performance(judged: Sequence[MonitorRecord]) -> Section:
    known = [one for one in judged if one.judged and one.estimated_accuracy is not None][::-1]
    if not known:
        return Section(
            "Performance",
            "Nothing is known of the accuracy in this time: no window was judged in it.",
        )
    newest = known[-1]
    found = newest.performance
    low, high = newest.estimated_accuracy_interval or (math.nan, math.nan)
    expected = (
        f"In the window judged last the model is expected to be right in "
        f"{newest.estimated_accuracy:.1%} of the rows ({low:.1%} to {high:.1%}), without labels."
    )
    details = [] if found is None else [found.sentence]
    if found is None or found.accuracy is None:
        details.append(
            "Without labels a change of what the right answers are (concept drift) is invisible."
        )
        if newest.labels_needed:
            details.append(
                f"{newest.labels_needed} labels of random rows would show a drop of 2 points in "
                "four cases of five."
            )
    return Section("Performance", expected, _plot_performance(known).html(), details=tuple(details))


def _plot_performance(known: Sequence[MonitorRecord]) -> Picture:
    picture = Picture(
        8, 3.2,
        "Accuracy of the windows judged: "
        + "; ".join(f"{_window(one)} {one.estimated_accuracy:.1%} expected" for one in known),
    )  # fmt: skip
    (axes,) = picture.axes_row(1)
    for place, one in enumerate(known):
        interval, found = one.estimated_accuracy_interval, one.performance
        if interval is not None:
            axes.plot([place, place], [100 * end for end in interval], color=BLUE)
        axes.plot(place, 100 * (one.estimated_accuracy or 0), "o", color=BLUE,
                  label="" if place else "expected without labels")  # fmt: skip
        if found is not None and found.accuracy is not None and found.interval is not None:
            axes.plot([place + 0.1] * 2, [100 * end for end in found.interval], color=ORANGE)
            axes.plot(place + 0.1, 100 * found.accuracy, "s", color=ORANGE)
        if one.reference_accuracy is not None:
            axes.plot(place, 100 * one.reference_accuracy, "_", color=GREY, markersize=18)
        if one.alarm:
            axes.axvline(place, color=VERMILION, linestyle=":", linewidth=1)
    axes.plot([], [], "s", color=ORANGE, label="by labels")
    axes.plot([], [], "_", color=GREY, markersize=14, label="on the validation split")
    axes.plot([], [], ":", color=VERMILION, label="alarm")
    axes.set_xticks(
        range(len(known)), [f"{one.window_end:%m-%d %H:%M}\n{_version(one)}" for one in known],
        fontsize=8,
    )  # fmt: skip
    axes.set(ylabel="accuracy (%)", ylim=(0, 103))
    axes.margins(x=0.15)
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
    return picture


def _moment(day: float) -> str:
    return f"{datetime.fromtimestamp(day * _DAY_S, UTC):%m-%d\n%H:%M}"


def _window(record: MonitorRecord) -> str:
    return f"{record.window_start:%Y-%m-%d %H:%M} to {record.window_end:%Y-%m-%d %H:%M} UTC"


def _first_of(problems: Sequence[str]) -> str:
    more = f" And {len(problems) - 1} more." if len(problems) > 1 else ""
    return f"{problems[0]}{more}"


def _version(record: MonitorRecord) -> str:
    if record.config.version is not None:
        return f"version {record.config.version}"
    if len(record.versions) == 1:
        return f"version {record.versions[0]}"
    return "newest of versions " + ", ".join(map(str, record.versions))


def _class_name(index: str, classes: Sequence[str]) -> str:
    place = int(index) if index.isdigit() else -1
    return classes[place] if 0 <= place < len(classes) else index
