"""The slices of an evaluation, as a picture and as a table."""

from __future__ import annotations

from agiwb.evaluation.record import EvaluateRecord, SliceMetrics
from agiwb.evaluation.regression import SliceErrors
from agiwb.reporting.picture import BLUE, GREY, VERMILION, Picture
from agiwb.reporting.tables import Table


def plot_slices(record: EvaluateRecord) -> Picture:
    """Return the accuracy of each slice with its 95 % interval, against overall and threshold.

    For a regression: the mean absolute error of each slice, against overall.
    """
    if record.accuracy_interval is None:
        return _plot_errors(record)
    overall = record.metrics[f"{record.config.split}_accuracy"]
    slices = record.slices[::-1]
    picture = Picture(
        8, 0.27 * len(slices) + 1.1,
        f"Accuracy by slice, overall {overall:.1%}: "
        + "; ".join(f"{_name(s)} {s.accuracy:.1%} of {s.examples}" for s in record.slices),
    )  # fmt: skip
    (axes,) = picture.axes_row(1)
    for row, part in enumerate(slices):
        axes.plot(
            [100 * part.accuracy_interval.low, 100 * part.accuracy_interval.high], [row, row],
            color=_colour(part), linewidth=1.5,
        )  # fmt: skip
        axes.plot(100 * part.accuracy, row, "o" if part.judged else "x", color=_colour(part))
    axes.axvline(100 * overall, color="0.4", linewidth=1, label=f"overall {overall:.1%}")
    threshold = record.config.min_slice_accuracy
    axes.axvline(
        100 * threshold, color="black", linestyle=":", label=f"slices need {threshold:.0%}"
    )
    axes.set_yticks(range(len(slices)), [f"{_name(part)} (n={part.examples})" for part in slices])
    axes.set(xlabel="accuracy (%), with 95 % interval")
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return picture


def slice_table(record: EvaluateRecord) -> Table:
    """Return a row for each slice, the weakest first."""
    if record.accuracy_interval is None:
        return Table.of([_error_row(e) for e in sorted(record.errors, key=lambda e: -e.mae)])
    rows = [
        {
            "slice": _name(part),
            "examples": str(part.examples),
            "accuracy": f"{part.accuracy:.2%}",
            "95 % interval": "{:.1%} to {:.1%}".format(*part.accuracy_interval),
            "verdict": _verdict(part),
        }
        for part in sorted(record.slices, key=lambda part: part.accuracy)
    ]
    return Table.of(rows)


def _plot_errors(record: EvaluateRecord) -> Picture:
    overall = record.metrics[f"{record.config.split}_mae"]
    errors = record.errors[::-1]
    picture = Picture(
        8, 0.27 * len(errors) + 1.1,
        f"Mean absolute error by slice, overall {overall:.4g}: "
        + "; ".join(f"{_name(e)} {e.mae:.4g} of {e.examples}" for e in record.errors),
    )  # fmt: skip
    (axes,) = picture.axes_row(1)
    axes.plot([e.mae for e in errors], range(len(errors)), "o", color=BLUE)
    axes.axvline(overall, color="0.4", linewidth=1, label=f"overall {overall:.4g}")
    axes.set_yticks(range(len(errors)), [f"{_name(e)} (n={e.examples})" for e in errors])
    axes.set(xlabel="mean absolute error")
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
    return picture


def _error_row(part: SliceErrors) -> dict[str, str]:
    return {
        "slice": _name(part),
        "examples": str(part.examples),
        "MAE": f"{part.mae:.4g}",
        "RMSE": f"{part.rmse:.4g}",
        "bias": f"{part.bias:+.4g}",
    }


def _name(part: SliceMetrics | SliceErrors) -> str:
    return f"{part.column}={part.value}"


def _verdict(part: SliceMetrics) -> str:
    if not part.judged:
        return "too few to judge"
    return "passed" if part.passed else "FAILED"


def _colour(part: SliceMetrics) -> str:
    if not part.judged:
        return GREY
    return BLUE if part.passed else VERMILION
