"""What conversions need: the model as a SavedModel, and examples to calibrate on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import INPUT_NAME, OUTPUT_NAME, SIGNATURE_NAME

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


def calibration_samples(
    features: NDArray[np.float32], count: int, seed: int
) -> NDArray[np.float32]:
    """Return ``count`` examples drawn from ``features`` without repetition, or all if fewer."""
    order = np.random.default_rng(seed).permutation(len(features))
    return features[order[:count]]
