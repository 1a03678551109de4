"""Writing Keras' own files: ``.keras``, and the older ``.h5``."""

from __future__ import annotations

import logging
from pathlib import Path

from agiwb.artifacts.manifest import MODEL_FILES
from agiwb.conversion.source import ConversionSource


def write_keras(source: ConversionSource, folder: Path) -> None:
    """Write ``model.keras`` into ``folder``: layers and weights, no optimiser."""
    source.model.save(folder / MODEL_FILES["keras"])


def write_h5(source: ConversionSource, folder: Path) -> None:
    """Write ``model.h5`` into ``folder``: layers and weights, no optimiser."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)  # Keras warns that .h5 is legacy; it was asked for by name
    try:
        source.model.save(folder / MODEL_FILES["h5"])
    finally:
        logger.setLevel(level)
