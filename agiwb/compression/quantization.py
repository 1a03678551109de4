"""Post-training conversion to LiteRT: the same model in 32, 16 or 8 bits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import INPUT_NAME, OUTPUT_NAME, SIGNATURE_NAME
from agiwb.compression.recipe import Precision
from agiwb.native_chatter import held_back

if TYPE_CHECKING:
    import keras


def export_saved_model(model: keras.Model, folder: Path) -> None:
    """Write ``model`` as a SavedModel that maps ``features`` to ``probabilities``.

    ``features`` is float32 ``(batch, *feature_shape)`` with a free batch, ``probabilities``
    float32 ``(batch, classes)``, whatever the model calls its own tensors.

    Converting the Keras model or its concrete function directly is shorter but not safe: with
    TensorFlow 2.21 the latter leaves the weights out of the file, which converts and runs and
    answers at random.
    """
    import keras
    import tensorflow as tf

    from agiwb.compression.keras_model import rebuild

    plain = rebuild(model)

    def serve(features: Any) -> dict[str, Any]:
        return {OUTPUT_NAME: plain(features, training=False)}

    archive = keras.export.ExportArchive()
    archive.track(plain)
    shape = (None, *plain.inputs[0].shape[1:])
    features = tf.TensorSpec(shape, tf.float32, name=INPUT_NAME)
    archive.add_endpoint(SIGNATURE_NAME, serve, input_signature=[features])
    archive.write_out(str(folder), verbose=False)


def convert(saved_model: Path, precision: Precision, samples: NDArray[np.float32]) -> bytes:
    """Return the SavedModel as a ``.tflite`` file's content; inputs and outputs stay float32.

    Only LiteRT's own operators are allowed (no Flex, which needs TensorFlow to run), and for
    ``int8`` only their 8-bit versions: a model that has no such version fails here rather than
    keep floats unnoticed.

    Args:
        saved_model: Folder that ``export_saved_model`` wrote.
        precision: ``float16`` and ``dynamic`` store the weights in 16 and 8 bits; ``dynamic``
            also computes in 8 bits where it can, but leaves kernels of fewer than 1,024 weights
            in floats; ``int8`` fixes the activations' ranges as well.
        samples: Real training examples, float32 ``(samples, *feature_shape)``, from which
            ``int8`` learns these ranges; the others do not look at them.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(saved_model), signature_keys=[SIGNATURE_NAME]
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: _one_by_one(samples)
    with held_back():  # the 8-bit quantiser prints its settings
        content: bytes = converter.convert()
    return content


def calibration_samples(
    features: NDArray[np.float32], count: int, seed: int
) -> NDArray[np.float32]:
    """Return ``count`` examples drawn from ``features`` without repetition, or all if fewer."""
    order = np.random.default_rng(seed).permutation(len(features))
    return features[order[:count]]


def _one_by_one(samples: NDArray[np.float32]) -> Iterator[list[NDArray[np.float32]]]:
    for sample in samples:
        yield [sample[np.newaxis]]
