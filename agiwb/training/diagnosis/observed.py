"""What the rules read: all that was recorded of one training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import CLASSIFYING, Dataset, Task
from agiwb.datasets.main_metric import main_metric
from agiwb.training.config import TrainConfig
from agiwb.training.curves import Epoch, kept_epoch
from agiwb.training.diagnosis.finding import Curve
from agiwb.training.objectives import usual_loss

_SAMPLED_LABELS = 100_000
_LOSS_NAMES = {
    "cross_entropy": "cross-entropy (nats)",
    "mean_squared_error": "mean squared error / variance",
    "mean_absolute_error": "mean absolute error / deviation",
    "focal": "focal loss (nats)",
    "huber": "Huber loss / deviation",
}


@dataclass(frozen=True)
class Baseline:
    """What the best constant answer scores: a model that ignores its input.

    Attributes:
        metric: The task's main metric: accuracy, auc or rmse.
        score: Its value; for accuracy the share of the most frequent class.
        loss: Its training loss, in the unit of the curves; None where no formula is known.
        shares: Share of each class in the training labels; empty for regression and ranking.
    """

    metric: str
    score: float
    loss: float | None
    shares: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, config: TrainConfig, data: Dataset) -> Baseline:
        """Return the baseline of a data set, from at most 100,000 training labels."""
        labels = _sampled(data.train.labels)
        metric = main_metric(data)
        chosen = usual_loss(data) if config.loss == "auto" else config.loss
        if metric == "rmse":
            spread = float(labels.astype(np.float64).std())
            return cls(metric, spread, _loss_of_constant(labels, chosen))
        shares = _shares(labels, data)
        score = max(shares.values()) if metric == "accuracy" else 0.5
        loss = None
        if chosen == "cross_entropy":
            balanced = config.class_weights == "balanced"
            loss = float(np.log(len(shares))) if balanced else _entropy(labels, data.task)
        return cls(metric, score, loss, shares)

    def skill(self, score: float) -> float:
        """Return how much of the way from the baseline to perfection ``score`` has gone, 0 to 1."""
        if self.metric == "rmse":
            return 1 - (score / self.score) ** 2 if self.score else 1.0
        return (score - self.score) / (1 - self.score) if self.score < 1 else 1.0

    def words(self, score: float) -> str:
        """Return a score of the main metric with its name."""
        return (
            f"{self.metric} {score:.4g}" if self.metric == "rmse" else f"{self.metric} {score:.1%}"
        )


@dataclass(frozen=True)
class LayerSample:
    """What the layers did at the end of an epoch, on a fixed batch of training examples.

    Attributes:
        epoch: The first is 1.
        gradient_norms: Norm of the loss' gradient with respect to each layer's weights, from the
            input to the output.
        dead_shares: Share of each ReLU layer's units that were zero on every example.
        examples: Number of examples in the batch.
    """

    epoch: int
    gradient_norms: dict[str, float]
    dead_shares: dict[str, float]
    examples: int


@dataclass(frozen=True)
class Observed:
    """The course of a training until now.

    Attributes:
        config: What it was asked to do.
        task: What is predicted.
        baseline: What ignoring the input would score.
        train_examples: Size of the training split.
        validation_examples: Size of the validation split.
        curves: A point an epoch.
        batch_losses: The loss after each batch, or of several, over the time in epochs.
        first_loss: The first batch's loss, of untrained weights; None if that was not seen.
        samples: What the layers did, in the order of epochs; those that time allowed.
        finished: Whether this is the end: some rules judge nothing before.
    """

    config: TrainConfig
    task: Task
    baseline: Baseline
    train_examples: int
    validation_examples: int
    curves: tuple[Epoch, ...]
    batch_losses: Curve = field(default_factory=lambda: Curve(name="batch loss", x=(), y=()))
    first_loss: float | None = None
    samples: tuple[LayerSample, ...] = ()
    finished: bool = True

    @property
    def untrained_loss(self) -> float | None:
        """Loss of a model that knows nothing; None if neither formula nor first batch is known."""
        known = [value for value in (self.first_loss, self.baseline.loss) if value is not None]
        return max(known) if known else None

    @property
    def loss_name(self) -> str:
        """Name and unit of the loss."""
        chosen = self.config.loss
        if chosen == "auto":
            chosen = "mean_squared_error" if self.baseline.metric == "rmse" else "cross_entropy"
        return _LOSS_NAMES[chosen]

    @property
    def rate(self) -> float:
        """The learning rate that was asked for."""
        return self.config.learning_rate

    @property
    def batch_norm_advice(self) -> str:
        """``batch_norm: true`` where the config can ask for it and does not, as part of a list."""
        can = self.config.architecture in {"mlp", "tabular", "rnn"}
        return "`batch_norm: true`, " if can and not self.config.batch_norm else ""

    def values(self, name: str) -> list[float]:
        """Return a metric's value after each epoch; empty if there is no such metric."""
        return [point.metrics[name] for point in self.curves if name in point.metrics]

    def curve(self, name: str, split: str) -> Curve:
        """Return ``<split>_<name>`` over the epochs, as a line called after the split."""
        epochs = tuple(float(point.epoch) for point in self.curves)
        values = tuple(self.values(f"{split}_{name}"))
        return Curve(name="training" if split == "train" else split, x=epochs, y=values)

    @property
    def kept(self) -> Epoch:
        """The epoch whose weights the model has: the best one under early stopping."""
        return kept_epoch(self.curves, early_stopping=self.config.early_stopping is not None)


def _sampled(labels: NDArray[Any]) -> NDArray[Any]:
    if len(labels) <= _SAMPLED_LABELS:
        return labels
    return labels[np.linspace(0, len(labels) - 1, _SAMPLED_LABELS).round().astype(np.intp)]


def _shares(labels: NDArray[Any], data: Dataset) -> dict[str, float]:
    if data.task in CLASSIFYING:
        counts = np.bincount(labels, minlength=len(data.classes)) / max(1, len(labels))
    elif labels.ndim == 2:
        counts = labels.mean(axis=0)
    else:
        return {}
    return {name: float(share) for name, share in zip(data.classes, counts, strict=True)}


def _entropy(labels: NDArray[Any], task: Task) -> float:
    """Return the cross-entropy in nats of always answering with the classes' shares."""
    if task in CLASSIFYING:
        shares = np.bincount(labels) / len(labels)
        return float(-(shares * np.log(np.maximum(shares, 1e-12))).sum())
    shares = np.clip(labels.reshape(len(labels), -1).mean(axis=0), 1e-12, 1 - 1e-12)
    return float(-(shares * np.log(shares) + (1 - shares) * np.log(1 - shares)).mean())


def _loss_of_constant(labels: NDArray[Any], loss: str) -> float | None:
    values = labels.astype(np.float64)
    if loss == "mean_squared_error":
        return 1.0  # the curves are in units of the variance
    if loss == "mean_absolute_error":
        return float(np.abs(values - np.median(values)).mean() / (values.std() or 1.0))
    return None
