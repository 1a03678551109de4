"""Low-rank factorisation: exact at full rank, smaller below, silent where nothing is gained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agiwb.compression.techniques.factors import ranks
from agiwb.compression.techniques.low_rank import LowRank
from agiwb.compression.techniques.magnitude_pruning import MagnitudePruning
from agiwb.errors import WorkError
from tests.compression.techniques.trained_digits import (
    accuracy,
    answers,
    bench,
    kernels,
    same_weights,
    trained,
    with_nested_parts,
)

VALUES = np.array([4.0, 2.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("energy", "rank"), [(0.5, 1), (16 / 22, 1), (0.8, 2), (0.92, 3), (1.0, 4), (0.01, 1)]
)
def test_the_rank_by_energy_is_the_smallest_that_has_it(energy: float, rank: int):
    assert ranks(VALUES, (4, 8), percent=50, energy=energy) == rank


@pytest.mark.parametrize(("percent", "rank"), [(1, 1), (50, 1), (75, 2), (99, 2)])
def test_the_rank_by_percent_is_the_largest_that_fits(percent: int, rank: int):
    # Of 32 parameters; each rank costs 12.
    assert ranks(VALUES, (4, 8), percent=percent, energy=None) == rank


@pytest.mark.slow
@pytest.mark.parametrize("decomposition", ["channel", "spatial"])
@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet", "lenet_5", "nested", "strides"])
def test_at_full_rank_the_answers_are_the_same(name: str, decomposition: Any):
    from agiwb.compression.techniques.factors import factorised

    makers = {"nested": with_nested_parts, "strides": with_strides}
    model = makers[name]() if name in makers else trained(name)
    copy, left = factorised(model, decomposition, lambda singular, _: len(singular))
    assert left == {}
    assert len(kernels(copy)) == 2 * len(kernels(model))
    assert np.abs(answers(copy) - answers(model)).max() < 1e-5


def with_strides() -> Any:
    """Return an untrained CNN with oblong kernels, strides and dilation."""
    import keras
    from keras import layers

    trained("mlp")
    features = keras.Input((8, 8), name="features")
    x = layers.Conv1D(6, 3, dilation_rate=2, padding="causal", activation="tanh")(features)
    x = layers.Reshape((8, 6, 1))(x)
    x = layers.Conv2D(6, (3, 2), strides=(2, 1), padding="same", activation="relu")(x)
    x = layers.Conv2D(7, (2, 3), dilation_rate=(2, 1), activation="relu")(x)
    x = layers.Conv2D(5, (1, 3), padding="same")(x)
    return keras.Model(features, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))


@pytest.mark.slow
@pytest.mark.parametrize("decomposition", ["channel", "spatial"])
def test_convolutions_become_pairs_that_save_parameters(decomposition: Any):
    model = trained("resnet")
    technique = LowRank(percent=50, decomposition=decomposition)
    smaller = technique.apply(model, bench(4))
    assert smaller.count_params() < 0.65 * model.count_params()
    name = "block_3_second_convolution"
    sizes = [smaller.get_layer(f"{name}_{part}").kernel_size for part in ("in", "out")]
    expected = {"channel": [(3, 3), (1, 1)], "spatial": [(3, 1), (1, 3)]}
    assert sizes == expected[decomposition]
    factors = [smaller.get_layer(f"{name}_{part}").kernel.shape for part in ("in", "out")]
    count = sum(int(np.prod(shape)) for shape in factors)
    assert count <= 0.5 * model.get_layer(name).kernel.numpy().size
    assert accuracy(smaller) >= accuracy(model) - 0.04
    assert not smaller.compiled


@pytest.mark.slow
def test_the_factors_are_the_nearest_of_their_rank():
    model = trained("mlp")
    smaller = LowRank(percent=60).apply(model, bench())
    kernel = model.get_layer("hidden_1").kernel.numpy()
    first, second = (smaller.get_layer(f"hidden_1_{part}").kernel.numpy() for part in ("in", "out"))
    rank = 64 * 32 * 60 // 100 // (64 + 32)
    assert first.shape == (64, rank)
    error = np.linalg.norm(kernel - first @ second)
    left_out = np.linalg.svd(kernel, compute_uv=False)[rank:]
    assert error == pytest.approx(np.linalg.norm(left_out), rel=1e-4)


@pytest.mark.slow
def test_equal_benches_give_equal_weights():
    one, other = (LowRank(energy=0.8).apply(trained("mlp"), bench(1)) for _ in range(2))
    assert same_weights(one, other)


@pytest.mark.slow
def test_what_saves_nothing_is_left():
    model = trained("mlp")
    assert LowRank().left_alone(model).keys() == {"probabilities"}
    assert LowRank(smallest=0).left_alone(model) == {}
    assert LowRank(energy=1.0).left_alone(model).keys() == {"hidden_1", "probabilities"}
    with pytest.raises(WorkError, match="too few parameters"):
        LowRank(energy=1.0).apply(model, bench())


@pytest.mark.slow
def test_kernels_with_zeros_and_recurrent_layers_are_left_with_a_reason():
    pruned = MagnitudePruning(percent=50).apply(trained("mlp"), bench())
    assert "zeros" in LowRank().left_alone(pruned)["hidden_1"]
    with pytest.raises(WorkError, match="has zeros"):
        LowRank().apply(pruned, bench())
    assert "GRU" in LowRank().left_alone(trained("rnn", 1))["gru_1"]
