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
    "onnx_float16": "agiwb.conversion.onnx_float16:write_onnx_float16",
    "litert": "agiwb.conversion.litert:write_litert",
    "litert_float16": "agiwb.conversion.litert:write_litert_float16",
    "litert_dynamic": "agiwb.conversion.litert:write_litert_dynamic",
    "litert_int8": "agiwb.conversion.litert:write_litert_int8",
    "litert_int16x8": "agiwb.conversion.litert:write_litert_int16x8",
    "openvino": "agiwb.conversion.openvino:write_openvino",
}

CALIBRATED: tuple[Format, ...] = ("litert_int8", "litert_int16x8")
"""Formats that learn the activations' ranges from training examples."""

KERAS_FILES: tuple[Format, ...] = ("keras", "h5")
"""Formats that are written from the Keras model itself; all others begin with a SavedModel."""


def load_converter(wanted: Format) -> Converter:
    """Return the function that writes the format ``wanted``."""
    module, _, attribute = _HOMES[wanted].partition(":")
    converter: Converter = getattr(importlib.import_module(module), attribute)
    return converter
