"""The small convolutional network for images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.errors import ConfigError
from agiwb.models.specification import ModelSpec

if TYPE_CHECKING:
    import keras

_SMALLEST_SIDE = 4  # two poolings by two must leave a pixel
_MOMENTUM = 0.9  # Keras' 0.99 needs thousands of batches; small data sets have hundreds


def build_cnn(spec: ModelSpec) -> keras.Model:
    """Return rescale → two convolution blocks with batch norm → dense → dropout → softmax.

    Input ``features``: float32 ``(batch, height, width[, channels])`` in the data's own units.
    Output ``probabilities``: float32 ``(batch, classes)``.

    Raises:
        ConfigError: The examples are not images of at least 4 x 4 pixels.
    """
    import keras
    from keras import layers

    height_width = spec.feature_shape[:2]
    if len(spec.feature_shape) not in (2, 3) or min(height_width) < _SMALLEST_SIDE:
        raise ConfigError(
            f"`architecture` cnn needs images; these examples have shape {spec.feature_shape}.",
            "Use `architecture: mlp`.",
        )
    regularizer = keras.regularizers.L2(spec.l2)
    features = keras.Input(spec.feature_shape, name="features")
    x = layers.Rescaling(1 / spec.scale, name="rescale")(features)
    if len(spec.feature_shape) == 2:  # grey images: add the channel
        x = layers.Reshape((*spec.feature_shape, 1), name="channel")(x)
    for block, filters in enumerate((spec.units // 4, spec.units // 2), start=1):
        x = layers.Conv2D(
            max(1, filters), 3, padding="same", use_bias=False,
            kernel_regularizer=regularizer, name=f"convolution_{block}",
        )(x)  # fmt: skip
        x = layers.BatchNormalization(momentum=_MOMENTUM, name=f"batch_norm_{block}")(x)
        x = layers.ReLU(name=f"relu_{block}")(x)
        x = layers.MaxPooling2D(name=f"pool_{block}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(spec.units, activation="relu", kernel_regularizer=regularizer, name="hidden")(
        x
    )
    x = layers.Dropout(spec.dropout, name="dropout")(x)
    outputs = layers.Dense(spec.classes, activation="softmax", name="probabilities")(x)
    return keras.Model(features, outputs, name="cnn")
