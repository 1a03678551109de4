"""What decides a trained model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from agiwb.config import Config, NamedValues
from agiwb.datasets.registry import DatasetName
from agiwb.models.registry import Architecture
from agiwb.models.specification import Size

Optimizer = Literal["adam", "adamw", "sgd", "rmsprop", "adagrad", "lion"]
Schedule = Literal["constant", "cosine", "plateau"]
Loss = Literal[
    "auto", "cross_entropy", "focal", "mean_squared_error", "mean_absolute_error", "huber"
]
Strategy = Literal["one_device", "mirrored", "multi_worker"]


class TrainConfig(Config):
    """What decides a trained model: the data, the model's size, and how it is optimised."""

    dataset: DatasetName = Field(
        "digits",
        description="Data set: a name that `agiwb datasets` lists, or the path of your own data.",
    )
    architecture: Architecture = Field(
        "auto",
        description="Model family, a builder of yours (package.module:function or "
        "file.py:function), or a saved Keras model to start from; auto is cnn for images, tabular "
        "for tables, and so on.",
    )
    epochs: int = Field(12, ge=1, le=10_000, description="Passes over the training data.")
    batch_size: int = Field(32, ge=1, le=65_536, description="Examples in a batch.")
    optimizer: Optimizer = Field("adam", description="Optimiser.")
    learning_rate: float = Field(0.002, gt=0, le=10, description="Step size of the optimiser.")
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of weights, shuffling and dropout.")
    name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][\w.-]*$",
        description="Name in the registry; by default <dataset>-<architecture>.",
    )

    units: int = Field(64, ge=4, le=4096, description="Width of the model: units of its layers.")
    layers: int | None = Field(
        None, ge=1, le=64, description="Hidden layers or blocks; by default the family's own."
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="Share of hidden units dropped.")
    l1: float = Field(0.0, ge=0, le=1, description="L1 penalty on the kernels.")
    l2: float = Field(0.0, ge=0, le=1, description="L2 penalty on the kernels.")
    batch_norm: bool = Field(
        False, description="Batch normalisation in mlp, tabular and rnn; cnn and resnet have it."
    )
    cell: Literal["lstm", "gru"] = Field("gru", description="Recurrent cell of rnn.")
    encoder: Literal["pooled", "transformer"] = Field(
        "pooled", description="How text is read: pooled embeddings, or a transformer block."
    )
    vocabulary: int = Field(
        20_000, ge=2, le=1_000_000, description="Most words or categories that are told apart."
    )
    length: int | None = Field(
        None, ge=1, le=4096, description="Words of a text that are read; by default from the data."
    )
    options: NamedValues = Field(
        {}, description="NAME=VALUE pairs passed on to a builder of your own."
    )

    loss: Loss = Field("auto", description="Loss; auto is the usual one for the task.")
    schedule: Schedule = Field(
        "constant",
        description="Learning rate over time; plateau halves it when validation loss stands still.",
    )
    warmup_epochs: float = Field(
        0, ge=0, le=1000, description="Epochs in which the learning rate grows from zero."
    )
    momentum: float = Field(0.0, ge=0, lt=1, description="Momentum of sgd and rmsprop.")
    weight_decay: float = Field(
        0.0, ge=0, le=1, description="Decoupled weight decay, with any optimiser."
    )
    clip_norm: float | None = Field(
        None, gt=0, description="Largest norm of all gradients together; larger ones are scaled."
    )
    early_stopping: int | None = Field(
        None,
        ge=1,
        description="Stop after so many epochs without a better validation loss, and keep the "
        "best weights.",
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="Weigh classes by the inverse of their frequency."
    )
    mixed_precision: bool = Field(
        False, description="Compute in 16 bits and keep the weights in 32."
    )
    strategy: Strategy = Field(
        "one_device",
        description="tf.distribute strategy; multi_worker reads TF_CONFIG.",
    )

    @model_validator(mode="after")
    def _known_combination(self) -> TrainConfig:
        if self.momentum and self.optimizer not in {"sgd", "rmsprop"}:
            raise ValueError(
                f"momentum is for sgd and rmsprop; {self.optimizer} has its own. Leave it at 0."
            )
        if self.warmup_epochs > self.epochs:
            raise ValueError(
                f"warmup_epochs ({self.warmup_epochs:g}) is more than epochs ({self.epochs})."
            )
        if self.warmup_epochs and self.schedule == "plateau":
            raise ValueError("schedule plateau takes no warmup_epochs. Use constant or cosine.")
        return self

    @property
    def size(self) -> Size:
        """The model's size and regularisation."""
        return Size(**{name: getattr(self, name) for name in Size.__dataclass_fields__})
