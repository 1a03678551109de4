"""Models with weights of more than 64 KiB, which converters are not given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

WORDS = {"words": np.random.default_rng(0).integers(0, 300, (3, 6)).astype(np.int32)}
PAIRS = {"user": np.array(["u1", "nobody"], object), "item": np.array(["u2", "u999"], object)}
SERIES = {"series": np.random.default_rng(0).normal(size=(4, 5, 130)).astype(np.float32)}


def _transformer(layers: Any, inputs: Mapping[str, Any]) -> Any:
    table = layers.Embedding(300, 64)
    x = table(inputs["words"])
    x = layers.Add()([x, layers.MultiHeadAttention(4, 64, flash_attention=False)(x, x)])
    x = layers.Dense(64)(layers.Dense(300, activation="gelu")(layers.LayerNormalization()(x)))
    return layers.Dense(300, name="answer")(x)


def _pairs(layers: Any, inputs: Mapping[str, Any]) -> Any:
    known = [f"u{number}" for number in range(1000)]
    towers = [
        layers.Embedding(1001, 20)(layers.StringLookup(vocabulary=known)(side))
        for side in inputs.values()
    ]
    return layers.Dot(axes=1, name="answer")(towers)


def _recurrent(layers: Any, inputs: Mapping[str, Any]) -> Any:
    return layers.Dense(300, name="answer")(layers.GRU(150)(inputs["series"]))


MODELS = {
    "transformer": (_transformer, WORDS),
    "pairs": (_pairs, PAIRS),
    "recurrent": (_recurrent, SERIES),
}


def build(name: str) -> tuple[keras.Model, dict[str, Any]]:
    """Return a model of ``MODELS`` and what it is asked."""
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    keras.utils.set_random_seed(0)
    body, asked = MODELS[name]
    kinds = {"i": "int32", "O": "string", "f": "float32"}
    inputs = {
        name: keras.Input(array.shape[1:], dtype=kinds[array.dtype.kind], name=name)
        for name, array in asked.items()
    }
    return keras.Model(list(inputs.values()), body(keras.layers, inputs)), asked


def largest_error(model: keras.Model, folder: Path, asked: dict[str, Any]) -> float:
    import tensorflow as tf

    from agiwb.runtimes.runtime import open_runtime

    (answer,) = open_runtime(folder).run(asked).values()
    right = model([tf.constant(array) for array in asked.values()])
    return float(np.abs(answer - np.asarray(right)).max())
