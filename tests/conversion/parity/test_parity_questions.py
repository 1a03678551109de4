"""What a model and its artifacts are asked, for every kind of example."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.conversion.parity.questions import REAL, TEST, draw_questions
from agiwb.conversion.parity.tensor_file import read_cases, write_cases
from agiwb.datasets.dataset import Dataset, Kind, Split, Task
from agiwb.datasets.registry import load_dataset
from agiwb.errors import ConfigError


def taking(*inputs: tuple[str, str, tuple[int | None, ...]]) -> Signature:
    return Signature(
        inputs=tuple(TensorSpec(name=n, dtype=d, shape=s) for n, d, s in inputs), outputs=()
    )


PIXELS = taking(("pixels", "float32", (None, 8, 8)))


def of_rows(features: NDArray[Any], kind: Kind, task: Task = "binary") -> Dataset:
    labels = np.arange(len(features)) % 2
    if task in {"regression", "ranking"}:
        labels = labels.astype(np.float32)
    split = Split(features, labels)
    return Dataset("made", ("a", "b"), 1.0, split, split, split, task, kind)


def test_images_are_real_validation_examples_and_edge_cases() -> None:
    data = load_dataset("digits")
    questions = draw_questions(data, PIXELS, samples=20, seed=1)
    real = questions.real["pixels"]
    known = {row.tobytes() for row in data.validation.features}
    assert len({row.tobytes() for row in real} & known) == len(real) == 20
    sizes = {name: len(edge["pixels"]) for name, edge in questions.edges.items()}
    assert sizes == {"batch of 1": 1, "batch of 64": 64, "zeros": 1, "full scale": 1}
    assert questions.edges["zeros"]["pixels"].max() == 0
    assert questions.edges["full scale"]["pixels"].min() == data.scale == 16
    assert questions.metric == "accuracy"
    again = draw_questions(data, PIXELS, 20, 1).real["pixels"]
    np.testing.assert_array_equal(again, real)
    assert not np.array_equal(draw_questions(data, PIXELS, 20, 2).real["pixels"], real)


def test_more_samples_than_there_are_means_all_of_them() -> None:
    data = load_dataset("digits")
    questions = draw_questions(data, PIXELS, samples=10_000, seed=0)
    np.testing.assert_array_equal(questions.real["pixels"], data.validation.features)
    np.testing.assert_array_equal(questions.labels[REAL], data.validation.labels)


@pytest.fixture
def table() -> Dataset:
    rows = np.zeros(40, [("age", "f4"), ("town", "O")])
    rows["age"] = np.arange(40)
    rows["town"] = np.resize(np.array(["Ulm", "Bonn", "Kiel"], object), 40)
    return of_rows(rows, "table")


def test_tables_get_gaps_extremes_and_unseen_names(table: Dataset) -> None:
    signature = taking(("age", "float32", (None,)), ("town", "string", (None,)))
    edges = draw_questions(table, signature, 8, 0).edges
    assert np.isnan(edges["missing numbers"]["age"][0])
    assert (edges["least values"]["age"][0], edges["greatest values"]["age"][0]) == (0, 39)
    assert edges["unseen names"]["town"][0] not in {"Ulm", "Bonn", "Kiel"}
    assert edges["empty names"]["town"][0] == ""
    assert edges["first and last names"]["town"].tolist() == ["Bonn", "Ulm"]
    assert len(edges["batch of 64"]["age"]) == 64
    assert {array.dtype.kind for edge in edges.values() for array in edge.values()} == {"f", "O"}


def test_a_column_of_single_values_is_given_where_the_model_has_one(table: Dataset) -> None:
    signature = taking(("age", "float32", (None, 1)), ("town", "string", (None, 1)))
    assert draw_questions(table, signature, 8, 0).real["age"].shape == (8, 1)


def test_pairs_get_users_and_items_that_nobody_knows() -> None:
    rows = np.zeros(30, [("user", "O"), ("item", "O")])
    rows["user"] = [f"u{n:02}" for n in range(30)]
    rows["item"] = [f"i{n % 5}" for n in range(30)]
    signature = taking(("user", "string", (None,)), ("item", "string", (None,)))
    questions = draw_questions(of_rows(rows, "pairs", "ranking"), signature, 8, 0)
    assert questions.metric == "auc"
    assert questions.edges["unseen names"]["user"][0] not in rows["user"]
    assert questions.edges["first and last names"]["user"].tolist() == ["u00", "u29"]


def test_texts_get_the_empty_and_the_longest() -> None:
    texts = np.array(["so good", "bad", "a very long and dull film"] * 10, object)
    questions = draw_questions(of_rows(texts, "text"), taking(("text", "string", (None,))), 8, 0)
    edges = {name: edge["text"].tolist() for name, edge in questions.edges.items()}
    assert edges["empty text"] == [""]
    assert edges["shortest text"] == ["bad"]
    assert edges["longest text"] == ["a very long and dull film"]
    assert len(edges["2,000 words"][0].split()) == 2000


def test_sequences_of_free_length_get_shorter_and_longer() -> None:
    steps = np.random.default_rng(0).normal(size=(20, 6, 2)).astype(np.float32)
    data = of_rows(steps, "sequence")
    edges = draw_questions(data, taking(("x", "float32", (None, None, 2))), 8, 0).edges
    assert edges["one step"]["x"].shape == (1, 1, 2)
    assert edges["twice as long"]["x"].shape == (1, 12, 2)
    fixed = draw_questions(data, taking(("x", "float32", (None, 6, 2))), 8, 0).edges
    assert "one step" not in fixed


def test_inputs_that_are_no_columns_are_named(table: Dataset) -> None:
    signature = taking(("age", "float32", (None,)), ("height", "float32", (None,)))
    with pytest.raises(ConfigError, match=r"takes the inputs age, height; made has .* age, town"):
        draw_questions(table, signature, 8, 0)


def test_what_an_artifact_is_asked_survives_the_file(table: Dataset, tmp_path: Path) -> None:
    signature = taking(("age", "float32", (None,)), ("town", "string", (None,)))
    questions = draw_questions(table, signature, 8, 0)
    questions.write(tmp_path / "questions")
    read = read_cases(tmp_path / "questions")
    assert list(read) == [REAL, *questions.edges, TEST]
    for case, tensors in questions.asked.items():
        for name, array in tensors.items():
            np.testing.assert_array_equal(read[case][name], array)
            assert read[case][name].dtype == array.dtype


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 3), np.float32),
        np.array([], object),
        np.array(["", "ü\0\0", "a\nb"], object),
        np.array([[b"x"], [b""]], object),
        np.array([1, -2], np.int64),
        np.array([np.nan, np.inf], np.float16),
    ],
)
def test_awkward_arrays_survive_the_file(array: NDArray[Any], tmp_path: Path) -> None:
    write_cases(tmp_path / "cases", {"a/b": {"c/d": array}})
    read = read_cases(tmp_path / "cases")["a/b"]["c/d"]
    plain = [value.decode() if isinstance(value, bytes) else value for value in array.ravel()]
    assert read.shape == array.shape
    np.testing.assert_array_equal(read.ravel(), np.array(plain, array.dtype))


def test_questions_go_through_the_first_layers() -> None:
    questions = draw_questions(load_dataset("digits"), PIXELS, 5, 0)
    halved = questions.through(lambda batch: {"half": batch["pixels"] / 2})
    assert halved.edges["full scale"]["half"].max() == 8
    assert {name for case in halved.asked.values() for name in case} == {"half"}
