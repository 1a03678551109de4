"""What is wrong with a training, as pictures of its evidence and as a table."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from agiwb.reporting.picture import BLUE, GREY, ORANGE, VERMILION, Picture
from agiwb.reporting.tables import Table
from agiwb.training.diagnosis.finding import Evidence, Finding
from agiwb.training.range_test import RangeTestRecord

_MOST_PANELS = 4
_MOST_BARS = 12
_LEAST_PLACES = 4  # so that a single bar does not fill the panel
_LINES = (("-", BLUE), ("--", ORANGE), ("-.", VERMILION), (":", GREY))
_TITLE_WIDTH = 44


class Diagnosed(Protocol):
    """A record with findings, as a TrainRecord is."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, problems first."""

    @property
    def model_name(self) -> str:
        """The model's name in the registry."""


def plot_diagnosis(record: Diagnosed) -> Picture:
    """Return the evidence of the first four findings, a panel each."""
    shown = record.findings[:_MOST_PANELS]
    if not shown:
        nothing = f"Nothing conspicuous was found in the training of {record.model_name}."
        picture = Picture(6, 1, nothing)
        picture.text(0.5, 0.5, nothing, ha="center", va="center")
        return picture
    sentences = " ".join(finding.what for finding in shown)
    picture = Picture(4.6 * len(shown), 3.6, f"Diagnosis of {record.model_name}: {sentences}")
    for axes, finding in zip(picture.axes_row(len(shown)), shown, strict=True):
        _draw(axes, finding.evidence)
        title = f"{finding.rule.replace('_', ' ')} ({finding.severity})"
        axes.set_title(textwrap.fill(title, _TITLE_WIDTH), fontsize="medium", loc="left")
    if len(record.findings) > len(shown):
        more = len(record.findings) - len(shown)
        picture.supxlabel(f"and {more} more: see the table", fontsize="small")
    return picture


def findings_table(record: Diagnosed) -> Table:
    """Return a row for each finding: what is wrong, and what to try."""
    return Table.of(
        [
            {
                "severity": finding.severity,
                "finding": finding.rule.replace("_", " "),
                "what": finding.what,
                "advice": finding.advice,
            }
            for finding in record.findings
        ]
    )


def suspects_table(finding: Finding) -> Table:
    """Return the rows of the data that a finding is about, worst first."""
    return Table.of(
        [
            {
                name.replace("_", " "): f"{value:.3g}" if isinstance(value, float) else str(value)
                for name, value in row.items()
            }
            for row in finding.evidence.rows
        ]
    )


def plot_range_test(record: RangeTestRecord) -> Picture:
    """Return the loss over the learning rate, with the rate that is suggested."""
    picture = Picture(6, 3.4, f"Learning rate range test: {record.verdict}")
    (axes,) = picture.axes_row(1)
    axes.plot(record.rates, record.losses, color="0.8", linewidth=1, label="each batch")
    axes.plot(record.rates, record.smoothed, color=BLUE, label="smoothed")
    for rate, colour, name in (
        (record.suggested_rate, VERMILION, "suggested"),
        (record.steepest_rate, GREY, "steepest descent"),
    ):
        axes.axvline(rate, color=colour, linestyle="--", label=f"{name}: {rate:.2g}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss of the batch")
    low, high = min(record.smoothed), max(record.smoothed[0], min(record.smoothed))
    margin = 0.3 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + 2 * margin)
    axes.legend(frameon=False, fontsize="small")
    return picture


def _draw(axes: Axes, evidence: Evidence) -> None:
    if evidence.bars:
        _draw_bars(axes, evidence)
    else:
        _draw_curves(axes, evidence)


def _draw_curves(axes: Axes, evidence: Evidence) -> None:
    for index, curve in enumerate(evidence.curves):
        line, colour = _LINES[index % len(_LINES)]
        marker = "o" if len(curve.x) < 3 else ""
        axes.plot(curve.x, curve.y, line, marker=marker, color=colour, label=curve.name)
    for name, height in evidence.levels.items():
        axes.axhline(height, color="0.5", linewidth=1, linestyle=":", label=name)
    if evidence.log_scale:
        axes.set_yscale("log")
    if evidence.x_label == "epoch":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel=evidence.x_label, ylabel=evidence.y_label)
    axes.legend(frameon=False, fontsize="small")


def _draw_bars(axes: Axes, evidence: Evidence) -> None:
    """Draw lying bars, the first one on top: names are long."""
    names = _thinned(list(evidence.bars))
    lengths = [evidence.bars[name] for name in names]
    if evidence.log_scale:  # a logarithmic axis has no zero for a bar to begin at
        axes.plot(lengths, range(len(names)), "o-", color=BLUE)
        axes.set_xscale("log")
    else:
        axes.barh(range(len(names)), lengths, color=BLUE)
    for name, length in evidence.levels.items():
        axes.axvline(length, color="0.5", linewidth=1, linestyle=":", label=name)
    axes.set_yticks(range(len(names)), [textwrap.shorten(name, 28) or name[:28] for name in names])
    axes.set_ylim(max(len(names), _LEAST_PLACES) - 0.5, -0.5)
    axes.set(xlabel=evidence.y_label, ylabel=evidence.x_label)
    if evidence.levels:
        axes.legend(loc="lower right", facecolor="white", edgecolor="white", fontsize="small")


def _thinned(names: list[str]) -> Sequence[str]:
    """Return at most twelve names, spread evenly, always with the first and the last."""
    if len(names) <= _MOST_BARS:
        return names
    step = (len(names) - 1) / (_MOST_BARS - 1)
    return [names[round(index * step)] for index in range(_MOST_BARS)]
