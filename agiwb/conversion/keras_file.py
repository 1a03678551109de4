"""Writing Keras' own files: ``.keras``, and the older ``.h5``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from agiwb.artifacts.manifest import MODEL_FILES
from agiwb.conversion.source import ConversionSource
from agiwb.errors import WorkError


def write_keras(source: ConversionSource, folder: Path) -> None:
    """Write ``model.keras`` into ``folder``: layers and weights, no optimiser."""
    source.keras_model.save(folder / MODEL_FILES["keras"])


def write_h5(source: ConversionSource, folder: Path) -> None:
    """Write ``model.h5`` into ``folder``: layers and weights, no optimiser.

    Raises:
        WorkError: The model has an operation that is no layer, or a vocabulary that was learnt;
            Keras writes both and cannot read them.
    """
    _require_layers(source.keras_model)
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)  # Keras warns that .h5 is legacy; it was asked for by name
    try:
        source.keras_model.save(folder / MODEL_FILES["h5"])
    finally:
        logger.setLevel(level)


def _require_layers(model: Any) -> None:
    import keras

    for operation in getattr(model, "operations", ()):
        if isinstance(operation, keras.Model):
            _require_layers(operation)
        elif not isinstance(operation, keras.Layer):
            raise WorkError(
                f"The older .h5 format holds layers only, and the model has the operation "
                f"{type(operation).__name__} ({operation.name}).",
                "Use the format keras, or write the operation as a layer.",
            )
        elif _learnt_its_vocabulary(operation):
            raise WorkError(
                f"The older .h5 format does not keep the vocabulary that the "
                f"{type(operation).__name__} {operation.name} has learnt.",
                "Use the format keras, or give the layer its `vocabulary` when you make it.",
            )


def _learnt_its_vocabulary(layer: Any) -> bool:
    """Return whether a layer looks strings up in a table that is not among its config."""
    return hasattr(layer, "get_vocabulary") and not layer.get_config().get("vocabulary")
