"""Kinds of models by formats: each cell agrees with its model, or says what to do instead.

The artifacts are asked in this process, which is what a fresh one does (see
``test_parity_in_a_fresh_process``), so that TensorFlow starts once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from agiwb.artifacts.manifest import FORMATS, Format
from agiwb.conversion.parity.asked import answer_cases
from agiwb.conversion.parity.errors import refuse_nonfinite
from agiwb.conversion.parity.questions import Questions, by_input, draw_questions
from agiwb.conversion.parity.reference import Reference, ask_reference
from agiwb.conversion.parity.report import compare
from agiwb.conversion.registry import load_converter
from agiwb.conversion.source import ConversionSource, source_of
from agiwb.datasets.dataset import Dataset, Split
from agiwb.datasets.registry import load_dataset
from agiwb.errors import WorkError
from agiwb.runtimes.runtime import open_runtime

if TYPE_CHECKING:
    import keras

pytestmark = pytest.mark.slow

WRITTEN = tuple(kind for kind in FORMATS if kind != "openvino")
_ONE_OF_A_FAMILY: tuple[Format, ...] = ("h5", "saved_model", "frozen_pb", "onnx", "litert")
WRITTEN_OF: dict[str, tuple[Format, ...]] = {
    **dict.fromkeys(("mlp", "cnn", "residual", "lstm", "text", "several"), WRITTEN),
    **dict.fromkeys(("table", "pairs"), (*_ONE_OF_A_FAMILY, "litert_int8")),
}
CELLS = [(kind, wanted) for kind, formats in WRITTEN_OF.items() for wanted in formats]

REFUSED: dict[tuple[str, Format], str] = {
    ("text", "h5"): r"vocabulary that the TextVectorization reader has learnt.*format keras",
    ("text", "frozen_pb"): r"no built-in operator for LookupTableFindV2.*--no-preprocessing",
    ("text", "onnx"): r"ONNX has no .*StaticRegexReplace, StringSplitV2.*--no-preprocessing",
    ("text", "onnx_float16"): r"ONNX has no .*StringSplitV2.*--no-preprocessing",
    ("text", "litert"): r"LiteRT has no .*StringSplitV2.*--no-preprocessing",
    ("text", "litert_float16"): r"LiteRT has no .*StringSplitV2.*--no-preprocessing",
    ("text", "litert_dynamic"): r"LiteRT has no .*StringSplitV2.*--no-preprocessing",
    ("text", "litert_int8"): r"int8 for a model that takes strings.*--no-preprocessing",
    ("text", "litert_int16x8"): r"int16x8 for a model that takes strings.*--no-preprocessing",
    ("table", "frozen_pb"): r"no built-in operator for LookupTableFindV2.*--no-preprocessing",
    ("table", "litert_int8"): r"int8 for a model that takes strings.*--no-preprocessing",
    ("pairs", "frozen_pb"): r"no built-in operator for LookupTableFindV2.*--no-preprocessing",
    ("pairs", "litert_int8"): r"int8 for a model that takes strings.*--no-preprocessing",
}
"""What a cell that cannot be says; all others agree with their model."""


@dataclass(frozen=True)
class Made:
    """A trained model, its data, and what its artifacts are held to."""

    source: ConversionSource
    questions: Questions
    reference: Reference


def _mlp(layers: Any, x: Any) -> Any:
    return layers.Dense(24, activation="relu")(layers.Flatten()(x))


def _cnn(layers: Any, x: Any) -> Any:
    x = layers.Conv2D(6, 3, use_bias=False)(layers.Reshape((8, 8, 1))(x))
    return layers.Flatten()(layers.ReLU()(layers.BatchNormalization()(x)))


def _residual(layers: Any, x: Any) -> Any:
    x = layers.Conv2D(6, 3, padding="same")(layers.Reshape((8, 8, 1))(x))
    inner = layers.Conv2D(6, 3, padding="same", activation="relu")(layers.BatchNormalization()(x))
    x = layers.Add()([x, inner])
    return layers.Flatten()(layers.MaxPooling2D()(x))


def _lstm(layers: Any, x: Any) -> Any:
    return layers.LSTM(16)(x)


_BODIES: dict[str, Callable[[Any, Any], Any]] = {
    "mlp": _mlp,
    "cnn": _cnn,
    "residual": _residual,
    "lstm": _lstm,
}


def _of_digits(body: Callable[[Any, Any], Any]) -> tuple[keras.Model, Dataset]:
    import keras

    data, layers = load_dataset("digits"), keras.layers
    pixels = keras.Input((8, 8), name="pixels")
    x = body(layers, layers.Rescaling(1 / 16)(pixels))
    model = keras.Model(pixels, layers.Dense(10, activation="softmax", name="digit")(x))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)  # or the train step would be traced twice
    model.fit(data.train.features, data.train.labels, epochs=3, verbose=0)
    return model, data


def _of_texts() -> tuple[keras.Model, Dataset]:
    import keras
    import tensorflow as tf

    random, layers = np.random.default_rng(0), keras.layers
    labels = random.integers(0, 2, 300)
    words = np.array([["bad", "awful", "dull", "a"], ["good", "great", "fine", "a"]])
    texts = np.empty(300, object)
    texts[:] = [" ".join(random.choice(words[label], 6)) for label in labels]
    split = Split(texts, labels)
    data = Dataset("reviews", ("bad", "good"), 1.0, split, split, split, "binary", "text")
    text = keras.Input((), dtype="string", name="text")
    reader = layers.TextVectorization(output_sequence_length=12, name="reader")
    reader.adapt(tf.constant(texts))
    x = layers.Embedding(reader.vocabulary_size(), 4)(reader(text))
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(text, layers.Dense(2, activation="softmax", name="verdict")(x))
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    model.fit(tf.constant(texts), labels, epochs=3, verbose=0)
    return model, data


def _of_several() -> tuple[keras.Model, Dataset]:
    """Return a model of two inputs and two outputs: which is larger, and their sum."""
    import keras

    layers = keras.layers
    rows = np.zeros(400, [("left", "f4"), ("right", "f4")])
    for name in rows.dtype.names or ():
        rows[name] = np.random.default_rng(len(name)).uniform(-1, 1, len(rows))
    labels = (rows["left"] > rows["right"]).astype(np.int64)
    split = Split(rows, labels)
    data = Dataset("sides", ("right", "left"), 1.0, split, split, split, "binary", "table")
    sides = [keras.Input((1,), name=name) for name in ("left", "right")]
    x = layers.Dense(8, activation="tanh")(layers.Concatenate()(sides))
    larger = layers.Dense(2, activation="softmax", name="larger")(x)
    total = layers.Dense(1, name="total")(x)
    model = keras.Model(sides, {"larger": larger, "total": total})
    losses = {"larger": "sparse_categorical_crossentropy", "total": "mse"}
    model.compile(keras.optimizers.Adam(0.05), losses)
    both = [rows["left"][:, None], rows["right"][:, None]]
    targets = {"larger": labels, "total": rows["left"] + rows["right"]}
    model.fit(both, targets, epochs=5, verbose=0)
    return model, data


def _of_table() -> tuple[keras.Model, Dataset]:
    """Return a regression on a number and a word."""
    import keras

    layers, random = keras.layers, np.random.default_rng(0)
    rows = np.zeros(400, [("area", "f4"), ("street", "O")])
    rows["area"], places = random.uniform(0, 1, 400), random.integers(0, 3, 400)
    rows["street"] = np.array(["north", "é", "south"], object)[places]
    prices = (rows["area"] + places).astype(np.float32)
    split = Split(rows, prices)
    data = Dataset("houses", (), 1.0, split, split, split, "regression", "table")
    area = keras.Input((1,), name="area")
    street = keras.Input((1,), dtype="string", name="street")
    known = layers.StringLookup(vocabulary=["north", "é", "south"], output_mode="one_hot")(street)
    x = layers.Dense(16, activation="tanh")(layers.Concatenate()([area, known]))
    model = keras.Model([area, street], layers.Dense(1, name="price")(x))
    _fit(model, "mse", rows, prices[:, None])
    return model, data


def _of_pairs() -> tuple[keras.Model, Dataset]:
    """Return two towers: a user goes with the items of the same parity."""
    import keras

    layers, random = keras.layers, np.random.default_rng(0)
    rows = np.zeros(600, [("user", "O"), ("item", "O")])
    known = np.array([f"n{number}" for number in range(6)], object)
    drawn = random.integers(0, 6, (2, 600))
    rows["user"], rows["item"] = known[drawn]
    liked = (drawn[0] % 2 == drawn[1] % 2).astype(np.float32)
    split = Split(rows, liked)
    data = Dataset("likes", (), 1.0, split, split, split, "ranking", "pairs")
    sides = [keras.Input((), dtype="string", name=name) for name in ("user", "item")]
    towers = [
        layers.Embedding(7, 4)(layers.StringLookup(vocabulary=known.tolist())(side))
        for side in sides
    ]
    score = layers.Activation("sigmoid", name="score")(layers.Dot(axes=1)(towers))
    model = keras.Model(sides, score)
    _fit(model, "binary_crossentropy", rows, liked[:, None])
    return model, data


def _fit(model: keras.Model, loss: str, rows: Any, targets: Any) -> None:
    import keras
    import tensorflow as tf

    given = {
        tensor.name: tf.constant(rows[tensor.name].reshape(-1, *tensor.shape[1:]))
        for tensor in model.inputs
    }
    model.compile(keras.optimizers.Adam(0.05), loss)
    model.fit(given, targets, epochs=20, verbose=0)


_OTHERS = {"text": _of_texts, "several": _of_several, "table": _of_table, "pairs": _of_pairs}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """What makes the model of a kind, once; pytest would make it anew for each pair of params."""
    return functools.cache(lambda kind: _made(kind, tmp_path_factory.mktemp(kind)))


def _made(kind: str, place: Path) -> Made:
    from agiwb.conversion.drafts import exported_once
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    keras.utils.set_random_seed(0)
    model, data = _of_digits(_BODIES[kind]) if kind in _BODIES else _OTHERS[kind]()
    model.save(place / "model.keras")
    runtime = open_runtime(place)
    questions = draw_questions(data, runtime.signature, 128, 0)
    samples = by_input(data.train.sample(100).features, runtime.signature, data.name)
    source = source_of(model, data.classes, "0" * 64, samples=samples, contract=kind in _BODIES)
    reference = ask_reference(runtime, questions)
    assert reference.beats_chance
    return Made(exported_once(source, WRITTEN, place), questions, reference)


@pytest.mark.parametrize(("kind", "wanted"), CELLS)
def test_each_cell_agrees_or_says_what_to_do(
    made: Callable[[str], Made], kind: str, wanted: Format, tmp_path: Path
) -> None:
    model, convert = made(kind), load_converter(wanted)
    if (kind, wanted) in REFUSED:
        with pytest.raises(WorkError, match=REFUSED[kind, wanted]):
            convert(model.source, tmp_path)
        return
    convert(model.source, tmp_path)
    answers = answer_cases(open_runtime(tmp_path), model.questions.asked)
    found = {case: answers[case] for case in model.reference.answers}
    refuse_nonfinite(found, "the artifact's")
    assert compare(wanted, found, model.reference).problems == ()
