"""Post-training conversion to LiteRT: the same model in 32, 16 or 8 bits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import INPUT_NAME, OUTPUT_NAME, SIGNATURE_NAME
from agiwb.compression.post_training.litert import quantize_litert
from agiwb.compression.recipe import Precision

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
    return quantize_litert(saved_model, precision, samples)


def calibration_samples(
    features: NDArray[np.float32], count: int, seed: int
) -> NDArray[np.float32]:
    """Return ``count`` examples drawn from ``features`` without repetition, or all if fewer."""
    order = np.random.default_rng(seed).permutation(len(features))
    return features[order[:count]]
