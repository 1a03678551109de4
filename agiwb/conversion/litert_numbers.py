"""LiteRT in smaller numbers: which the file holds, and which it takes and gives."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agiwb.conversion.exported import signature_in
from agiwb.conversion.options import Interface
from agiwb.errors import InputError
from agiwb.native_chatter import held_back

Numbers = Literal["float32", "float16", "dynamic", "int8", "int16x8"]
"""``float16`` and ``dynamic`` store the weights in 16 and 8 bits; ``dynamic`` also computes in 8
bits where it can, but leaves kernels of fewer than 1,024 weights in floats; ``int8`` fixes the
activations' ranges as well; ``int16x8`` does so with activations of 16 bits."""

_CALIBRATED = ("int8", "int16x8")


def litert_content(
    saved_model: Path,
    numbers: Numbers,
    samples: Mapping[str, NDArray[Any]],
    interface: Interface = "float",
    *,
    allow_flex: bool = False,
) -> bytes:
    """Return the default signature of a SavedModel as a ``.tflite`` file's content.

    Only LiteRT's own operators are used (no Flex, which needs TensorFlow to run) unless it is
    allowed, and for ``int8`` and ``int16x8`` only their integer versions: a model that has no such
    version fails here rather than keep floats unnoticed.

    Args:
        saved_model: Its folder.
        numbers: See ``Numbers``.
        samples: Real training examples by the signature's inputs, from which ``int8`` and
            ``int16x8`` learn the activations' ranges; the others do not look at them.
        interface: With ``integer`` inputs and outputs are int8, for ``int16x8`` int16; their
            scale and zero point stand in the file.
        allow_flex: Let TensorFlow's own operators in where LiteRT has none.

    Raises:
        InputError: An integer interface for numbers that are floats, or no samples to learn from.
    """
    import tensorflow as tf

    if interface == "integer" and numbers not in _CALIBRATED:
        raise InputError(
            f"A LiteRT model in {numbers} computes with floats and cannot take integers.",
            f"Use {' or '.join(_CALIBRATED)}, or a float interface.",
        )
    if numbers in _CALIBRATED and not any(map(len, samples.values())):
        raise InputError(
            f"There are no samples from which {numbers} could learn the activations' ranges.",
            "Give some hundred training examples.",
        )
    kinds = tf.lite.OpsSet
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(saved_model), signature_keys=[signature_in(saved_model)]
    )
    converter.target_spec.supported_ops = [
        {
            "int8": kinds.TFLITE_BUILTINS_INT8,
            "int16x8": kinds.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
        }.get(numbers, kinds.TFLITE_BUILTINS)
    ]
    if allow_flex:
        converter.target_spec.supported_ops.append(kinds.SELECT_TF_OPS)
    if numbers != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if numbers == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if numbers in _CALIBRATED:
        converter.representative_dataset = lambda: _one_by_one(samples)
    if interface == "integer":
        integer = tf.int16 if numbers == "int16x8" else tf.int8
        converter.inference_input_type = converter.inference_output_type = integer
    # The 8-bit quantiser prints its settings, and warns of an interpreter that it uses itself.
    with held_back(), warnings.catch_warnings(action="ignore"):
        content: bytes = converter.convert()
    return content


def _one_by_one(samples: Mapping[str, NDArray[Any]]) -> Iterator[dict[str, NDArray[Any]]]:
    count = min(map(len, samples.values()))
    whole = np.ones(count, bool)
    for values in samples.values():
        if values.dtype.kind == "f":  # a missing value has no place in any range
            whole &= ~np.isnan(values[:count]).reshape(count, -1).any(axis=1)
    for row in np.flatnonzero(whole):
        yield {name: np.asarray(values[row : row + 1]) for name, values in samples.items()}
