"""The first layers of a model: from raw numbers to numbers of a size that trains well.

They compute in 32 bits also where the layers after them use 16: raw values may be larger than 16
bits can hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.models.specification import ModelSpec

if TYPE_CHECKING:
    import keras


def raw_features(spec: ModelSpec) -> keras.KerasTensor:
    """Return the input ``features``: float32 ``(batch, *feature_shape)`` in the data's units."""
    import keras

    return keras.Input(spec.feature_shape, dtype="float32", name="features")


def comparable(spec: ModelSpec, features: keras.KerasTensor) -> keras.KerasTensor:
    """Return ``features`` in the same shape, with values that can be compared.

    Pixels share one unit and are divided by the largest value. The numbers of an array may each
    have their own unit, as may the channels of a sequence: each is standardised to mean 0 and
    standard deviation 1 over the sample.
    """
    from keras import layers

    if spec.kind == "image":
        return layers.Rescaling(1 / spec.scale, dtype="float32", name="rescale")(features)
    dimensions = len(spec.feature_shape)
    axes = tuple(range(1, dimensions + 1)) if spec.kind == "array" else (dimensions,)
    mean, variance = moments(spec.sample.features, axes, flat_spread=spec.scale)
    return layers.Normalization(
        axis=axes, mean=mean, variance=variance, dtype="float32", name="standardize"
    )(features)


def moments(
    values: NDArray[np.float32], axes: tuple[int, ...], flat_spread: float = 1.0
) -> tuple[Any, Any]:
    """Return mean and variance of ``values`` for each index of ``axes``, without missing values.

    Both are nested lists of floats with one dimension an axis, as Keras stores them in a file.

    Args:
        values: Of any shape; NaN is a missing value.
        axes: Axes to keep.
        flat_spread: Stands for the standard deviation of what never varies in the sample, so that
            a first other value does not become a huge one.
    """
    others = tuple(axis for axis in range(values.ndim) if axis not in axes)
    present = ~np.isnan(values)
    count = np.maximum(present.sum(axis=others, keepdims=True), 1)
    mean = np.where(present, values, 0).sum(axis=others, keepdims=True, dtype=np.float64) / count
    squares = np.where(present, values - mean, 0) ** 2
    variance = squares.sum(axis=others, keepdims=True) / count
    # What is flat but for rounding: its spread is below a millionth of its size.
    flat = variance <= (1e-6 * np.abs(mean)) ** 2
    variance = np.where(flat, flat_spread**2, variance)
    return mean.squeeze(others).tolist(), variance.squeeze(others).tolist()


def with_channel(spec: ModelSpec, x: keras.KerasTensor) -> keras.KerasTensor:
    """Return images as ``(batch, height, width, channels)``: grey ones get their one channel."""
    from keras import layers

    if len(spec.feature_shape) == 3:
        return x
    return layers.Reshape((*spec.feature_shape, 1), name="channel")(x)
