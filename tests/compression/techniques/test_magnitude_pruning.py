"""Pruning as a technique: its options, its control, and what earlier stages bought."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from agiwb.compression.techniques.magnitude_pruning import MagnitudePruning
from agiwb.errors import ConfigError
from tests.compression.techniques.trained_digits import (
    accuracy,
    bench,
    kernels,
    same_weights,
    trained,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("schedule", ["polynomial", "constant"])
@pytest.mark.parametrize("criterion", ["magnitude", "random"])
def test_each_kernel_has_the_zeros_asked_for(schedule: Any, criterion: Any):
    technique = MagnitudePruning(percent=60, schedule=schedule, criterion=criterion)
    pruned = technique.apply(trained("cnn"), bench(1))
    for kernel in kernels(pruned):
        assert np.sum(kernel == 0) == math.floor(0.6 * kernel.size)


def test_global_pruning_gives_all_kernels_together_the_zeros_asked_for():
    model = trained("cnn")
    pruned = MagnitudePruning(percent=60, scope="global").apply(model, bench())
    shares = [np.mean(kernel == 0) for kernel in kernels(pruned)]
    size = sum(kernel.size for kernel in kernels(model))
    assert sum(np.sum(kernel == 0) for kernel in kernels(pruned)) == math.floor(0.6 * size)
    assert max(shares) - min(shares) > 0.1
    kept = [old[new != 0] for old, new in zip(kernels(model), kernels(pruned), strict=True)]
    gone = [old[new == 0] for old, new in zip(kernels(model), kernels(pruned), strict=True)]
    assert np.abs(np.concatenate(gone)).max() <= np.abs(np.concatenate(kept)).min()


def test_the_smallest_are_worth_less_than_any():
    model = trained("cnn")
    smallest = MagnitudePruning(percent=50).apply(model, bench())
    drawn = MagnitudePruning(percent=50, criterion="random").apply(model, bench())
    assert accuracy(smallest) > accuracy(drawn) + 0.1


def test_the_schedules_differ_and_a_bench_decides_all():
    model = trained("mlp")
    constant = MagnitudePruning(percent=60, schedule="constant")
    one, other = (constant.apply(model, bench(2)) for _ in range(2))
    assert same_weights(one, other)
    grown = MagnitudePruning(percent=60).apply(model, bench(2))
    assert not same_weights(one, grown)
    assert accuracy(grown) >= accuracy(model) - 0.04


@pytest.mark.parametrize("criterion", ["magnitude", "random"])
def test_zeros_stay_zeros_while_few_are_asked_for(criterion: Any):
    model = trained("mlp")
    half = MagnitudePruning(percent=50).apply(model, bench())
    pruned = MagnitudePruning(percent=70, criterion=criterion).apply(half, bench(2))
    for old, new in zip(kernels(half), kernels(pruned), strict=True):
        assert np.all(new[old == 0] == 0)
        assert np.sum(new == 0) == math.floor(0.7 * new.size)
    fewer = MagnitudePruning(percent=20, criterion=criterion).apply(half, bench(1))
    for old, new in zip(kernels(half), kernels(fewer), strict=True):
        assert np.array_equal(new == 0, old == 0)


@pytest.mark.parametrize("per_channel", [False, True])
def test_shared_values_stay_shared_while_they_train(per_channel: bool):
    import keras

    model = keras.models.clone_model(trained("mlp"))
    kernel = model.get_layer("hidden_1").kernel
    values = np.random.default_rng(0).choice([-0.3, -0.1, 0.1, 0.3], kernel.shape)
    if per_channel:  # 128 values in all, 4 a column of 64 weights
        values = values * (1 + np.arange(values.shape[1]) / 10)
    kernel.assign(values)
    old = kernel.numpy()
    pruned = MagnitudePruning(percent=50).apply(model, bench(2))
    new = pruned.get_layer("hidden_1").kernel.numpy()
    assert np.sum(new == 0) == new.size // 2
    for before, after in zip(old.T, new.T, strict=True):
        for value in np.unique(before):
            assert len(np.unique(after[(before == value) & (after != 0)])) <= 1
    assert not np.isin(new[new != 0], old).all()


def test_percentages_are_checked():
    with pytest.raises(ConfigError, match="percent"):
        MagnitudePruning(percent=0)
    with pytest.raises(ConfigError, match="magnitude, random"):
        MagnitudePruning(criterion="largest")
