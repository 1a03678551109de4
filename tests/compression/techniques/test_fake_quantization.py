"""Quantization-aware training: what rounds where, and that the 8-bit file is what was trained."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agiwb.compression.pruning import FineTuning, prune
from agiwb.compression.techniques.clustering import Cluster
from agiwb.compression.techniques.fake_quantization import QuantizationAware
from agiwb.compression.techniques.technique import Bench
from agiwb.datasets.dataset import Dataset
from agiwb.datasets.registry import load_dataset
from agiwb.errors import WorkError
from agiwb.runs.record import Record


@functools.cache
def digits() -> Dataset:
    return load_dataset("digits")


pytestmark = pytest.mark.slow


def bench(epochs: int = 1, learning_rate: float = 0.001) -> Bench:
    return Bench(digits().train, FineTuning(epochs, 64, learning_rate, seed=0), lambda *_: None)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Have the weights that a test begins with not depend on the tests before it."""
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(scope="module")
def mlp(digits_run: Record) -> Any:
    return _load(digits_run)


@pytest.fixture(scope="module")
def cnn(digits_cnn_run: Record) -> Any:
    return _load(digits_cnn_run)


def _load(run: Record) -> Any:
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    return keras.models.load_model(run.file("model.keras"), compile=False)


def trained(model: Any, epochs: int = 3) -> Any:
    import keras

    from agiwb.compression.keras_model import rebuild
    from agiwb.training.objectives import compile_classifier
    from agiwb.training.single_trace import make_variables

    keras.utils.set_random_seed(0)
    compile_classifier(model, "adam", 0.003)
    data = digits().train
    make_variables(model, data.features[:1], data.labels[:1])
    model.fit(data.features, data.labels, epochs=epochs, batch_size=32, verbose=0)
    return rebuild(model)


def asked(model: Any) -> np.ndarray:
    """Return the probabilities of the test split, all at once: `predict` would trace the model."""
    return np.asarray(model(digits().test.features, training=False))


def classes(model: Any) -> np.ndarray:
    return asked(model).argmax(axis=1)


def accuracy(predicted: np.ndarray) -> float:
    return float((predicted == digits().test.labels).mean())


def answers_of(content: bytes) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, digits().test.features.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, digits().test.features)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def require_same_answers(quantized: Any, tolerance: float = 0.1) -> np.ndarray:
    """Return the classes that the file names, after comparing with those of the Keras model."""
    from agiwb.compression.techniques.integer_file import convert_trained

    expected = asked(quantized)
    answers = answers_of(convert_trained(quantized))
    assert len(np.unique(expected.argmax(axis=1))) == 10
    assert np.abs(answers - expected).max() < tolerance
    assert np.mean(answers.argmax(axis=1) == expected.argmax(axis=1)) >= 0.99
    assert abs(accuracy(answers.argmax(axis=1)) - accuracy(expected.argmax(axis=1))) <= 0.01
    return answers.argmax(axis=1)


def kernels(model: Any) -> list[np.ndarray]:
    from agiwb.compression.techniques.kernels import kernels_of

    return [kernel.variable.numpy() for kernel in kernels_of(model)]


def test_weights_are_rounded_to_255_steps_a_channel_and_twice_is_once():
    from agiwb.compression.techniques.quantized_layer import round_weights
    from agiwb.tensorflow_quietly import import_tensorflow

    tf = import_tensorflow()
    kernel = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32) * [1, 9, 0.1, 0, 3]
    kernel = tf.Variable(kernel.astype(np.float32))
    with tf.GradientTape() as tape:
        rounded = round_weights(kernel.value(), (0,))
        total = tf.reduce_sum(rounded * 2)
    assert np.allclose(tape.gradient(total, kernel), 2)
    steps = np.abs(kernel.numpy()).max(axis=0) / 127
    assert np.all(np.abs(rounded - kernel) <= steps * 0.5001)
    integers = (rounded / np.maximum(steps, 1e-9)).numpy()
    assert np.allclose(integers, integers.round(), atol=1e-3)
    assert np.allclose(round_weights(rounded, (0,)), rounded, atol=1e-6)


