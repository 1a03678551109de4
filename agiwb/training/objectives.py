"""What is optimised and what is reported, for each task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agiwb.datasets.dataset import CLASSIFYING, Dataset, Task
from agiwb.datasets.main_metric import graded_task
from agiwb.errors import ConfigError

if TYPE_CHECKING:
    import keras

    from agiwb.training.config import Loss

LOWER_IS_BETTER = frozenset({"loss", "mse", "rmse", "mae"})

_USUAL_LOSS: dict[Task, Loss] = {
    "classification": "cross_entropy",
    "binary": "cross_entropy",
    "multilabel": "cross_entropy",
    "regression": "mean_squared_error",
    "ranking": "cross_entropy",
}
_LOSSES_OF_PROBABILITIES = frozenset({"cross_entropy", "focal"})


def usual_loss(data: Dataset) -> Loss:
    """Return the loss that ``auto`` stands for."""
    return _USUAL_LOSS[graded_task(data)]


def compile_model(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, data: Dataset, loss: Loss = "auto"
) -> None:
    """Prepare ``model`` for training on ``data`` with its task's loss and metrics.

    A loss in the unit of the target is divided by the spread of the training labels (the variance
    for a squared loss, the standard deviation for an absolute one), so that the learning rate
    means the same whatever the unit. The metrics stay in the target's unit.

    Raises:
        ConfigError: The loss does not fit the task.
    """
    task = graded_task(data)
    chosen = usual_loss(data) if loss == "auto" else loss
    if (chosen in _LOSSES_OF_PROBABILITIES) != (task != "regression"):
        raise ConfigError(
            f"`loss` {chosen} does not fit {data.name}, whose task is {data.task}.",
            f"Use `loss: {usual_loss(data)}`, or leave it at auto.",
        )
    model.compile(
        optimizer=optimizer,
        loss=_loss(chosen, task, len(data.classes)),
        loss_weights=1 / _spread(data, chosen) if task == "regression" else None,
        metrics=_metrics(task),
    )


def compile_classifier(model: keras.Model, optimizer: str, learning_rate: float) -> None:
    """Prepare ``model`` for training on integer labels with accuracy as its metric."""
    import keras

    model.compile(
        optimizer=keras.optimizers.get(
            {"class_name": optimizer, "config": {"learning_rate": learning_rate}}
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )


def _loss(name: Loss, task: Task, classes: int) -> keras.losses.Loss:
    import keras

    losses = keras.losses
    if name == "cross_entropy":
        of_classes = task in CLASSIFYING
        return losses.SparseCategoricalCrossentropy() if of_classes else losses.BinaryCrossentropy()
    if name == "focal":
        if task not in CLASSIFYING:
            return losses.BinaryFocalCrossentropy()
        return _sparse_focal_loss(classes)
    return {
        "mean_squared_error": losses.MeanSquaredError,
        "mean_absolute_error": losses.MeanAbsoluteError,
        "huber": losses.Huber,
    }[name]()


def _sparse_focal_loss(classes: int) -> Any:
    """Return the focal loss (Lin et al. 2017) for integer labels."""
    import keras

    focal = keras.losses.CategoricalFocalCrossentropy()

    def sparse_focal(labels: Any, probabilities: Any) -> Any:
        one_hot = keras.ops.one_hot(keras.ops.cast(keras.ops.reshape(labels, (-1,)), int), classes)
        return focal(one_hot, probabilities)

    return sparse_focal


def _spread(data: Dataset, loss: Loss) -> float:
    labels = data.train.sample(100_000).labels.astype(np.float64)
    deviation = float(labels.std()) or 1.0
    return deviation**2 if loss == "mean_squared_error" else deviation


def _metrics(task: Task) -> list[Any]:
    import keras

    metrics = keras.metrics
    if task == "classification":
        return [metrics.SparseCategoricalAccuracy(name="accuracy")]
    if task == "binary":
        from agiwb.training.positive_class import of_positive_class

        return [
            metrics.SparseCategoricalAccuracy(name="accuracy"),
            of_positive_class(metrics.AUC)(name="auc"),
            of_positive_class(metrics.Precision)(name="precision"),
            of_positive_class(metrics.Recall)(name="recall"),
        ]
    if task == "multilabel":
        from agiwb.training.multilabel_auc import multilabel_auc

        return [
            multilabel_auc(name="auc"),
            metrics.BinaryAccuracy(name="binary_accuracy"),
            metrics.F1Score(name="f1_macro", average="macro", threshold=0.5),
        ]
    if task == "ranking":
        return [metrics.AUC(name="auc"), metrics.BinaryAccuracy(name="binary_accuracy")]
    return [
        metrics.RootMeanSquaredError(name="rmse"),
        metrics.MeanAbsoluteError(name="mae"),
        metrics.MeanSquaredError(name="mse"),
        metrics.R2Score(name="r2"),
    ]
