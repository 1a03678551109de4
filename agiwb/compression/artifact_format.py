"""In which artifact format a recipe's file would be written by a conversion; pure."""

from __future__ import annotations

from agiwb.artifacts.manifest import Format
from agiwb.compression.recipe import Recipe

_FORMATS: dict[tuple[str, str], Format] = {
    ("litert", "float32"): "litert",
    ("litert", "float16"): "litert_float16",
    ("litert", "dynamic"): "litert_dynamic",
    ("litert", "int8"): "litert_int8",
    ("litert", "int16x8"): "litert_int16x8",
    ("onnx", "float32"): "onnx",
    ("onnx", "float16"): "onnx_float16",
}


def artifact_format(recipe: Recipe) -> Format | None:
    """Return the format with the recipe's runtime and numbers; None if no conversion writes it."""
    return _FORMATS.get((recipe.runtime, recipe.precision))
