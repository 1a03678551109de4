"""Magnitude pruning: the schedule, the masks, and what they do to a real model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from agiwb.compression.pruning import FineTuning, magnitude_mask, polynomial_sparsity
from agiwb.errors import WorkError
from agiwb.runs.record import Record

TUNING = FineTuning(epochs=1, batch_size=64, learning_rate=0.001, seed=0)


def test_the_schedule_is_that_of_zhu_and_gupta():
    # eq. 1 with s_i = 0, s_f = 0.8, t_0 = 0: 0.8 + (0 - 0.8) * (1 - t / 100) ** 3
    assert polynomial_sparsity(0, 100, 0.8) == 0
    assert polynomial_sparsity(50, 100, 0.8) == pytest.approx(0.8 * (1 - 0.5**3))
    assert polynomial_sparsity(100, 100, 0.8) == 0.8
    assert polynomial_sparsity(150, 100, 0.8) == 0.8
    assert polynomial_sparsity(0, 0, 0.8) == 0.8


def test_the_smallest_weights_go():
    kernel = np.array([[0.5, -0.1], [0.2, -3.0]])
    assert magnitude_mask(kernel, 0.5).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("sparsity", "size", "zeros"),
    [(0.8, 10, 8), (0.29, 100, 29), (0.8, 9, 7), (0.5, 1, 0), (0.99, 3, 2), (0.0, 5, 0)],
)
def test_the_number_of_zeros_is_exact_even_among_equals(sparsity: float, size: int, zeros: int):
    assert np.sum(magnitude_mask(np.ones(size), sparsity) == 0) == zeros


@pytest.fixture(scope="module")
def cnn(digits_cnn_run: Record) -> Any:
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    return keras.models.load_model(digits_cnn_run.file("model.keras"), compile=False)


@pytest.fixture(scope="module")
def digits() -> Any:
    from agiwb.datasets.registry import load_dataset

    return load_dataset("digits").train


def kernels(model: Any) -> dict[str, np.ndarray]:
    return {w.path: w.numpy() for w in model.weights if w.path.endswith("kernel")}


@pytest.mark.slow
def test_each_kernel_gets_exactly_the_sparsity_asked_and_nothing_else_is_masked(
    cnn: Any, digits: Any
):
    from agiwb.compression.pruning import measured_sparsity, prune

    before = [weights.copy() for weights in cnn.get_weights()]
    told: list[tuple[int, int]] = []
    pruned = prune(cnn, digits, 0.8, TUNING, lambda done, total: told.append((done, total)))

    assert len(kernels(pruned)) == 4
    for kernel in kernels(pruned).values():
        assert np.sum(kernel == 0) == math.floor(0.8 * kernel.size)
    norms = [layer for layer in pruned.layers if "batch_norm" in layer.name]
    assert norms
    assert all(np.all(layer.gamma.numpy() != 0) for layer in norms)
    total = sum(kernel.size for kernel in kernels(pruned).values())
    assert 0.8 - 4 / total < measured_sparsity(pruned) <= 0.8
    batches = math.ceil(len(digits) / 64)
    assert told == [(done, batches) for done in range(1, batches + 1)]
    assert not pruned.compiled
    for old, weights in zip(before, cnn.get_weights(), strict=True):
        assert np.array_equal(old, weights)


@pytest.mark.slow
def test_equal_seeds_give_equal_weights(cnn: Any, digits: Any):
    from agiwb.compression.pruning import prune

    first, second = (prune(cnn, digits, 0.5, TUNING, lambda *_: None) for _ in range(2))
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.slow
def test_what_is_masked_stays_zero_while_the_rest_trains(cnn: Any, digits: Any):
    from agiwb.compression.keras_model import rebuild
    from agiwb.compression.pruning import Masks, prunable_kernels
    from agiwb.training.objectives import compile_classifier

    model = rebuild(cnn)
    Masks(prunable_kernels(model)).tighten(0.5)
    before = kernels(model)
    compile_classifier(model, "adam", 0.001)
    model.fit(digits.features[:256], digits.labels[:256], verbose=0)
    for path, kernel in kernels(model).items():
        assert np.array_equal(kernel == 0, before[path] == 0)
        assert not np.array_equal(kernel, before[path])


@pytest.mark.slow
def test_a_constraint_of_the_models_own_still_holds(digits: Any):
    import keras

    from agiwb.compression.pruning import prune

    model = keras.Sequential(
        [
            keras.Input((8, 8)),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax", kernel_constraint="non_neg"),
        ]
    )
    pruned = prune(model, digits, 0.5, TUNING, lambda *_: None)
    kernel = pruned.layers[-1].kernel.numpy()
    assert kernel.min() == 0
    assert np.sum(kernel == 0) >= 320


@pytest.mark.slow
def test_without_epochs_it_prunes_in_one_shot_also_inside_nested_models(cnn: Any, digits: Any):
    import keras

    from agiwb.compression.pruning import prune

    outer = keras.Sequential([keras.Input((8, 8)), cnn])
    tuning = FineTuning(epochs=0, batch_size=32, learning_rate=0.001, seed=0)
    pruned = prune(outer, digits, 0.9, tuning, lambda *_: None)
    for original, kernel in zip(kernels(cnn).values(), kernels(pruned).values(), strict=True):
        assert np.array_equal(kernel, original * magnitude_mask(original, 0.9))


@pytest.mark.slow
def test_a_model_without_kernels_is_refused(cnn: Any, digits: Any):
    import keras

    from agiwb.compression.pruning import measured_sparsity, prune

    model = keras.Sequential([keras.Input((8, 8)), keras.layers.Flatten()])
    with pytest.raises(WorkError, match="no layer with a kernel"):
        prune(model, digits, 0.8, TUNING, lambda *_: None)
    assert measured_sparsity(model) == 0


@pytest.mark.slow
def test_a_fine_tuning_that_diverges_is_no_result(cnn: Any, digits: Any):
    from agiwb.compression.pruning import prune

    wild = FineTuning(epochs=1, batch_size=64, learning_rate=1e38, seed=0)
    with pytest.raises(WorkError, match="smaller `learning_rate`"):
        prune(cnn, digits, 0.8, wild, lambda *_: None)