def test_ranges_are_moving_averages_that_hold_zero_and_stop_gradients_outside():
    from agiwb.compression.techniques.quantized_layer import activation_range_class
    from agiwb.tensorflow_quietly import import_tensorflow

    tf = import_tensorflow()
    tracker = activation_range_class()()
    for high in (1.0, 3.0):
        tracker(np.array([0.5, high], np.float32), training=True)
    assert float(tracker.minimum) == 0
    assert float(tracker.maximum) == pytest.approx(2)  # the first batches weigh the same
    x = tf.constant([-1.0, 0.0, 1.0, 5.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        rounded = tracker(x, training=False)
    assert float(tracker.maximum) == pytest.approx(2)
    assert np.allclose(rounded, [0, 0, 1, 2], atol=2 / 255)
    assert tape.gradient(rounded, x).numpy().tolist() == [0, 1, 1, 0]


def test_the_file_of_a_cnn_is_what_was_trained(cnn: Any, tmp_path: Path):
    import keras

    from agiwb.compression.techniques.integer_file import plain_model

    before = cnn.get_weights()
    quantized = QuantizationAware().apply(cnn, bench())
    assert accuracy(require_same_answers(quantized)) > accuracy(classes(cnn)) - 0.02
    assert not quantized.compiled
    for old, weights in zip(before, cnn.get_weights(), strict=True):
        assert np.array_equal(old, weights)
    quantized.save(tmp_path / "quantized.keras")
    loaded = keras.models.load_model(tmp_path / "quantized.keras")
    assert np.array_equal(asked(loaded), asked(quantized))
    plain = plain_model(quantized)
    assert [type(layer) for layer in plain.layers] == [type(layer) for layer in cnn.layers]
    assert np.mean(classes(plain) == classes(quantized)) > 0.97
    for kernel in kernels(plain):
        assert max(len(np.unique(row)) for row in kernel.reshape(-1, kernel.shape[-1]).T) <= 255


def test_residual_additions_and_their_normalisations(mlp: Any):
    from agiwb.models.registry import build_model
    from agiwb.models.specification import ModelSpec, Size

    size = Size(units=16, layers=2)
    model = trained(build_model("resnet", ModelSpec.of(digits(), size)), epochs=6)
    quantized = QuantizationAware().apply(model, bench())
    assert accuracy(require_same_answers(quantized)) > accuracy(classes(model)) - 0.03


def test_separable_convolutions_and_a_normalisation_that_cannot_be_folded(mlp: Any):
    import keras

    layers = keras.layers
    model = trained(
        keras.Sequential(
            [
                keras.Input((8, 8)),
                layers.Reshape((8, 8, 1)),
                layers.BatchNormalization(momentum=0.9),
                layers.Conv2D(8, 3, activation="relu"),
                layers.BatchNormalization(momentum=0.9),
                layers.SeparableConv2D(16, 3, activation="relu"),
                layers.DepthwiseConv2D(2, use_bias=False),
                layers.BatchNormalization(momentum=0.9),
                layers.ReLU(),
                layers.GlobalAveragePooling2D(),
                layers.Dense(10, activation="softmax"),
            ]
        ),
        epochs=6,
    )
    quantized = QuantizationAware().apply(model, bench())
    assert accuracy(require_same_answers(quantized)) > accuracy(classes(model)) - 0.05


def test_it_recovers_what_quantizing_after_training_loses(mlp: Any, tmp_path: Path):
    from agiwb.compression.keras_model import rebuild
    from agiwb.compression.post_training.litert import quantize_litert
    from agiwb.compression.quantization import export_saved_model

    model = rebuild(mlp)
    hidden, last = model.get_layer("hidden_1"), model.get_layer("probabilities")
    (kernel, bias), (out, out_bias) = hidden.get_weights(), last.get_weights()
    kernel[:, 0], bias[0], out[0] = kernel[:, 0] * 300, bias[0] * 300, out[0] / 300
    hidden.set_weights([kernel, bias])
    last.set_weights([out, out_bias])
    assert np.mean(classes(model) == classes(mlp)) > 0.99  # the same function, unevenly scaled
    export_saved_model(model, tmp_path)
    after = accuracy(
        answers_of(quantize_litert(tmp_path, "int8", digits().train.features[:200])).argmax(axis=1)
    )
    quantized = QuantizationAware().apply(model, bench(epochs=6, learning_rate=0.003))
    trained_file = accuracy(require_same_answers(quantized))
    assert after < accuracy(classes(mlp)) - 0.1
    assert trained_file > after + 0.1


def test_zeros_and_codebooks_survive(mlp: Any):
    from agiwb.compression.techniques.integer_file import plain_model

    pruned = prune(mlp, digits().train, 0.6, bench().tuning, lambda *_: None)
    for model, most in ((pruned, 255), (Cluster(clusters=8).apply(pruned, bench(0)), 8)):
        quantized = QuantizationAware().apply(model, bench())
        for before, during, after in zip(
            kernels(model), kernels(quantized), kernels(plain_model(quantized)), strict=True
        ):
            assert np.all(after[before == 0] == 0)
            assert not np.array_equal(before, during)
            assert max(len(np.unique(row)) for row in after.T) <= most
            assert most == 255 or len(np.unique(after)) <= most
        require_same_answers(quantized)


def test_equal_seeds_give_equal_weights(mlp: Any):
    first, second = (QuantizationAware().apply(mlp, bench()) for _ in range(2))
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_nested_models_are_quantized_inside(mlp: Any):
    import keras

    nested = keras.Sequential([keras.Input((8, 8)), mlp])
    quantized = QuantizationAware().apply(nested, bench(epochs=0))
    require_same_answers(quantized)


def test_a_recurrent_layer_trains_but_its_file_would_not_be_whole_in_8_bits(mlp: Any):
    import keras

    from agiwb.compression.techniques.integer_file import convert_trained, plain_model

    layers = keras.layers
    model = trained(
        keras.Sequential([keras.Input((8, 8)), layers.LSTM(12), layers.Dense(10, "softmax")])
    )
    quantized = QuantizationAware().apply(model, bench())
    assert accuracy(classes(quantized)) > accuracy(classes(model)) - 0.05
    for kernel in kernels(plain_model(quantized)):
        steps = kernel / np.abs(kernel).max(axis=0) * 127
        assert np.allclose(steps, steps.round(), atol=1e-2)
    with pytest.raises(WorkError, match="floats"):
        convert_trained(quantized)


def test_what_cannot_be_done_is_said(mlp: Any):
    import keras

    from agiwb.compression.techniques.integer_file import convert_trained

    with pytest.raises(WorkError, match="smaller `learning_rate`"):
        QuantizationAware().apply(mlp, bench(learning_rate=1e38))
    quantized = QuantizationAware().apply(mlp, bench(epochs=0))
    with pytest.raises(WorkError, match="already"):
        QuantizationAware().apply(quantized, bench())
    with pytest.raises(WorkError, match="no trained ranges"):
        convert_trained(mlp)
    features = keras.Input((8,))
    with pytest.raises(WorkError, match="no layer"):
        QuantizationAware().apply(keras.Model(features, features * 2), bench())
    assert str(QuantizationAware()) == "qat"
