"""The train step: a Keras model from a config, registered with its lineage."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from agiwb.artifacts.resolve import MODEL_FILE
from agiwb.config import Config
from agiwb.datasets.dataset import Dataset
from agiwb.datasets.registry import DatasetName, load_dataset
from agiwb.errors import WorkError
from agiwb.models.registry import Architecture, build_model
from agiwb.models.specification import ModelSpec
from agiwb.runs.context import Context
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step
from agiwb.statistics import Interval, wilson_interval

if TYPE_CHECKING:
    import keras

    from agiwb.runs.store import RunStore


class TrainConfig(Config):
    """What decides a trained model."""

    dataset: DatasetName = Field(
        "digits", description="Data set: digits, mnist5k, mnist, fashion_mnist, or an .npz file."
    )
    architecture: Architecture = Field("cnn", description="Model family.")
    units: int = Field(64, ge=4, le=4096, description="Width of the hidden layer.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Share of hidden units dropped.")
    l2: float = Field(0.0, ge=0, le=1, description="L2 penalty on the kernels.")
    optimizer: Literal["adam", "sgd", "rmsprop"] = Field("adam", description="Optimiser.")
    learning_rate: float = Field(0.002, gt=0, le=10, description="Step size of the optimiser.")
    epochs: int = Field(12, ge=1, le=10_000, description="Passes over the training data.")
    batch_size: int = Field(32, ge=1, le=65_536, description="Examples in a batch.")
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of weights, shuffling and dropout.")
    name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][\w.-]*$",
        description="Name in the registry; by default <dataset>-<architecture>.",
    )


class Epoch(BaseModel):
    """One point of the training curves."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float


class TrainRecord(Record):
    """A trained model: its curves, its test metrics, and its name in the registry."""

    config: TrainConfig
    model_name: str
    parameters: int
    classes: tuple[str, ...]
    examples: dict[str, int]
    """Number of examples in each split."""
    curves: tuple[Epoch, ...]
    test_accuracy_interval: Interval


def _inputs(config: TrainConfig, store: RunStore) -> dict[str, Input]:
    return {"dataset": Input(load_dataset(config.dataset).fingerprint)}


def _register(record: TrainRecord, store: RunStore) -> None:
    store.register_model(record.model_name, record)


@step("train", inputs=_inputs, publish=_register)
def train(config: TrainConfig, context: Context) -> TrainRecord:
    """Return the record of a model trained on ``config.dataset`` and saved as ``model.keras``.

    The same config and seed on the same machine give the same weights.

    Raises:
        ConfigError: The architecture does not fit the data.
        WorkError: The loss became NaN or infinite.
    """
    from agiwb.tensorflow_quietly import import_tensorflow

    tf = import_tensorflow()
    import keras

    from agiwb.training.progress import EpochReport

    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()

    data = load_dataset(config.dataset)
    model = build_model(config.architecture, _spec(config, data))
    compile_classifier(model, config.optimizer, config.learning_rate)
    report = EpochReport(context, config.epochs)
    model.fit(
        data.train.features,
        data.train.labels,
        validation_data=(data.validation.features, data.validation.labels),
        epochs=config.epochs,
        batch_size=config.batch_size,
        callbacks=[report, keras.callbacks.TerminateOnNaN()],
        verbose=0,
    )
    if len(report.curves) < config.epochs:
        raise WorkError(
            f"Training stopped in epoch {len(report.curves) + 1}: the loss is NaN or infinite.",
            f"Try a smaller `learning_rate` than {config.learning_rate:g}.",
        )
    model.save(context.files / MODEL_FILE)
    loss, accuracy = model.evaluate(data.test.features, data.test.labels, verbose=0)
    last = report.curves[-1]
    return TrainRecord(
        run=context.run,
        config=config,
        metrics={
            "train_loss": last.train_loss,
            "train_accuracy": last.train_accuracy,
            "validation_loss": last.validation_loss,
            "validation_accuracy": last.validation_accuracy,
            "test_loss": loss,
            "test_accuracy": accuracy,
        },
        model_name=config.name or _default_name(data, config),
        parameters=model.count_params(),
        classes=data.classes,
        examples={name: len(split) for name, split in data.splits.items()},
        curves=tuple(report.curves),
        test_accuracy_interval=wilson_interval(round(accuracy * len(data.test)), len(data.test)),
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


def _spec(config: TrainConfig, data: Dataset) -> ModelSpec:
    return ModelSpec(
        feature_shape=data.feature_shape,
        classes=len(data.classes),
        scale=data.scale,
        units=config.units,
        dropout=config.dropout,
        l2=config.l2,
    )


def _default_name(data: Dataset, config: TrainConfig) -> str:
    """Return ``<dataset>-<architecture>``, whatever characters a file's name may have."""
    return re.sub(r"[^\w.-]+", "-", f"{data.name}-{config.architecture}").strip("-.")
