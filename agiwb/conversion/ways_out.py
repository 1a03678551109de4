"""What to say where a format has no operator for a part of the model."""

from __future__ import annotations

from collections.abc import Sequence

from agiwb.conversion.source import ConversionSource
from agiwb.errors import WorkError

_OF_STRINGS = ("String", "LookupTable", "HashTable", "Ragged", "Regex", "Unicode", "Substr")
_OF_LISTS = ("TensorList",)


def without_operators(
    format_name: str, operators: Sequence[str], source: ConversionSource
) -> WorkError:
    """Return the error that names the operators a format lacks, and the way out.

    Args:
        format_name: As the subject of a sentence: "LiteRT".
        operators: TensorFlow's names of them.
        source: What was to be converted.
    """
    named = ", ".join(operators)
    problem = f"{format_name} has no built-in operator for {named}."
    if any(part in name for name in operators for part in _OF_STRINGS):
        layers = _reading_strings(source)
        after = f" {layers}" if layers else " its preprocessing"
        return WorkError(
            problem,
            f"Convert what comes after{after}: give `--no-preprocessing`; callers then send "
            "numbers, and artifact.json holds the vocabulary.",
        )
    if any(part in name for name in operators for part in _OF_LISTS):
        return WorkError(
            problem, "Give recurrent layers sequences of one known length, or convert to ONNX."
        )
    return WorkError(problem)


def _reading_strings(source: ConversionSource) -> str:
    """Return the classes of the layers that read strings, as far as they are told."""
    layers = getattr(source.model, "layers", None) or []
    kinds = [type(layer).__name__ for layer in layers if hasattr(layer, "get_vocabulary")]
    return ", ".join(dict.fromkeys(kinds))
