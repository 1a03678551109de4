"""Writing LiteRT (``.tflite``): from built-in operators alone unless others are allowed."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from pathlib import Path

from agiwb.artifacts.manifest import MODEL_FILES, Format
from agiwb.conversion.exported import saved_model_of
from agiwb.conversion.lifted_weight import Weight
from agiwb.conversion.litert_metadata import completed
from agiwb.conversion.litert_numbers import Numbers, litert_content
from agiwb.conversion.litert_weights import weights_apart
from agiwb.conversion.source import ConversionSource
from agiwb.conversion.unrolled import unrolled
from agiwb.conversion.ways_out import without_operators
from agiwb.errors import WorkError
from agiwb.tensorflow_quietly import import_tensorflow

_NUMBERS: dict[Format, Numbers] = {
    "litert": "float32",
    "litert_float16": "float16",
    "litert_dynamic": "dynamic",
    "litert_int8": "int8",
    "litert_int16x8": "int16x8",
}
_WITH_INTERFACE = ("int8", "int16x8")
_MISSING = re.compile(r"^(?:Custom|Flex|TF Select) ops: (.+)$", re.MULTILINE)
_ILLEGAL = re.compile(r"'tf\.(\w+)' op (?:requires|is neither)|legalize operation 'tf\.(\w+)'")
_NO_INTEGERS = re.compile(r"not yet supported for op: '(\w+)'")
_UNMEASURED = re.compile(r"Empty min/max for tensor \w*?serving_default_(\w+)")
_LISTS = "TensorListReserve"


def write_litert(source: ConversionSource, folder: Path) -> None:
    """Write ``model.tflite`` in 32-bit floats; see ``write_numbers``."""
    write_numbers(source, folder, "litert")


def write_litert_float16(source: ConversionSource, folder: Path) -> None:
    """Write ``model.tflite`` with weights in 16-bit floats; see ``write_numbers``."""
    write_numbers(source, folder, "litert_float16")


def write_litert_dynamic(source: ConversionSource, folder: Path) -> None:
    """Write ``model.tflite`` with 8-bit weights; see ``write_numbers``."""
    write_numbers(source, folder, "litert_dynamic")


def write_litert_int8(source: ConversionSource, folder: Path) -> None:
    """Write ``model.tflite`` that computes with 8-bit integers; see ``write_numbers``."""
    write_numbers(source, folder, "litert_int8")


def write_litert_int16x8(source: ConversionSource, folder: Path) -> None:
    """Write ``model.tflite`` with 16-bit activations, 8-bit weights; see ``write_numbers``."""
    write_numbers(source, folder, "litert_int16x8")


def write_numbers(source: ConversionSource, folder: Path, wanted: Format) -> None:
    """Write ``model.tflite`` into ``folder``; its signature is called ``serving_default``.

    The file's own metadata say what the outputs stand for; see ``completed``. Recurrent layers
    are written step by step, as LiteRT has no loop over a free batch.

    Raises:
        InputError: An integer format, and no training examples to learn ranges from.
        WorkError: The model needs an operator that is not built in.
    """
    import_tensorflow()
    numbers = _NUMBERS[wanted]
    if numbers in _WITH_INTERFACE and any(v.dtype.kind in "OSU" for v in source.samples.values()):
        raise WorkError(
            f"LiteRT cannot learn the ranges of {numbers} for a model that takes strings.",
            "Give `--no-preprocessing`: callers then send numbers, and artifact.json holds the "
            "vocabulary.",
        )
    options = source.options
    if source.named is not None and (stepwise := unrolled(source.named)) is not None:
        source = replace(source, named=stepwise, saved_model=None)
    try:
        with contextlib.ExitStack() as opened:
            saved_model = opened.enter_context(saved_model_of(source))
            weights: list[Weight] = []
            if numbers == "float32":  # smaller numbers are made of the values
                saved_model, weights = opened.enter_context(weights_apart(saved_model))
            content = litert_content(
                saved_model,
                numbers,
                source.samples,
                options.interface if numbers in _WITH_INTERFACE else "float",
                allow_flex=options.allow_flex,
            )
            (folder / MODEL_FILES[wanted]).write_bytes(completed(content, weights, source))
    except Exception as error:
        # The converter's own class is private, and its message is the whole graph.
        if (unfit := _unfit(str(error), numbers)) is not None:
            raise unfit from error
        if not (missing := _missing(str(error))):
            raise
        raise without_operators("LiteRT", missing, source) from error


def _missing(message: str) -> list[str]:
    """Return the operators that the converter's message says are not there."""
    if "_experimental_lower_tensor_list_ops" in message:
        return [_LISTS]
    if (listed := _MISSING.search(message)) is not None:
        return [name.strip() for name in listed[1].split(",")]
    return sorted({first or second for first, second in _ILLEGAL.findall(message)})


def _unfit(message: str, numbers: Numbers) -> WorkError | None:
    """Return the error for a model that there is no integer version of, if the message says so."""
    instead = "Use litert_float16 or litert_dynamic."
    if operators := sorted(set(_NO_INTEGERS.findall(message))):
        return WorkError(f"LiteRT has no {numbers} version of {', '.join(operators)}.", instead)
    if (integer := _UNMEASURED.search(message)) is not None:
        problem = f"LiteRT has no {numbers} for the input {integer[1]}, which is an integer itself."
        return WorkError(problem, "Use litert_int8, litert_float16 or litert_dynamic.")
    return None
