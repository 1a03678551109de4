"""Clustering of real models: few values a kernel, which only move together."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from agiwb.compression.pruning import FineTuning, prune
from agiwb.compression.techniques.clustering import Cluster
from agiwb.compression.techniques.technique import Bench
from agiwb.datasets.dataset import Dataset
from agiwb.datasets.registry import load_dataset
from agiwb.errors import ConfigError, WorkError
from agiwb.runs.record import Record


@functools.cache
def digits() -> Dataset:
    return load_dataset("digits")


def bench(epochs: int = 1, learning_rate: float = 0.001, told: Any = None) -> Bench:
    tuning = FineTuning(epochs, 64, learning_rate, seed=0)
    return Bench(digits().train, tuning, told or (lambda *_: None))


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


def kernels(model: Any) -> list[np.ndarray]:
    from agiwb.compression.techniques.kernels import kernels_of

    return [kernel.variable.numpy() for kernel in kernels_of(model)]


def accuracy(model: Any) -> float:
    answers = model.predict(digits().test.features, verbose=0).argmax(axis=1)
    return float((answers == digits().test.labels).mean())


def test_it_is_written_with_its_number_of_values():
    assert str(Cluster(clusters=16)) == "cluster_16"
    for wrong in (1, 257):
        with pytest.raises(ConfigError, match="clusters"):
            Cluster(clusters=wrong)


@pytest.mark.slow
def test_sixteen_values_a_kernel_keep_the_accuracy_of_a_cnn(cnn: Any):
    told: list[tuple[int, int]] = []
    before = cnn.get_weights()
    clustered = Cluster(clusters=16).apply(cnn, bench(told=lambda *step: told.append(step)))
    assert all(len(np.unique(kernel)) <= 16 for kernel in kernels(clustered))
    assert accuracy(clustered) > accuracy(cnn) - 0.03
    assert told[-1] == (len(told), len(told))
    assert not clustered.compiled
    assert all(variable.trainable for variable in clustered.trainable_weights)
    assert len(clustered.trainable_weights) == len(cnn.trainable_weights)
    for old, weights in zip(before, cnn.get_weights(), strict=True):
        assert np.array_equal(old, weights)


@pytest.mark.slow
def test_fine_tuning_moves_the_values_and_no_weight_changes_its_cluster(mlp: Any):
    replaced = kernels(Cluster(clusters=4).apply(mlp, bench(epochs=0)))
    tuned_model = Cluster(clusters=4).apply(mlp, bench(epochs=3, learning_rate=0.003))
    for before, after in zip(replaced, kernels(tuned_model), strict=True):
        pairs = np.unique(np.stack([before.ravel(), after.ravel()]), axis=1)
        assert pairs.shape[1] == 4  # each former value has become one other
        assert not np.array_equal(before, after)
    once = Cluster(clusters=4).apply(mlp, bench(epochs=0))
    assert accuracy(tuned_model) > accuracy(once)


@pytest.mark.slow
def test_the_gradient_of_a_value_is_the_sum_over_its_weights(mlp: Any):
    import keras
    import tensorflow as tf

    from agiwb.compression.keras_model import rebuild
    from agiwb.compression.techniques.codebook import fit_codebook
    from agiwb.compression.techniques.kernels import kernels_of
    from agiwb.compression.techniques.tied_weights import Tie, tie

    model = rebuild(mlp)
    kernel = kernels_of(model)[0].variable
    codebook = fit_codebook(kernel.numpy(), 4, "linear", 0)
    kernel.assign(codebook.kernel())
    loss = keras.losses.SparseCategoricalCrossentropy()
    features, labels = digits().train.features[:32], digits().train.labels[:32]
    with tf.GradientTape() as tape:
        cost = loss(labels, model(features, training=False))
    by_weight = np.asarray(tape.gradient(cost, kernel.value))
    tied = tie(model, [Tie(kernel, codebook)])
    with tf.GradientTape() as tape:
        cost = loss(labels, tied(features, training=False))
    gradient = tape.gradient(cost, tied.ties[0].entries.value)
    assert isinstance(gradient, tf.Tensor)  # summed, not a list of contributions
    by_entry = gradient.numpy()
    sums = [by_weight[codebook.indices == index].sum() for index in range(1, 5)]
    assert np.allclose(by_entry, sums, atol=1e-5)
    assert np.abs(by_entry).max() > 1e-3


@pytest.mark.slow
def test_what_was_pruned_stays_zero_and_zero_counts_as_a_value(mlp: Any):
    pruned = prune(mlp, digits().train, 0.7, bench().tuning, lambda *_: None)
    clustered = Cluster(clusters=8, init="density").apply(pruned, bench())
    by_channel = Cluster(clusters=4, init="kmeans++", per_channel=True).apply(pruned, bench())
    trios = zip(kernels(pruned), kernels(clustered), kernels(by_channel), strict=True)
    for before, after, rows in trios:
        assert np.array_equal(before == 0, after == 0)
        assert np.array_equal(before == 0, rows == 0)
        assert len(np.unique(after)) <= 8
        assert max(len(np.unique(row)) for row in rows.T) <= 4


@pytest.mark.slow
def test_equal_seeds_give_equal_weights(mlp: Any):
    first, second = (Cluster(init="kmeans++").apply(mlp, bench()) for _ in range(2))
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.slow
def test_recurrent_and_nested_layers_are_clustered_too(mlp: Any):
    import keras

    layers = keras.layers
    rows = keras.Sequential([keras.Input((8, 8)), layers.LSTM(8), layers.Dense(10, "softmax")])
    clustered = Cluster(clusters=4).apply(rows, bench())
    assert [len(np.unique(kernel)) for kernel in kernels(clustered)] == [4, 4, 4]
    nested = keras.Sequential([keras.Input((8, 8)), mlp])
    clustered = Cluster(clusters=4).apply(nested, bench(epochs=0))
    assert [len(np.unique(kernel)) for kernel in kernels(clustered)] == [4, 4]


@pytest.mark.slow
def test_a_model_without_kernels_and_a_divergence_are_errors(mlp: Any):
    import keras

    model = keras.Sequential([keras.Input((8, 8)), keras.layers.Flatten()])
    with pytest.raises(WorkError, match="no layer with a kernel"):
        Cluster().apply(model, bench())
    with pytest.raises(WorkError, match="smaller `learning_rate`"):
        Cluster().apply(mlp, bench(learning_rate=1e38))
