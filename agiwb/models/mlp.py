"""The multilayer perceptron."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.models.specification import ModelSpec

if TYPE_CHECKING:
    import keras


def build_mlp(spec: ModelSpec) -> keras.Model:
    """Return rescale → flatten → dense → dropout → softmax, for features of any shape.

    Input ``features``: float32 ``(batch, *feature_shape)`` in the data's own units.
    Output ``probabilities``: float32 ``(batch, classes)``.
    """
    import keras
    from keras import layers

    features = keras.Input(spec.feature_shape, name="features")
    x = layers.Rescaling(1 / spec.scale, name="rescale")(features)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(
        spec.units,
        activation="relu",
        kernel_regularizer=keras.regularizers.L2(spec.l2),
        name="hidden",
    )(x)
    x = layers.Dropout(spec.dropout, name="dropout")(x)
    outputs = layers.Dense(spec.classes, activation="softmax", name="probabilities")(x)
    return keras.Model(features, outputs, name="mlp")
