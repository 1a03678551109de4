"""The training curves of a model."""

from __future__ import annotations

from matplotlib.ticker import MaxNLocator

from agiwb.reporting.picture import BLUE, ORANGE, Picture
from agiwb.training.train import TrainRecord


def plot_training(record: TrainRecord) -> Picture:
    """Return loss and accuracy over the epochs, with the test accuracy and its 95 % interval."""
    accuracy, interval = record.metrics["test_accuracy"], record.test_accuracy_interval
    picture = Picture(
        9, 3.2,
        f"Training curves of {record.model_name}: test accuracy {accuracy:.1%}, "
        f"95 % interval {interval.low:.1%} to {interval.high:.1%}.",
    )  # fmt: skip
    epochs = [point.epoch for point in record.curves]
    loss, quality = picture.axes_row(2)
    loss.plot(epochs, [p.train_loss for p in record.curves], color=BLUE, label="training")
    loss.plot(
        epochs, [p.validation_loss for p in record.curves], "--", color=ORANGE, label="validation"
    )
    loss.set(xlabel="epoch", ylabel="cross-entropy (nats)", yscale="log")
    quality.axhspan(
        100 * interval.low, 100 * interval.high, color="0.9", label="test, 95 % interval"
    )
    quality.axhline(100 * accuracy, color="0.4", linewidth=1, label="test")
    quality.plot(epochs, [100 * p.train_accuracy for p in record.curves], color=BLUE)
    quality.plot(epochs, [100 * p.validation_accuracy for p in record.curves], "--", color=ORANGE)
    quality.set(xlabel="epoch", ylabel="accuracy (%)")
    for axes in (loss, quality):
        axes.legend(frameon=False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return picture
