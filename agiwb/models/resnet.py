"""The residual network for images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.models.cnn import require_images
from agiwb.models.head import head
from agiwb.models.hidden import MOMENTUM, penalty
from agiwb.models.preprocessing import comparable, raw_features, with_channel
from agiwb.models.specification import ModelSpec, Size

if TYPE_CHECKING:
    import keras

_BLOCKS = 3


def build_resnet(spec: ModelSpec) -> keras.Model:
    """Return convolution → residual blocks → mean over all pixels → dropout → answer.

    He et al., "Deep Residual Learning for Image Recognition" (2015), figure 2 and option B. The
    first block has a quarter of ``units`` as its filters; each further block halves the sides and
    doubles the filters, up to ``units``. Of the size, ``units``, ``layers`` (3 blocks by default),
    ``dropout``, ``l1`` and ``l2`` count. Input and output are those of ``cnn``.

    Raises:
        ConfigError: The examples are not images.
    """
    import keras
    from keras import layers

    require_images("resnet", spec)
    features = raw_features(spec)
    filters = max(1, spec.size.units // 4)
    x = with_channel(spec, comparable(spec, features))
    x = _convolution(spec.size, x, filters, 3, 1, "stem")
    x = layers.ReLU(name="stem_relu")(x)
    for number in range(1, (spec.size.layers or _BLOCKS) + 1):
        stride = 1 if number == 1 else 2
        x = _residual_block(spec.size, x, filters, stride, f"block_{number}")
        filters = min(2 * filters, spec.size.units)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    x = layers.Dropout(spec.size.dropout, name="dropout")(x)
    return keras.Model(features, head(spec, x), name="resnet")


def _residual_block(
    size: Size, x: keras.KerasTensor, filters: int, stride: int, name: str
) -> keras.KerasTensor:
    """Return ReLU of two convolutions of ``x``, plus ``x``, projected where its shape changes."""
    from keras import layers

    shortcut = x
    if stride > 1 or x.shape[-1] != filters:
        shortcut = _convolution(size, x, filters, 1, stride, f"{name}_shortcut")
    x = _convolution(size, x, filters, 3, stride, f"{name}_first")
    x = layers.ReLU(name=f"{name}_first_relu")(x)
    x = _convolution(size, x, filters, 3, 1, f"{name}_second")
    x = layers.Add(name=f"{name}_sum")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu")(x)


def _convolution(
    size: Size, x: keras.KerasTensor, filters: int, kernel: int, stride: int, name: str
) -> keras.KerasTensor:
    """Return convolution → batch norm, without activation."""
    from keras import layers

    x = layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,  # the normalisation has its own
        kernel_initializer="he_normal",
        kernel_regularizer=penalty(size),
        name=f"{name}_convolution",
    )(x)
    return layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_batch_norm")(x)
