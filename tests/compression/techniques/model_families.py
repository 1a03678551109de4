"""Small models of families that the techniques were not made on, trained on digits."""

from __future__ import annotations

import functools
from typing import Any

from tests.compression.techniques.trained_digits import fitted

FAMILIES = ("residual", "lstm", "tokens")


@functools.cache
def model_of(family: str) -> Any:
    """Return a trained model of ``family``."""
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    keras.utils.set_random_seed(0)
    return fitted({"residual": _residual, "lstm": _lstm, "tokens": _tokens}[family](), 2)


def _residual() -> Any:
    import keras

    layers = keras.layers
    inputs = keras.Input((8, 8))
    x = layers.Reshape((8, 8, 1))(inputs)
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    y = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.Conv2D(8, 3, padding="same", use_bias=False)(y)
    x = layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(y)]))
    x = layers.Flatten()(layers.MaxPooling2D()(x))
    return keras.Model(inputs, layers.Dense(10, "softmax")(x), name="residual")


def _lstm() -> Any:
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8)),
            layers.LSTM(24),
            layers.Dense(32, "relu"),
            layers.Dense(10, "softmax"),
        ],
        name="lstm",
    )


def _tokens() -> Any:
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8)),
            layers.Reshape((64,)),
            layers.Embedding(17, 8),
            layers.Conv1D(24, 8, strides=8, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, "softmax"),
        ],
        name="tokens",
    )
