"""The small convolutional network for images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.models.convolution import convolution_blocks
from agiwb.models.families import default_family
from agiwb.models.head import head
from agiwb.models.hidden import penalty
from agiwb.models.preprocessing import comparable, raw_features, with_channel
from agiwb.models.specification import ModelSpec

if TYPE_CHECKING:
    import keras

_BLOCKS = 2


def build_cnn(spec: ModelSpec) -> keras.Model:
    """Return convolution blocks with batch norm → dense → dropout → answer.

    Input ``features``: float32 ``(batch, height, width[, channels])`` in the data's own units.
    Output: see ``head``. Of the size, ``units``, ``layers`` (2 blocks by default), ``dropout``,
    ``l1`` and ``l2`` count.

    Raises:
        ConfigError: The examples are not images, or too small for so many blocks.
    """
    import keras
    from keras import layers

    blocks = spec.size.layers or _BLOCKS
    require_images("cnn", spec, smallest_side=2**blocks)  # each block halves the sides
    features = raw_features(spec)
    x = with_channel(spec, comparable(spec, features))
    x = convolution_blocks(spec.size, x, blocks)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(
        spec.size.units, activation="relu", kernel_regularizer=penalty(spec.size), name="hidden"
    )(x)
    x = layers.Dropout(spec.size.dropout, name="dropout")(x)
    return keras.Model(features, head(spec, x), name="cnn")


def require_images(family: str, spec: ModelSpec, smallest_side: int = 1) -> None:
    """Raise ConfigError unless the examples are images with sides of ``smallest_side`` pixels."""
    are_images = spec.kind in {"image", "array"} and len(spec.feature_shape) in (2, 3)
    spec.require(family, are_images, "images", default_family(spec.kind, spec.task))
    spec.require(
        family,
        min(spec.feature_shape[:2]) >= smallest_side,
        f"images of at least {smallest_side} x {smallest_side} pixels for so many layers",
        "mlp",
    )
