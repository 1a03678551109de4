"""Curves of an evaluation as pictures: thresholds, calibration, and metrics over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from agiwb.evaluation.curves import BinaryMatrix, CalibrationBins, Matrices
from agiwb.evaluation.record import EvaluateRecord
from agiwb.reporting.picture import BLUE, GREY, ORANGE, VERMILION, Picture
from agiwb.reporting.tables import Table


def plot_thresholds(found: Matrices, chosen: BinaryMatrix, what: str) -> Picture:
    """Return the ROC and the precision-recall curve, with the chosen threshold on both."""
    auc, average = found.auc, found.average_precision
    picture = Picture(
        9, 3.6,
        f"ROC and precision-recall curves of {what}: area {_figure(auc)}, average precision "
        f"{_figure(average)}.",
    )  # fmt: skip
    roc, precision = picture.axes_row(2)
    roc.plot(*found.roc(), color=BLUE)
    roc.plot([0, 1], [0, 1], ":", color=GREY)
    _mark(roc, chosen.false_positive_rate, chosen.recall)
    roc.set(xlabel="false positive rate", ylabel="recall", title=f"ROC, area {_figure(auc)}")
    precision.plot(*found.precision_recall(), color=BLUE)
    share = found.positives / (found.positives + found.negatives or 1)
    precision.axhline(share, color=GREY, linestyle=":")
    _mark(precision, chosen.recall, chosen.precision)
    precision.set(
        xlabel="recall",
        ylabel="precision",
        title=f"precision-recall, average {_figure(average)}",
    )
    for axes in (roc, precision):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.03))
    return picture


def matrix_table(chosen: BinaryMatrix, name: str) -> Table:
    """Return the four counts at a threshold."""
    return Table.of(
        [
            {
                "": f"is {name}",
                f"named {name}": f"{chosen.true_positives:g}",
                "not named": f"{chosen.false_negatives:g}",
            },
            {
                "": f"is not {name}",
                f"named {name}": f"{chosen.false_positives:g}",
                "not named": f"{chosen.true_negatives:g}",
            },
        ]
    )


def threshold_sentence(chosen: BinaryMatrix, name: str) -> str:
    """Return what a threshold does, in words."""
    named = chosen.true_positives + chosen.false_positives
    of_class = chosen.true_positives + chosen.false_negatives
    return (
        f"With {name} named where its probability is above {chosen.threshold:.2f}, {named:g} "
        f"examples are named and {chosen.true_positives:g} of them rightly, out of {of_class:g}: "
        f"precision {_figure(chosen.precision)}, recall {_figure(chosen.recall)}, F1 "
        f"{_figure(chosen.f1)}, false positive rate {_figure(chosen.false_positive_rate)}."
    )


def plot_calibration(bins: CalibrationBins, what: str) -> Picture:
    """Return the share right against the probability, with the examples of each bin below."""
    picture = Picture(6.5, 4.2, f"Calibration of {what}: {calibration_sentence(bins)}")
    grid = picture.add_gridspec(2, 1, height_ratios=(3, 1))
    above, below = picture.add_subplot(grid[0]), picture.add_subplot(grid[1])
    kept = bins.examples > 0
    examples = bins.examples[kept]
    above.plot([0, 1], [0, 1], ":", color=GREY, label="as it says")
    above.plot(
        bins.predictions[kept] / examples, bins.labels[kept] / examples, "o-", color=BLUE,
        label="as it is",
    )  # fmt: skip
    above.set(ylabel="share right", xlim=(0, 1), ylim=(0, 1.03))
    above.legend(frameon=False)
    inside = np.isfinite(bins.lower) & np.isfinite(bins.upper)
    widths = (bins.upper - bins.lower)[inside]
    below.bar(bins.lower[inside], bins.examples[inside], widths, align="edge", color=GREY)
    below.set(xlabel="probability", ylabel="examples", xlim=(0, 1))
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    return picture


def calibration_sentence(bins: CalibrationBins) -> str:
    """Return whether the probabilities mean what they say, in words."""
    error, over = bins.expected_calibration_error, bins.overconfidence
    if error is None or over is None:
        return "There is no example to tell by."
    lean = "surer than it is right" if over > 0 else "less sure than it is right"
    return (
        f"On average the model is {abs(over):.1%} {lean}; the expected calibration error is "
        f"{error:.3f}, over {bins.examples.sum():g} examples."
    )


def plot_over_time(records: Sequence[EvaluateRecord], chosen: str) -> Picture:
    """Return the accuracy of evaluations on the same data, the oldest first, with intervals.

    Args:
        records: With accuracies.
        chosen: Id of the run that the report is about.
    """
    picture = Picture(
        8, 3.2,
        "Accuracy over time: "
        + "; ".join(f"{_named(record)} {_accuracy(record):.1%}" for record in records),
    )  # fmt: skip
    (axes,) = picture.axes_row(1)
    names = dict.fromkeys(_named(record) for record in records)
    for place, record in enumerate(records):
        interval = record.accuracy_interval
        colour = VERMILION if record.run.id == chosen else BLUE
        if interval is not None:
            axes.plot([place, place], [100 * interval.low, 100 * interval.high], color=colour)
        axes.plot(place, 100 * _accuracy(record), "o", color=colour)
    axes.axhline(
        100 * records[-1].config.min_accuracy, color="black", linestyle=":", label="threshold"
    )
    axes.set_xticks(
        range(len(records)),
        [f"{_named(one)}\n{one.run.started_at:%m-%d %H:%M}" for one in records],
        fontsize=8, rotation=0 if len(records) <= 6 else 60,
    )  # fmt: skip
    axes.set(ylabel="accuracy (%)")
    axes.margins(x=0.1 if len(names) else 0)
    axes.legend(frameon=False, fontsize=8)
    return picture


def _named(record: EvaluateRecord) -> str:
    return f"{record.artifact_name} {record.run.id[:6]}"


def _accuracy(record: EvaluateRecord) -> float:
    return record.metrics[f"{record.config.split}_accuracy"]


def _mark(axes: Axes, across: float | None, up: float | None) -> None:
    if across is not None and up is not None:
        axes.plot(across, up, "o", color=ORANGE, markeredgecolor="black", markersize=9)


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
