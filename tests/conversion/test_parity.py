"""The figures of a parity report, and what does not pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.conversion.parity import (
    Answers,
    Reference,
    ask,
    ask_reference,
    compare,
    draw_questions,
)
from agiwb.datasets.dataset import Split
from agiwb.datasets.registry import load_dataset
from agiwb.errors import InputError, WorkError
from agiwb.runtimes.runtime import Tensors
from agiwb.statistics import Interval

EXPECTED = Answers(
    real=np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]),
    edges={"zeros": np.array([[0.5, 0.5]])},
    test_accuracy=0.9,
)
ACCURACY = Interval(0.85, 0.95)
REFERENCE = Reference(EXPECTED, ACCURACY, chance=0.5)


def test_equal_answers_pass_with_no_error() -> None:
    report = compare("onnx", EXPECTED, REFERENCE)
    assert report.passed
    assert (report.max_abs_error, report.max_rel_error, report.top1_agreement) == (0, 0, 1)


def test_another_most_probable_class_fails_in_words_with_figures() -> None:
    found = replace(EXPECTED, real=np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]))
    report = compare("litert", found, REFERENCE)
    assert not report.passed
    assert report.max_abs_error == pytest.approx(0.2)
    assert report.max_rel_error == pytest.approx(0.5)  # 0.6 instead of 0.4
    far, other = report.problems
    assert far == (
        "litert: the probabilities differ from the model's by up to 0.2 (real examples); "
        "1e-05 is allowed."
    )
    assert other == (
        "litert: the most probable class is the model's for 2 of 3 real examples; "
        "100.0% is required."
    )


def test_an_edge_case_alone_can_fail_and_is_named() -> None:
    found = replace(EXPECTED, edges={"zeros": np.array([[0.51, 0.49]])})
    report = compare("saved_model", found, REFERENCE)
    assert report.top1_agreement == 1
    assert len(report.problems) == 1
    assert "(zeros)" in report.problems[0]


def test_errors_of_tiny_probabilities_are_relative_to_a_thousandth() -> None:
    tiny = Answers(np.array([[1.0, 1e-9]]), {}, 0.9)
    found = replace(tiny, real=np.array([[1.0, 2e-9]]))
    assert compare("onnx", found, Reference(tiny, ACCURACY, 0.5)).max_rel_error == pytest.approx(
        1e-6
    )


def test_agreement_with_a_constant_predictor_proves_nothing() -> None:
    report = compare("onnx", EXPECTED, Reference(EXPECTED, ACCURACY, chance=0.9))
    assert report.max_abs_error == 0
    assert not report.passed


def test_questions_are_real_validation_examples_and_edge_cases() -> None:
    data = load_dataset("digits")
    questions = draw_questions(data, samples=20, seed=1)
    known = {row.tobytes() for row in data.validation.features}
    assert len({row.tobytes() for row in questions.real} & known) == len(questions.real) == 20
    assert {name: edge.shape[0] for name, edge in questions.edges.items()} == {
        "zeros": 1,
        "full scale": 1,
        "batch of 1": 1,
        "batch of 64": 64,
    }
    assert questions.edges["zeros"].max() == 0
    assert questions.edges["full scale"].min() == data.scale == 16
    np.testing.assert_array_equal(draw_questions(data, 20, 1).real, questions.real)
    assert not np.array_equal(draw_questions(data, 20, 2).real, questions.real)


def test_more_samples_than_there_are_means_all_of_them() -> None:
    data = load_dataset("digits")
    questions = draw_questions(data, samples=10_000, seed=0)
    np.testing.assert_array_equal(questions.real, data.validation.features)


class _Fixed:
    """A runtime whose every answer is the same row."""

    def __init__(self, *row: float) -> None:
        self._row = np.array(row, np.float32)

    @property
    def signature(self) -> Signature:
        return Signature(
            inputs=(TensorSpec(name="x", dtype="float32", shape=(None, 8, 8)),),
            outputs=(TensorSpec(name="y", dtype="float32", shape=(None, len(self._row))),),
        )

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        return {"y": np.tile(self._row, (len(inputs["x"]), 1))}


def test_nan_is_never_near_enough() -> None:
    questions = draw_questions(load_dataset("digits"), 5, 0)
    with pytest.raises(WorkError, match="NaN or infinite"):
        ask(_Fixed(np.nan, *[0.1] * 9), questions)


def test_a_constant_model_does_not_beat_chance() -> None:
    questions = draw_questions(load_dataset("digits"), 5, 0)
    largest = int(np.bincount(questions.validation.labels).argmax())
    reference = ask_reference(_Fixed(*np.eye(10)[largest]), questions)
    assert reference.accuracy.low < reference.chance < reference.accuracy.high
    assert not reference.beats_chance


class _Untrained(_Fixed):
    """A runtime that answers as a linear model with random weights does."""

    def __init__(self, seed: int) -> None:
        super().__init__(*[0.1] * 10)
        self._weights = np.random.default_rng(seed).normal(size=(64, 10))

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        scores = np.exp(inputs["x"].reshape(-1, 64) / 64 @ self._weights)
        return {"y": (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)}


@pytest.mark.parametrize("seed", [0, 1, 2, 9])
def test_an_untrained_model_that_is_lucky_does_not_beat_chance(seed: int) -> None:
    questions = draw_questions(load_dataset("digits"), 5, 0)
    reference = ask_reference(_Untrained(seed), questions)
    assert reference.answers.test_accuracy > reference.chance
    assert not reference.beats_chance


def test_what_beats_chance_is_decided_on_the_validation_split() -> None:
    data = load_dataset("digits")
    unlearnable = replace(data.test, labels=(data.test.labels + 1) % 10)
    questions = draw_questions(replace(data, test=unlearnable), 5, 0)
    assert ask_reference(_Nearest(data.train), questions).beats_chance


class _Nearest(_Fixed):
    """A runtime that names the class of the nearest training example."""

    def __init__(self, train: Split) -> None:
        super().__init__(*[0.1] * 10)
        self._known = KNeighborsClassifier(1).fit(train.features.reshape(-1, 64), train.labels)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        return {"y": self._known.predict_proba(inputs["x"].reshape(-1, 64)).astype(np.float32)}


def test_outputs_that_are_no_probabilities_are_refused() -> None:
    questions = draw_questions(load_dataset("digits"), 5, 0)
    with pytest.raises(InputError, match=r"not probabilities.*softmax"):
        ask_reference(_Fixed(*[2.0] * 10), questions)
