"""The drift of a window of served traffic, as a picture."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from agiwb.monitoring.monitor import MonitorRecord
from agiwb.monitoring.slices import SliceDrift
from agiwb.reporting.picture import BLUE, GREY, ORANGE, VERMILION, Picture
from agiwb.reporting.tables import Table

_IMAGE_DIMENSIONS = 2
_MOST_NAMED = 20


def plot_drift(record: MonitorRecord) -> Picture:
    """Return where the inputs drifted, and the accuracy: as measured, expected, and labelled."""
    picture = Picture(9, 3.4, " ".join(record.sentences))
    drift, quality = picture.axes_row(2)
    _draw_effects(drift, record)
    _draw_estimate(quality, record)
    return picture


def slice_drift_table(record: MonitorRecord) -> Table:
    """Return a row for each slice of the window, those that drifted first."""
    rows = [
        {
            "slice": one.name,
            "rows": f"{one.rows:,}",
            "verdict": _verdict(one),
            "most drifted": one.feature,
            "effect": f"{one.effect:.2f}" if one.judged else "",
            "mean in training": _figure(one.training_mean) if one.feature else "",
            "mean here": _figure(one.window_mean) if one.feature else "",
            "expected accuracy": ""
            if one.expected_accuracy is None
            else f"{one.expected_accuracy:.1%}",
            "of it, by drift": "; ".join(
                f"{what.change:+.3f} ({what.feature})" for what in one.consequences
            ),
        }
        for one in record.slices
    ]
    return Table.of(rows)


def _verdict(one: SliceDrift) -> str:
    if not one.judged:
        return "too few rows to judge"
    if not one.drifted_count:
        return "no drift"
    return f"drifted: {one.drifted_count} feature{'s' if one.drifted_count > 1 else ''}"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _draw_effects(drift: Axes, record: MonitorRecord) -> None:
    """Draw how far each feature is from the reference: as an image if they are pixels."""
    if not record.effect_sizes:
        drift.set_axis_off()
        drift.set_title("not enough data to judge the inputs")
        return
    effects = np.array(record.effect_sizes).reshape(record.feature_shape)
    if effects.ndim == _IMAGE_DIMENSIONS:
        image = drift.imshow(effects, cmap="cividis", vmin=0, vmax=max(0.5, float(effects.max())))
        drift.figure.colorbar(image, ax=drift, label="drift of each pixel (KS distance)")
        drift.set(xlabel="column", ylabel="row")
    else:
        drift.bar(range(effects.size), effects.ravel(), color=GREY)
        drift.set(xlabel="feature", ylabel="drift (KS distance)")
        if 0 < len(record.feature_names) <= _MOST_NAMED:
            drift.set_xticks(range(effects.size), record.feature_names, rotation=45, ha="right")
            drift.set(xlabel="")
    drift.set_title(f"{record.metrics['window_drifted_share']:.0%} of the features drifted")


def _draw_estimate(axes: Axes, record: MonitorRecord) -> None:
    """Draw the accuracy expected without labels beside the one measured on the reference."""
    expected, interval = record.estimated_accuracy, record.estimated_accuracy_interval
    if expected is None or interval is None or record.reference_accuracy is None:
        axes.set_axis_off()
        axes.set_title("not enough data for an estimate")
        return
    colour = VERMILION if record.alarm else BLUE
    names = ["reference\n(measured)", "this window\n(estimated)"]
    values = [record.reference_accuracy, expected]
    low, high = [0.0, expected - interval.low], [0.0, interval.high - expected]
    colours = [GREY, colour]
    found = record.performance
    if found is not None and found.accuracy is not None and found.interval is not None:
        names.append(f"this window\n({found.labels} labels)")
        values.append(found.accuracy)
        low.append(found.accuracy - found.interval.low)
        high.append(found.interval.high - found.accuracy)
        colours.append(ORANGE)
    axes.bar(
        names, [100 * value for value in values], color=colours, width=0.5,
        yerr=[[100 * value for value in low], [100 * value for value in high]], capsize=4,
    )  # fmt: skip
    axes.set(ylabel="accuracy (%)", ylim=(0, 100))
    axes.set_title("alarm" if record.alarm else "no alarm")
