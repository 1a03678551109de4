"""Writing a SavedModel, as TensorFlow Serving takes it."""

from __future__ import annotations

from pathlib import Path

from agiwb.conversion.source import ConversionSource


def write_saved_model(source: ConversionSource, folder: Path) -> None:
    """Write ``saved_model.pb`` and its variables into ``folder``.

    Its signature ``serving_default`` takes ``features`` and gives ``probabilities``, with a free
    batch dimension.
    """
    source.named.export(folder, format="tf_saved_model", verbose=False)
