"""What came of looking after a model: verdict, retraining, looks and decisions, as HTML."""

from __future__ import annotations

from datetime import datetime

from agiwb.maintenance.gate import GateRecord
from agiwb.maintenance.maintain import MaintainRecord
from agiwb.maintenance.retrain import RetrainRecord
from agiwb.maintenance.verdict import Compared, Finding
from agiwb.reporting.decisions import verdict_words
from agiwb.reporting.page import Section
from agiwb.reporting.picture import BLUE, GREY, ORANGE, VERMILION, Picture
from agiwb.reporting.tables import Table, metrics_table

_MOST_ROWS = 24
_COLOURS: dict[Finding, str] = {
    "not worse": BLUE,
    "worse": VERMILION,
    "open": ORANGE,
    "too small": GREY,
}
_MARKS: dict[Finding, str] = {"not worse": "o", "worse": "X", "open": "D", "too small": "x"}
_SAID: dict[Finding, str] = {
    "not worse": "not worse",
    "worse": "worse",
    "open": "cannot be told yet",
    "too small": "too few rows to judge",
}


def plot_gate(record: GateRecord) -> Picture:
    """Return challenger less champion, with the 95 % interval, on all rows and on every slice.

    What lies left of a row's margin is worse than is allowed. Of many slices those are shown that
    the verdict hangs on most: the lowest ends of the intervals.
    """
    shown = _shown(record)[::-1]
    percent = not any(name.endswith("_mae") for name in record.metrics)
    unit = 100 if percent else 1
    picture = Picture(
        8, 0.3 * len(shown) + 1.3,
        f"Challenger less champion: {verdict_words(record)} "
        + "; ".join(f"{one.name} {one.difference * unit:+.2f}, {one.finding}" for one in shown),
    )  # fmt: skip
    (axes,) = picture.axes_row(1)
    for row, one in enumerate(shown):
        colour = _COLOURS[one.finding]
        if one.interval is not None:
            ends = [unit * one.interval.low, unit * one.interval.high]
            axes.plot(ends, [row, row], color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot(unit * one.difference, row, _MARKS[one.finding], color=colour, markersize=6)
        axes.plot([-unit * one.margin] * 2, [row - 0.4, row + 0.4], color="black", linewidth=1.5)
    axes.axvline(0, color="0.4", linewidth=1)
    left = axes.get_xlim()[0]
    for row, one in enumerate(shown):
        axes.fill_betweenx([row - 0.4, row + 0.4], left, -unit * one.margin, color="0.93", zorder=0)
    axes.set_xlim(left=left)
    axes.set_yticks(range(len(shown)), [f"{one.name} (n={one.rows})" for one in shown])
    what = "accuracy (percentage points)" if percent else "score (minus absolute error)"
    axes.set(xlabel=f"challenger less champion, {what}, with 95 % interval")
    for finding in dict.fromkeys(one.finding for one in shown):
        axes.plot([], [], _MARKS[finding], color=_COLOURS[finding], label=_SAID[finding])
    axes.plot([], [], color="black", label="margin: grey is worse than allowed")
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=5)
    return picture


def gate_table(record: GateRecord) -> Table:
    """Return a row for all rows and for every slice, as the verdict took them."""
    return Table.of(
        [
            {
                "rows of": one.name,
                "rows": f"{one.rows:,}",
                "champion, challenger": f"{one.champion:.4g}, {one.challenger:.4g}",
                "difference (allowed)": f"{one.difference:+.4f} ({-one.margin:.3g})",
                "finding": _SAID[one.finding],
            }
            for one in record.compared
        ]
    )


def gate_sections(record: GateRecord) -> list[Section]:
    """Return the verdict with its picture, and what was checked besides."""
    passed = record.verdict == "promote"
    checks = Table.of(
        [
            {"checked": one.name, "outcome": one.outcome, "found": one.sentence}
            for one in record.checks
        ]
    )
    failed = sum(one.outcome == "failed" for one in record.checks)
    said = f"{failed} of {len(record.checks)} failed." if failed else "None of them failed."
    return [
        Section(
            "Gate",
            verdict_words(record),
            plot_gate(record).html(),
            gate_table(record).html(),
            passed,
            record.sentences,
        ),
        Section("Also checked", said, table=checks.html(), passed=not failed),
    ]


def retrain_section(record: RetrainRecord) -> Section:
    """Return the challenger and what it was trained on."""
    return Section(
        "Retrain",
        f"Version {record.challenger.version} of {record.model_name} is the challenger: trained as "
        f"version {record.based_on.version} was, on {record.fresh_rows:,} fresh and "
        f"{record.replayed_rows:,} old examples.",
        table=metrics_table(record).html(),
        details=tuple(f"{one.rows} rows were left out. {one.sentence}" for one in record.left_out),
    )


def maintain_section(record: MaintainRecord) -> Section:
    """Return what was seen and done, the newest first."""
    rows = [{"time (UTC)": _time(one.time), "done": one.sentence} for one in record.looks[::-1]]
    last = record.looks[-1].sentence if record.looks else "Nothing was looked at."
    return Section(
        "Watch", last, table=Table.of(rows).html(), passed=record.passed, details=record.problems
    )


def _shown(record: GateRecord) -> list[Compared]:
    whole, *slices = record.compared

    def reaches(one: Compared) -> float:
        low = one.interval.low if one.interval is not None else 0.0
        return low + one.margin

    order = {one.name: place for place, one in enumerate(slices)}
    hanging = sorted(slices, key=reaches)[: _MOST_ROWS - 1]
    return [whole, *sorted(hanging, key=lambda one: order[one.name])]


def _time(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}"
