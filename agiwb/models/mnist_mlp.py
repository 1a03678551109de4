"""The model of TensorFlow's first tutorial."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.models.head import head
from agiwb.models.hidden import penalty
from agiwb.models.mlp import require_numbers
from agiwb.models.preprocessing import comparable, raw_features
from agiwb.models.specification import ModelSpec

if TYPE_CHECKING:
    import keras


def build_mnist_mlp(spec: ModelSpec) -> keras.Model:
    """Return flatten → dense 128 with ReLU → dropout 0.2 → answer.

    "TensorFlow 2 quickstart for beginners" has it as 784-128-10 for MNIST; there the softmax is in
    the loss, here in the model. It takes any array of numbers. Its size is fixed: only ``l1`` and
    ``l2`` count. Input and output are those of ``mlp``.

    Raises:
        ConfigError: The examples are not arrays of numbers.
    """
    import keras
    from keras import layers

    require_numbers("mnist_mlp", spec)
    features = raw_features(spec)
    x = layers.Flatten(name="flatten")(comparable(spec, features))
    x = layers.Dense(128, activation="relu", kernel_regularizer=penalty(spec.size), name="hidden")(
        x
    )
    x = layers.Dropout(0.2, name="dropout")(x)
    return keras.Model(features, head(spec, x), name="mnist_mlp")
