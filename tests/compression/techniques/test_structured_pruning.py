"""Structured pruning: what goes, what it does to the answers, and what is left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agiwb.compression.techniques.structured_pruning import StructuredPruning
from agiwb.errors import ConfigError, WorkError
from tests.compression.techniques.trained_digits import (
    accuracy,
    answers,
    bench,
    fitted,
    same_weights,
    trained,
    with_nested_parts,
)

pytestmark = pytest.mark.slow


def nobody_reads_what_is_gone(removal: Any) -> Any:
    """Return the large model of ``removal`` whose kernels have zeros for the units to remove."""
    for layer in removal.model.layers:
        reads = removal.channels.inputs.get(layer.name)
        if reads is not None and len(layer.get_weights()[0].shape) > 1:
            kernel, *rest = layer.get_weights()
            axis_last = removal.kept(reads)[:, np.newaxis]
            layer.set_weights([kernel * axis_last, *rest])
    return removal.model


def made(name: str) -> Any:
    builders = {"nested": with_nested_parts, "branches": with_branches, "shared": with_shared_layer}
    return builders[name]() if name in builders else trained(name)


def with_branches() -> Any:
    """Return a CNN with a depthwise convolution, a concatenation and a gate."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(5)
    features = keras.Input((8, 8), name="features")
    x = layers.Reshape((8, 8, 1))(layers.Rescaling(1 / 16)(features))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(x)
    one = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    one = layers.BatchNormalization(name="norm")(one)
    two = layers.Conv2D(6, 1, activation="relu", name="pointwise")(x)
    both = layers.Concatenate()([one, two])
    gate = layers.GlobalAveragePooling2D(keepdims=True)(both)
    gate = layers.Conv2D(14, 1, activation="sigmoid", name="gate")(gate)
    x = layers.Flatten()(layers.MaxPooling2D()(layers.Multiply()([both, gate])))
    x = layers.Dense(20, activation="relu", name="hidden")(x)
    x = layers.Reshape((20,))(x)
    return fitted(keras.Model(features, layers.Dense(10, activation="softmax")(x)), 4)


