"""The model to convert, as every converter takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agiwb.artifacts.resolve import ModelSource
from agiwb.artifacts.signature import INPUT_NAME, OUTPUT_NAME
from agiwb.datasets.dataset import Dataset
from agiwb.models.loading import load_classifier

if TYPE_CHECKING:
    import keras


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
    """Return the model of ``found``, which classifies ``data``; see load_classifier for errors."""
    model = load_classifier(found.path, data)
    import keras

    (taken,) = model.inputs
    features = keras.Input(taken.shape[1:], dtype=taken.dtype, name=INPUT_NAME)
    named = keras.Model(features, {OUTPUT_NAME: model(features)}, name=model.name)
    return ConversionSource(model, named, data.classes, found.fingerprint)
