"""One small model in every format that is inspected."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_all(folder: Path) -> None:
    """Write a digits classifier of 4810 numbers, as each format has it, below ``folder``."""
    from agiwb.tensorflow_quietly import import_tensorflow

    tf = import_tensorflow()
    import keras
    from onnxruntime.quantization import quantize_dynamic
    from tensorflow.python.framework import convert_to_constants

    keras.utils.set_random_seed(0)
    inputs = keras.Input((64,), name="features")
    hidden = keras.layers.Dense(64, activation="relu", name="hidden")(inputs)
    inner = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10, name="inside")], name="in")
    model = keras.Model(inputs, keras.layers.Softmax(name="probabilities")(inner(hidden)))
    kernel, bias = model.get_layer("hidden").get_weights()
    kernel[:32] = 0  # half of the kernel
    bias[:] = np.linspace(-0.1, 0.1, len(bias))  # converters drop a bias of zeros
    model.get_layer("hidden").set_weights([kernel, bias])
    inner.set_weights([inner.get_weights()[0], np.linspace(0.1, 0.2, 10)])
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    model.export(folder / "saved_model", verbose=False)
    model.export(folder / "model.onnx", format="onnx", verbose=False)
    quantize_dynamic(folder / "model.onnx", folder / "integers.onnx")
    for name, optimizations in (("model", []), ("integers", [tf.lite.Optimize.DEFAULT])):
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved_model"))
        converter.optimizations = optimizations
        (folder / f"{name}.tflite").write_bytes(converter.convert())
    spec = tf.TensorSpec((None, 64), tf.float32, name="features")
    concrete = tf.function(model).get_concrete_function(spec)
    frozen = convert_to_constants.convert_variables_to_constants_v2(concrete)
    (folder / "frozen.pb").write_bytes(frozen.graph.as_graph_def().SerializeToString())
    np.save(folder / "kernel.npy", kernel)
    recurrent = keras.Sequential(
        [keras.Input((5, 3)), keras.layers.LSTM(4, name="memory"), keras.layers.Dense(1, name="d")]
    )
    recurrent.save(folder / "recurrent.keras")
    kernel[0, 0] = 3.0
    model.get_layer("hidden").set_weights([kernel, bias])
    model.save(folder / "changed.keras")
