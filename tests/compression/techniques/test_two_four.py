"""2:4 sparsity: the pattern, and that it outlives the fine-tuning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agiwb.compression.techniques.two_four import TwoFour, two_four_mask
from agiwb.errors import WorkError
from tests.compression.techniques.trained_digits import (
    accuracy,
    bench,
    kernels,
    same_weights,
    trained,
)


def groups(kernel: Any) -> Any:
    """Return the weights in whole groups of 4 along the input, (groups, 4)."""
    inputs, outputs = kernel.shape[-2:]
    whole = kernel.reshape(-1, inputs, outputs)[:, : inputs - inputs % 4]
    return whole.transpose(0, 2, 1).reshape(-1, 4)


def test_the_two_smallest_of_four_along_the_input_go():
    kernel = np.array([[4.0, 1], [-3, 2], [1, -3], [2, -4]])
    assert two_four_mask(kernel).tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]


@pytest.mark.parametrize(("inputs", "zeros"), [(1, 0), (2, 0), (3, 1), (4, 2), (5, 2), (7, 3)])
def test_a_last_group_is_filled_up_with_zeros(inputs: int, zeros: int):
    mask = two_four_mask(np.ones((3, 3, inputs, 2)))
    assert mask.shape == (3, 3, inputs, 2)
    assert np.all(np.sum(mask == 0, axis=2) == zeros)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["mlp", "cnn", "resnet"])
def test_the_pattern_outlives_the_fine_tuning(family: str):
    model = trained(family)
    sparse = TwoFour().apply(model, bench(2))
    assert [kernel.shape for kernel in kernels(sparse)] == [k.shape for k in kernels(model)]
    for kernel in kernels(sparse):
        assert np.all(np.count_nonzero(groups(kernel), axis=1) <= 2)
    assert accuracy(sparse) >= accuracy(model) - 0.03
    assert not sparse.compiled


@pytest.mark.slow
def test_without_epochs_the_other_weights_stay_as_they_are():
    model = trained("cnn")
    for old, new in zip(kernels(model), kernels(TwoFour().apply(model, bench())), strict=True):
        assert np.array_equal(new, old * two_four_mask(old))


@pytest.mark.slow
def test_zeros_stay_zeros_and_benches_decide_all():
    import keras

    model = keras.models.clone_model(trained("mlp"))
    kernel = model.get_layer("hidden_1").kernel
    kernel.assign(np.where(np.arange(64)[:, np.newaxis] % 5 == 0, 0, kernel.numpy()))
    before = kernel.numpy()
    one, other = (TwoFour().apply(model, bench(1)) for _ in range(2))
    assert same_weights(one, other)
    assert np.all(one.get_layer("hidden_1").kernel.numpy()[before == 0] == 0)


@pytest.mark.slow
def test_a_model_without_groups_is_refused():
    import keras

    trained("mlp")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    with pytest.raises(WorkError, match="enough inputs"):
        TwoFour().apply(model, bench())
