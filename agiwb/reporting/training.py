"""The training curves of a model."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from agiwb.reporting.picture import BLUE, ORANGE, Picture
from agiwb.training.curves import Epoch
from agiwb.training.search.record import SearchRecord
from agiwb.training.train import TrainRecord

_AXIS_NAMES = {
    "accuracy": "accuracy (%)",
    "auc": "area under the ROC curve (%)",
    "rmse": "RMSE (unit of the target)",
}

_LOSS_NAMES = {
    "cross_entropy": "cross-entropy (nats)",
    "mean_squared_error": "mean squared error / variance",
    "mean_absolute_error": "mean absolute error / deviation",
}


def plot_training(record: TrainRecord | SearchRecord) -> Picture:
    """Return loss and main metric over the epochs, with the test score and its 95 % interval."""
    score, interval = score_words(record), record.test_interval
    picture = Picture(
        9, 3.2,
        f"Training curves of {record.model_name}: test {record.main_metric} {score}.",
    )  # fmt: skip
    loss, quality = picture.axes_row(2)
    _draw_curves(loss, record.curves, "loss", 1)
    loss.set(ylabel=_LOSS_NAMES.get(record.loss, record.loss.replace("_", " ")))
    if min(_values(record.curves, "loss"), default=0) > 0:
        loss.set(yscale="log")
    factor = 1 if record.main_metric == "rmse" else 100
    quality.axhspan(
        factor * interval.low, factor * interval.high, color="0.9", label="test, 95 % interval"
    )
    quality.axhline(factor * record.test_score, color="0.4", linewidth=1, label="test")
    _draw_curves(quality, record.curves, record.main_metric, factor)
    quality.set(ylabel=_AXIS_NAMES[record.main_metric])
    for axes in (loss, quality):
        axes.set(xlabel="epoch")
        axes.legend(frameon=False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return picture


def score_words(record: TrainRecord | SearchRecord) -> str:
    """Return the test score with its 95 % interval, in the unit it is spoken of."""
    style = ".4g" if record.main_metric == "rmse" else ".1%"
    low, high = record.test_interval
    return f"{record.test_score:{style}} (95 % interval {low:{style}} to {high:{style}})"


def _draw_curves(axes: Axes, curves: tuple[Epoch, ...], metric: str, factor: float) -> None:
    """Draw training and validation; a model that was fitted to all data has no validation."""
    marker = "o" if len(curves) == 1 else ""
    for split, line, colour in (("train", "-", BLUE), ("validation", "--", ORANGE)):
        points = [point for point in curves if f"{split}_{metric}" in point.metrics]
        if points:
            axes.plot(
                [point.epoch for point in points],
                [factor * point.metrics[f"{split}_{metric}"] for point in points],
                line, marker=marker, color=colour,
                label="training" if split == "train" else split,
            )  # fmt: skip


def _values(curves: tuple[Epoch, ...], metric: str) -> list[float]:
    names = (f"train_{metric}", f"validation_{metric}")
    return [point.metrics[name] for point in curves for name in names if name in point.metrics]
