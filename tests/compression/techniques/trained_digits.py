"""Small models trained on digits once for all tests of techniques, and what judges them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from agiwb.compression.pruning import FineTuning
from agiwb.compression.techniques.technique import Bench
from agiwb.datasets.dataset import Split
from agiwb.datasets.registry import load_dataset
from agiwb.models.specification import ModelSpec, Size


@functools.cache
def examples() -> Any:
    """Return the images that the techniques' models are asked about, float32 ``(64, 8, 8)``."""
    return load_dataset("digits").test.features[:64]


def bench(epochs: int = 0, examples: int | None = None) -> Bench:
    """Return a bench with digits, or the first of them, silent."""
    data = load_dataset("digits").train
    given = Split(data.features[:examples], data.labels[:examples])
    tuning = FineTuning(epochs, batch_size=64, learning_rate=0.001, seed=0)
    return Bench(given, tuning, lambda *_: None)


@functools.cache
def trained(family: str, epochs: int = 6) -> Any:
    """Return a model of ``family``, whose widths are 8 to 32."""
    return fitted(untrained(family), epochs)


def untrained(family: str) -> Any:
    """Return such a model as it begins, for what only its layers decide."""
    from agiwb.models.registry import build_model
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    keras.utils.set_random_seed(3)
    return build_model(family, ModelSpec.of(load_dataset("digits"), Size(units=32)))


def fitted(model: Any, epochs: int) -> Any:
    """Return ``model`` trained on digits for some epochs."""
    from agiwb.training.objectives import compile_classifier
    from agiwb.training.single_trace import make_variables

    data = load_dataset("digits").train
    compile_classifier(model, "adam", 0.005)
    make_variables(model, data.features[:1], data.labels[:1])
    model.fit(data.features, data.labels, epochs=epochs, batch_size=64, verbose=0)
    return model


def accuracy(model: Any) -> float:
    """Return the share of the validation examples that ``model`` gets right."""
    data = load_dataset("digits").validation
    return float(np.mean(np.argmax(answers(model, data.features), axis=1) == data.labels))


def answers(model: Any, features: Any = None) -> Any:
    """Return the probabilities that ``model`` gives, float32 ``(examples, 10)``."""
    return np.asarray(model(examples() if features is None else features, training=False))


def same_weights(one: Any, other: Any) -> bool:
    """Return whether two models have equal weights."""
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(first, second) for first, second in pairs)


def kernels(model: Any) -> list[Any]:
    """Return all weights that are matrices or more."""
    return [weights for weights in model.get_weights() if weights.ndim > 1]


@functools.cache
def with_nested_parts() -> Any:
    """Return a model on digits of a sequential and a functional part, an addition and an op."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(4)
    first = keras.Sequential(
        [
            keras.Input((8, 8)),
            layers.Rescaling(1 / 16),
            layers.Flatten(),
            layers.Dense(24, activation="relu", name="dense"),
        ],
        name="first",
    )
    x = keras.Input((24,))
    middle = keras.Model(x, layers.Dense(16, activation="relu", name="dense")(x), name="middle")
    features = keras.Input((8, 8), name="features")
    seen = first(features)
    both = middle(seen) + layers.Dense(16, activation="tanh", name="side")(seen)
    answer = layers.Dense(10, activation="softmax", name="probabilities")(both)
    return fitted(keras.Model(features, answer, name="nested"), 6)
