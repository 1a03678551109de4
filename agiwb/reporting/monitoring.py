"""The drift of a window of served traffic, as a picture."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from agiwb.monitoring.monitor import MonitorRecord
from agiwb.reporting.picture import BLUE, GREY, VERMILION, Picture

_IMAGE_DIMENSIONS = 2


def plot_drift(record: MonitorRecord) -> Picture:
    """Return where the inputs drifted, and the estimated accuracy against the reference."""
    picture = Picture(9, 3.4, " ".join(record.sentences))
    drift, quality = picture.axes_row(2)
    _draw_effects(drift, record)
    _draw_estimate(quality, record)
    return picture


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
    drift.set_title(f"{record.metrics['window_drifted_share']:.0%} of the features drifted")


def _draw_estimate(axes: Axes, record: MonitorRecord) -> None:
    """Draw the accuracy expected without labels beside the one measured on the reference."""
    expected, interval = record.estimated_accuracy, record.estimated_accuracy_interval
    if expected is None or interval is None or record.reference_accuracy is None:
        axes.set_axis_off()
        axes.set_title("not enough data for an estimate")
        return
    colour = VERMILION if record.alarm else BLUE
    axes.bar(
        ["reference\n(measured)", "this window\n(estimated)"],
        [100 * record.reference_accuracy, 100 * expected],
        color=[GREY, colour], width=0.5,
        yerr=[[0, 100 * (expected - interval.low)], [0, 100 * (interval.high - expected)]],
        capsize=4,
    )  # fmt: skip
    axes.set(ylabel="accuracy (%)", ylim=(0, 100))
    axes.set_title("alarm" if record.alarm else "no alarm")
