"""LiteRT in smaller numbers: which the file holds, and which it takes and gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.errors import InputError
from agiwb.native_chatter import held_back

Numbers = Literal["float32", "float16", "dynamic", "int8", "int16x8"]
"""``float16`` and ``dynamic`` store the weights in 16 and 8 bits; ``dynamic`` also computes in 8
bits where it can, but leaves kernels of fewer than 1,024 weights in floats; ``int8`` fixes the
activations' ranges as well; ``int16x8`` does so with activations of 16 bits."""

Interface = Literal["float", "integer"]
"""What goes in and comes out: float32, or the integers that the model computes with."""

_CALIBRATED = ("int8", "int16x8")


def quantize_litert(
    saved_model: Path,
    numbers: Numbers,
    samples: NDArray[np.float32],
    interface: Interface = "float",
) -> bytes:
    """Return the SavedModel as a ``.tflite`` file's content.

    Only LiteRT's own operators are allowed (no Flex, which needs TensorFlow to run), and for
    ``int8`` and ``int16x8`` only their integer versions: a model that has no such version fails
    here rather than keep floats unnoticed.

    Args:
        saved_model: Folder that ``quantization.export_saved_model`` wrote.
        numbers: See ``Numbers``.
        samples: Real training examples, float32 ``(samples, *feature_shape)``, from which ``int8``
            and ``int16x8`` learn the activations' ranges; the others do not look at them.
        interface: With ``integer`` inputs and outputs are int8, for ``int16x8`` int16; their
            scale and zero point stand in the file.

    Raises:
        InputError: An integer interface for numbers that are floats, or no samples to learn from.
    """
    import tensorflow as tf

    if interface == "integer" and numbers not in _CALIBRATED:
        raise InputError(
            f"A LiteRT model in {numbers} computes with floats and cannot take integers.",
            f"Use {' or '.join(_CALIBRATED)}, or a float interface.",
        )
    if numbers in _CALIBRATED and not len(samples):
        raise InputError(
            f"There are no samples from which {numbers} could learn the activations' ranges.",
            "Give some hundred training examples.",
        )
    kinds = tf.lite.OpsSet
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(saved_model), signature_keys=[SIGNATURE_NAME]
    )
    converter.target_spec.supported_ops = [
        {
            "int8": kinds.TFLITE_BUILTINS_INT8,
            "int16x8": kinds.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
        }.get(numbers, kinds.TFLITE_BUILTINS)
    ]
    if numbers != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if numbers == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if numbers in _CALIBRATED:
        converter.representative_dataset = lambda: _one_by_one(samples)
    if interface == "integer":
        integer = tf.int16 if numbers == "int16x8" else tf.int8
        converter.inference_input_type = converter.inference_output_type = integer
    with held_back():  # the 8-bit quantiser prints its settings
        content: bytes = converter.convert()
    return content


def _one_by_one(samples: NDArray[np.float32]) -> Iterator[list[NDArray[Any]]]:
    for sample in samples:
        yield [sample[np.newaxis]]
