"""The two networks of LeCun et al. (1998) in the form that papers on pruning measure.

Both have a fixed size: of ``Size`` only ``l1`` and ``l2`` count. Parameters for 28 x 28 grey images
and ten classes: LeNet-300-100 has 266,610, LeNet-5 431,080, as in Han et al., "Learning both
Weights and Connections for Efficient Neural Networks" (2015).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.models.cnn import require_images
from agiwb.models.head import head
from agiwb.models.hidden import penalty
from agiwb.models.mlp import require_numbers
from agiwb.models.preprocessing import comparable, raw_features, with_channel
from agiwb.models.specification import ModelSpec

if TYPE_CHECKING:
    import keras

_SMALLEST_SIDE = 16  # 16 → 12 → 6 → 2 → 1: two 5 x 5 convolutions and two poolings leave a pixel


def build_lenet_300_100(spec: ModelSpec) -> keras.Model:
    """Return flatten → dense 300 → dense 100 → answer, with ReLU after each dense layer.

    Input and output are those of ``mlp``.

    Raises:
        ConfigError: The examples are not arrays of numbers.
    """
    import keras
    from keras import layers

    require_numbers("lenet_300_100", spec)
    features = raw_features(spec)
    x = layers.Flatten(name="flatten")(comparable(spec, features))
    for number, units in enumerate((300, 100), start=1):
        x = layers.Dense(
            units,
            activation="relu",
            kernel_regularizer=penalty(spec.size),
            name=f"hidden_{number}",
        )(x)
    return keras.Model(features, head(spec, x), name="lenet_300_100")


def build_lenet_5(spec: ModelSpec) -> keras.Model:
    """Return Caffe's LeNet-5: conv 20 → pool → conv 50 → pool → dense 500 with ReLU → answer.

    The convolutions are 5 x 5 without padding and without activation, the poolings take the
    maximum of 2 x 2, as in Caffe's ``lenet_train_test.prototxt``. It is not the network of 1998,
    which had 6 and 16 filters, trained poolings and tanh. Images of less than 16 x 16 pixels are
    padded with zeros to that size first. Input and output are those of ``cnn``.

    Raises:
        ConfigError: The examples are not images.
    """
    import keras
    from keras import layers

    require_images("lenet_5", spec)
    features = raw_features(spec)
    x = with_channel(spec, comparable(spec, features))
    lacking = [max(0, _SMALLEST_SIDE - side) for side in spec.feature_shape[:2]]
    if any(lacking):
        around = tuple((total // 2, total - total // 2) for total in lacking)
        x = layers.ZeroPadding2D(around, name="padding")(x)
    for number, filters in enumerate((20, 50), start=1):
        x = layers.Conv2D(
            filters, 5, kernel_regularizer=penalty(spec.size), name=f"convolution_{number}"
        )(x)
        x = layers.MaxPooling2D(name=f"pool_{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(500, activation="relu", kernel_regularizer=penalty(spec.size), name="hidden")(
        x
    )
    return keras.Model(features, head(spec, x), name="lenet_5")
