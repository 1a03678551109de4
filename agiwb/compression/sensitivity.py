"""Which layers bear compression: what each costs when it alone is compressed, without training.

The costs of layers do not add up, and training mends much of them. What the numbers are good for is
their order: a layer that cannot lose a weight is one to leave out, or to look at first when a
candidate loses accuracy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agiwb.compression.masks import magnitude_mask
from agiwb.compression.techniques.kernels import Kernel, kernels_of, layers_within
from agiwb.datasets.dataset import Split

if TYPE_CHECKING:
    import keras

PERCENT = 80
"""Of a layer's weights that are set to zero."""
BITS = 4
"""Of a layer's weights that are rounded. Eight cost a layer so little that none would stand out."""

_MOST_EXAMPLES = 2000
"""That answers take: with so many, an accuracy is uncertain by 2 points at most."""
_BATCH = 256


class LayerSensitivity(BaseModel):
    """What compressing one layer alone does to the accuracy on the validation split."""

    model_config = ConfigDict(frozen=True)

    layer: str
    weights: int
    """Numbers in its kernels."""
    accuracy: float
    """Of the model as it is, on the same examples."""
    pruned_accuracy: float
    """With the 80 % smallest weights of each of its kernels set to zero."""
    rounded_accuracy: float
    """With its kernels rounded to 4 bits, one scale for each output channel."""


def layer_sensitivity(model: keras.Model, validation: Split) -> tuple[LayerSensitivity, ...]:
    """Return the sensitivity of each layer that has a kernel, in the order of the model.

    A nested model counts as one layer. Two passes over at most 2000 examples a layer; ``model`` is
    changed on the way, and is as it was afterwards.

    Args:
        model: A classifier.
        validation: The validation split, never the test split: something may be decided with it.
    """
    features, labels = validation.features[:_MOST_EXAMPLES], validation.labels[:_MOST_EXAMPLES]

    def accuracy() -> float:
        return float(np.mean(_classes(model, features) == labels))

    unchanged = accuracy()
    found = []
    for layer in model.layers:
        kernels = kernels_of(layer)
        if not kernels:
            continue
        values = [np.array(kernel.variable.numpy()) for kernel in kernels]
        try:
            for kernel, value in zip(kernels, values, strict=True):
                kernel.variable.assign(value * magnitude_mask(value, PERCENT / 100))
            pruned = accuracy()
            for kernel, value in zip(kernels, values, strict=True):
                kernel.variable.assign(_rounded(value, kernel))
            rounded = accuracy()
        finally:
            for kernel, value in zip(kernels, values, strict=True):
                kernel.variable.assign(value)
        found.append(
            LayerSensitivity(
                layer=layer.name,
                weights=sum(value.size for value in values),
                accuracy=unchanged,
                pruned_accuracy=pruned,
                rounded_accuracy=rounded,
            )
        )
    return tuple(found)


def layer_sparsity(model: keras.Model) -> dict[str, float]:
    """Return the share of zeros in the kernels of each layer that has one, in order."""
    kernels = {layer.name: kernels_of(layer) for layer in model.layers}
    return {
        name: float(np.mean(np.concatenate([k.variable.numpy().ravel() for k in found]) == 0))
        for name, found in kernels.items()
        if found
    }


def layer_classes(model: keras.Model) -> frozenset[str]:
    """Return the class names of all layers of ``model``, those inside others too."""
    return frozenset(type(inner).__name__ for inner in layers_within(model))


def _rounded(value: NDArray[Any], kernel: Kernel) -> NDArray[Any]:
    """Return a kernel rounded to ``BITS``, symmetric about 0, one scale for each channel."""
    scale = np.abs(value).max(axis=kernel.inputs, keepdims=True) / (2 ** (BITS - 1) - 1)
    scale = np.where(scale == 0, 1, scale)
    rounded: NDArray[Any] = np.round(value / scale) * scale
    return rounded


def _classes(model: keras.Model, features: NDArray[Any]) -> NDArray[np.int64]:
    batches = [
        np.asarray(model(features[start : start + _BATCH], training=False))
        for start in range(0, len(features), _BATCH)
    ]
    classes: NDArray[np.int64] = np.concatenate(batches).argmax(axis=1)
    return classes
