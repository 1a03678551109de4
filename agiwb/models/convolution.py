"""Blocks of convolution, batch normalisation and pooling, of images and of spectrograms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.models.hidden import MOMENTUM, penalty
from agiwb.models.specification import Size

if TYPE_CHECKING:
    import keras


def convolution_blocks(size: Size, x: keras.KerasTensor, blocks: int) -> keras.KerasTensor:
    """Return ``x``, ``(batch, height, width, channels)``, after convolution blocks.

    Each block is a 3 x 3 convolution → batch norm → ReLU → maximum of 2 x 2. It halves the sides.
    The first has a quarter of ``size.units`` as its filters; they double up to ``units``.
    """
    from keras import layers

    filters = max(1, size.units // 4)
    for block in range(1, blocks + 1):
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            use_bias=False,  # the normalisation has its own
            kernel_regularizer=penalty(size),
            name=f"convolution_{block}",
        )(x)
        x = layers.BatchNormalization(momentum=MOMENTUM, name=f"batch_norm_{block}")(x)
        x = layers.ReLU(name=f"relu_{block}")(x)
        x = layers.MaxPooling2D(name=f"pool_{block}")(x)
        filters = min(2 * filters, size.units)
    return x
