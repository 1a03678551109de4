"""Files of TensorFlow's formats that TensorFlow loads: small, and with weights."""

from __future__ import annotations

from pathlib import Path


def write_loadable(folder: str) -> None:
    """Write a network of one layer as ``model.keras``, ``saved_model/`` and ``model.pb``."""
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(2, name="y")])
    model.save(Path(folder, "model.keras"))
    model.export(Path(folder, "saved_model"), verbose=False)
    traced = tf.function(model).get_concrete_function(tf.TensorSpec((None, 4), tf.float32))
    frozen = convert_variables_to_constants_v2(traced)
    Path(folder, "model.pb").write_bytes(frozen.graph.as_graph_def().SerializeToString())
