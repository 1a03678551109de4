"""The model to convert, as every converter takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agiwb.artifacts.resolve import ModelSource
from agiwb.datasets.dataset import Dataset
from agiwb.errors import ConfigError, InputError
from agiwb.runtimes.keras import load_keras_model

if TYPE_CHECKING:
    import keras

INPUT = "features"
OUTPUT = "probabilities"
"""What every exported model calls its input and its output."""


@dataclass(frozen=True)
class ConversionSource:
    """A Keras model that is to be converted.

    Attributes:
        model: As it was saved, without optimiser.
        named: The same layers and weights, from ``features`` to ``{"probabilities": …}``; the
            exporters take their signature's names from it.
        classes: What the outputs stand for, in order.
        sha256: Digest of the file the model was read from.
    """

    model: keras.Model
    named: keras.Model
    classes: tuple[str, ...]
    sha256: str


def load_source(found: ModelSource, data: Dataset) -> ConversionSource:
    """Return the model of ``found``, which classifies ``data``.

    Raises:
        NotFoundError: The file holds no model that can be loaded.
        ConfigError: The model does not take the data set's examples, or knows other classes.
        InputError: The model has several inputs or outputs.
    """
    model = load_keras_model(found.path)
    import keras

    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if len(inputs) != 1 or len(outputs) != 1:
        raise InputError(
            f"The model {found.path} has {len(inputs)} inputs and {len(outputs)} outputs.",
            "Models with one input and one output can be converted.",
        )
    _require_fit(found, data, tuple(inputs[0].shape[1:]), tuple(outputs[0].shape[1:]))
    features = keras.Input(inputs[0].shape[1:], dtype=inputs[0].dtype, name=INPUT)
    named = keras.Model(features, {OUTPUT: model(features)}, name=model.name)
    return ConversionSource(model, named, data.classes, found.fingerprint)


def _require_fit(
    found: ModelSource, data: Dataset, taken: tuple[int | None, ...], given: tuple[int | None, ...]
) -> None:
    sizes_fit = len(taken) == len(data.feature_shape) and all(
        size in (None, actual) for size, actual in zip(taken, data.feature_shape, strict=True)
    )
    if sizes_fit and given == (len(data.classes),):
        return
    raise ConfigError(
        f"`dataset` {data.name} does not fit the model {found.path}: examples have shape "
        f"{data.feature_shape} and the model takes {taken}; there are {len(data.classes)} classes "
        f"and the model gives outputs of shape {given}.",
        "Give the data set that the model was trained on.",
    )
