"""What compressing one layer alone costs, on real models of digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agiwb.compression.sensitivity import layer_classes, layer_sensitivity, layer_sparsity
from agiwb.datasets.registry import load_dataset
from tests.compression.techniques.trained_digits import accuracy, trained, with_nested_parts

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> Any:
    return trained("cnn")


def test_each_layer_with_a_kernel_is_tried_alone_and_put_back(model: Any):
    from agiwb.compression.techniques.kernels import kernels_of

    before = [weights.copy() for weights in model.get_weights()]
    found = layer_sensitivity(model, load_dataset("digits").validation)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    layers = [layer for layer in model.layers if kernels_of(layer)]
    assert [each.layer for each in found] == [layer.name for layer in layers]
    assert all(each.accuracy == pytest.approx(accuracy(model)) for each in found)
    for each, layer in zip(found, layers, strict=True):
        kernel = layer.kernel.numpy()
        assert each.weights == kernel.size
        smallest = np.quantile(np.abs(kernel), 0.8)
        layer.kernel.assign(np.where(np.abs(kernel) > smallest, kernel, 0))
        assert each.pruned_accuracy == pytest.approx(accuracy(model), abs=0.01)
        top = np.abs(kernel).max(axis=tuple(range(kernel.ndim - 1)), keepdims=True)
        layer.kernel.assign(np.round(kernel / top * 7) / 7 * top)
        assert each.rounded_accuracy == pytest.approx(accuracy(model), abs=0.01)
        layer.kernel.assign(kernel)


def test_a_layer_that_decides_all_cannot_be_spared(model: Any):
    found = layer_sensitivity(model, load_dataset("digits").validation)
    lost = [each.accuracy - each.pruned_accuracy for each in found]
    assert max(lost) > 0.05
    assert max(lost) > min(lost)


def test_weights_are_back_even_if_an_answer_fails(model: Any):
    before = [weights.copy() for weights in model.get_weights()]
    data = load_dataset("digits").validation
    calls = iter(range(2))

    class Failing:
        layers = model.layers

        def __call__(self, features: Any, **more: Any) -> Any:
            if next(calls):
                raise RuntimeError("broken")
            return model(features, **more)

    with pytest.raises(RuntimeError, match="broken"):
        layer_sensitivity(Failing(), data)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_sparsity_of_each_layer_is_its_own():
    import keras

    model = keras.models.clone_model(trained("cnn"))
    kernel = model.layers[-1].kernel
    values = np.ones(kernel.shape, np.float32)
    values[: len(values) // 2] = 0
    kernel.assign(values)
    found = layer_sparsity(model)
    assert found.popitem() == (model.layers[-1].name, pytest.approx(0.5, abs=0.02))
    assert all(share == 0 for share in found.values())


def test_a_nested_model_counts_as_one_layer():
    nested = with_nested_parts()
    found = layer_sensitivity(nested, load_dataset("digits").validation)
    assert [each.layer for each in found] == list(layer_sparsity(nested))
    assert {"first", "middle", "side"} <= {each.layer for each in found}
    assert {"Dense", "Flatten", "Rescaling"} <= layer_classes(nested)