def with_shared_layer() -> Any:
    """Return a model that calls one layer twice."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(6)
    features = keras.Input((8, 8), name="features")
    x = layers.Flatten()(layers.Rescaling(1 / 16)(features))
    x = layers.Dense(12, activation="relu", name="before")(x)
    shared = layers.Dense(12, activation="relu", name="shared")
    x = shared(shared(x))
    return fitted(keras.Model(features, layers.Dense(10, activation="softmax")(x)), 2)


@pytest.mark.parametrize(
    ("name", "importance"),
    [
        ("mlp", "l2"),
        ("cnn", "l1"),
        ("resnet", "batch_norm"),
        ("lenet_5", "l1"),
        ("nested", "l2"),
        ("branches", "l1"),
        ("shared", "l1"),
    ],
)
def test_the_smaller_model_answers_as_the_larger_one_without_the_units(name: str, importance: Any):
    from agiwb.compression.techniques.channel_removal import plan_removal, without_units

    model = made(name)
    before = answers(model)
    removal = plan_removal(model, 50, importance)
    smaller = without_units(removal)
    assert smaller.count_params() < 0.75 * model.count_params()
    assert np.abs(answers(removal.model) - before).max() < 1e-6
    masked = answers(nobody_reads_what_is_gone(removal))
    assert np.abs(masked - before).max() > 1e-3
    assert np.abs(answers(smaller) - masked).max() < 1e-5


def test_half_of_the_units_of_each_layer_go():
    smaller = StructuredPruning(percent=50).apply(trained("cnn"), bench())
    widths = {layer.name: layer.get_weights()[0].shape for layer in smaller.layers if layer.weights}
    assert widths["convolution_1"] == (3, 3, 1, 4)
    assert widths["convolution_2"] == (3, 3, 4, 8)
    assert widths["batch_norm_2"] == (8,)
    assert widths["hidden"] == (2 * 2 * 8, 16)
    assert widths["probabilities"] == (16, 10)


def test_channels_that_meet_in_an_addition_go_together():
    from agiwb.compression.techniques.channel_removal import plan_removal

    removal = plan_removal(trained("resnet"), 50, "l1")
    outputs = removal.channels.outputs
    stem = removal.kept(outputs["stem_convolution"])
    assert stem.sum() == len(stem) / 2
    assert np.array_equal(stem, removal.kept(outputs["block_1_second_convolution"]))
    block = removal.kept(outputs["block_2_second_convolution"])
    assert np.array_equal(block, removal.kept(outputs["block_2_shortcut_convolution"]))
    assert not np.array_equal(
        removal.kept(outputs["block_2_first_convolution"]), block
    )  # it meets nothing, and so goes by itself


def test_the_smallest_by_batch_norm_scale_go():
    from agiwb.compression.techniques.channel_removal import plan_removal

    model = trained("cnn")
    removal = plan_removal(model, 25, "batch_norm")
    kept = removal.kept(removal.channels.outputs["convolution_2"])
    scale = np.abs(model.get_layer("batch_norm_2").gamma.numpy())
    assert kept.sum() == 12
    assert scale[~kept].max() <= scale[kept].min()


@pytest.mark.parametrize(("name", "percent"), [("mlp", 50), ("cnn", 25), ("resnet", 25)])
def test_fine_tuning_keeps_the_accuracy(name: str, percent: int):
    model = trained(name)
    smaller = StructuredPruning(percent=percent).apply(model, bench(6))
    assert accuracy(smaller) >= accuracy(model) - 0.04
    assert not smaller.compiled


def test_equal_benches_give_equal_weights_and_the_model_stays_as_it_is():
    model = trained("mlp")
    before = [weights.copy() for weights in model.get_weights()]
    one, other = (StructuredPruning(percent=30).apply(model, bench(1)) for _ in range(2))
    assert same_weights(one, other)
    for old, weights in zip(before, model.get_weights(), strict=True):
        assert np.array_equal(old, weights)


def test_the_result_is_saved_and_loaded(tmp_path: Any):
    import keras

    smaller = StructuredPruning(percent=50).apply(with_nested_parts(), bench())
    smaller.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(answers(loaded), answers(smaller))
    assert [tensor.name for tensor in loaded.inputs] == ["features"]


def test_recurrent_layers_are_left_with_a_reason():
    model = lstm()
    left = StructuredPruning().left_alone(model)
    assert "LSTM" in left["lstm"]
    with pytest.raises(WorkError, match="lstm: a LSTM has no units"):
        StructuredPruning().apply(model, bench())


def lstm() -> Any:
    import keras
    from keras import layers

    features = keras.Input((8, 8), name="features")
    x = layers.LSTM(8, name="lstm")(features)
    return keras.Model(features, layers.Dense(10, activation="softmax", name="probabilities")(x))


def test_a_layer_that_feeds_a_recurrent_one_is_left_and_one_after_it_is_not():
    import keras
    from keras import layers

    features = keras.Input((8, 8), name="features")
    x = layers.Dense(6, name="before")(features)
    x = layers.LSTM(8, name="lstm")(x)
    x = layers.Dense(12, name="after")(x)
    model = keras.Model(features, layers.Dense(10, activation="softmax", name="answer")(x))
    left = StructuredPruning().left_alone(model)
    assert "lstm (LSTM)" in left["before"]
    assert "after" not in left
    smaller = StructuredPruning(percent=50).apply(model, bench())
    assert smaller.get_layer("after").units == 6
    assert smaller.get_layer("before").units == 6


def test_zeros_and_shared_values_survive():
    import keras

    model = keras.models.clone_model(trained("mlp"))
    hidden = model.get_layer("hidden_1")
    kernel = np.random.default_rng(0).choice([0, 0, 0, -0.2, 0.1, 0.3], hidden.kernel.shape)
    hidden.kernel.assign(kernel)
    smaller = StructuredPruning(percent=25).apply(model, bench(2))
    values = smaller.get_layer("hidden_1").kernel.numpy()
    assert values.shape == (64, 24)
    zeros = values == 0
    assert 0.4 < zeros.mean() < 0.6
    assert len(np.unique(values)) == 4
    assert not np.isin(values[~zeros], np.float32([-0.2, 0.1, 0.3])).any()  # yet they trained
    columns = [np.array_equal(kept, kernel[:, n] == 0) for kept in zeros.T for n in range(32)]
    assert sum(columns) == 24


def test_percentages_out_of_bounds_are_refused():
    with pytest.raises(ConfigError, match="percent"):
        StructuredPruning(percent=100)


def test_too_few_units_to_lose_one_are_said():
    import keras

    model = keras.Sequential(
        [keras.Input((8, 8)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    )
    with pytest.raises(WorkError, match="compares its units"):
        StructuredPruning().apply(model, bench())
