"""The converters by format, imported when first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from agiwb.artifacts.manifest import Format
from agiwb.conversion.source import ConversionSource

Converter = Callable[[ConversionSource, Path], None]
"""Writes a model into a folder that is there and empty; raises whatever its library raises."""

_HOMES: dict[Format, str] = {
    "keras": "agiwb.conversion.keras_file:write_keras",
    "h5": "agiwb.conversion.keras_file:write_h5",
    "saved_model": "agiwb.conversion.saved_model:write_saved_model",
    "frozen_pb": "agiwb.conversion.frozen_pb:write_frozen_pb",
    "onnx": "agiwb.conversion.onnx:write_onnx",
    "litert": "agiwb.conversion.litert:write_litert",
}


def load_converter(wanted: Format) -> Converter:
    """Return the function that writes the format ``wanted``."""
    module, _, attribute = _HOMES[wanted].partition(":")
    converter: Converter = getattr(importlib.import_module(module), attribute)
    return converter
