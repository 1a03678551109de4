"""The gate, on real files in real processes: what passes, and what is said of what does not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agiwb.compression.gate import check_against_source, pass_gate, read_answers
from agiwb.datasets.dataset import Split
from agiwb.errors import CancelledError, WorkError
from agiwb.runtimes.fresh_process import Limits
from tests.compression.hand_made_files import linear, texts, tokens

draw = np.random.default_rng(0)
WEIGHTS = draw.normal(size=(4, 3)).astype(np.float32)


def split(features: NDArray[np.generic]) -> Split:
    return Split(features, np.zeros(len(features), np.int64))


VALIDATION = split(draw.normal(size=(7, 4)).astype(np.float32))
TEST = split(draw.normal(size=(300, 4)).astype(np.float32))  # more than one batch


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    raised = np.exp(logits)
    return raised / raised.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("batch", ["n", 1])
def test_the_answers_to_both_splits_are_stored(tmp_path: Path, batch: int | str):
    gate = pass_gate(linear(tmp_path / "model.onnx", WEIGHTS, batch), VALIDATION, TEST, tmp_path)
    answers = read_answers(tmp_path / "answers.npz")
    assert gate.load_ms > 0
    assert gate.peak_memory_bytes > 0
    for name, asked in {"validation": VALIDATION, "test": TEST}.items():
        assert answers[name].dtype == np.float32
        np.testing.assert_allclose(answers[name], softmax(asked.features @ WEIGHTS), atol=1e-6)


@pytest.mark.slow
def test_peak_memory_grows_with_the_model(tmp_path: Path):
    def peak(width: int) -> int:
        weights = np.zeros((width, 1000), np.float32)
        asked = split(np.zeros((1, width), np.float32))
        return pass_gate(
            linear(tmp_path / "model.onnx", weights), asked, asked, tmp_path
        ).peak_memory_bytes

    assert peak(8000) - peak(10) > 30e6  # of its 32 MB of weights


def test_models_of_tokens_are_given_integers(tmp_path: Path):
    embeddings = draw.normal(size=(9, 3)).astype(np.float32)
    asked = split(draw.integers(9, size=(5, 4)))
    pass_gate(tokens(tmp_path / "model.onnx", embeddings), asked, asked, tmp_path)
    expected = softmax(embeddings[asked.features].mean(axis=1))
    np.testing.assert_allclose(read_answers(tmp_path / "answers.npz")["test"], expected, atol=1e-6)


def test_models_of_texts_are_given_texts(tmp_path: Path):
    known = {"good": 0.75, "rather bad": 0.25}
    asked = split(np.array(["rather bad", "good"], object))
    pass_gate(texts(tmp_path / "model.onnx", known), asked, asked, tmp_path)
    assert read_answers(tmp_path / "answers.npz")["test"].tolist() == [[0.25, 0.75], [0.75, 0.25]]


def test_answers_that_are_not_numbers_do_not_pass(tmp_path: Path):
    broken = linear(tmp_path / "model.onnx", np.full((4, 3), np.nan, np.float32))
    with pytest.raises(WorkError, match=r"not finite numbers for 7 of 7 examples\.$"):
        pass_gate(broken, VALIDATION, TEST, tmp_path)


@pytest.mark.parametrize("suffix", ["onnx", "tflite"])
def test_a_damaged_file_is_told_in_one_line(tmp_path: Path, suffix: str):
    file = tmp_path / f"model.{suffix}"
    file.write_bytes(b"not a model " * 100)
    with pytest.raises(WorkError, match=r"cannot be run as an? ") as raised:
        pass_gate(file, VALIDATION, TEST, tmp_path)
    assert "\n" not in str(raised.value)


def test_examples_that_the_file_does_not_take_are_told(tmp_path: Path):
    asked = split(np.zeros((2, 5), np.float32))
    with pytest.raises(WorkError, match="The model expects features"):
        pass_gate(linear(tmp_path / "model.onnx", WEIGHTS), asked, asked, tmp_path)


def test_a_file_that_takes_too_long_is_ended(tmp_path: Path):
    with pytest.raises(WorkError, match=r"no answer within 0\.01 s"):
        pass_gate(
            linear(tmp_path / "model.onnx", WEIGHTS),
            VALIDATION,
            TEST,
            tmp_path,
            limits=Limits(seconds=0.01),
        )


def test_cancelling_is_no_failure_of_the_file(tmp_path: Path):
    def cancelled() -> None:
        raise CancelledError("The run was cancelled.")

    with pytest.raises(CancelledError):
        pass_gate(
            linear(tmp_path / "model.onnx", WEIGHTS),
            VALIDATION,
            TEST,
            tmp_path,
            while_waiting=cancelled,
        )


def test_a_native_crash_is_a_reason_and_not_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shadow = tmp_path / "ai_edge_litert"
    shadow.mkdir()
    (shadow / "__init__.py").touch()
    (shadow / "interpreter.py").write_text(
        "import os\ndef Interpreter(*_, **__): os.kill(os.getpid(), 11)\n", "utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path) + os.pathsep + os.environ.get("PYTHONPATH", ""))
    with pytest.raises(WorkError, match=r"^The fresh process crashed \(SIGSEGV\)\.$"):
        pass_gate(tmp_path / "model.tflite", VALIDATION, TEST, tmp_path)


def stored(folder: Path, answers: NDArray[np.float32], source: NDArray[np.float32]) -> None:
    """Store answers as the gate does, and a source's answers to every second example."""
    index = np.arange(0, len(answers), 2)
    np.savez(folder / "answers.npz", validation=answers, test=answers)
    np.savez(folder / "source_answers.npz", index=index, probabilities=source[index])


def test_a_float_file_is_held_to_the_probabilities_of_its_source(tmp_path: Path):
    source = softmax(draw.normal(size=(50, 3)).astype(np.float32))
    stored(tmp_path, source + np.float32(5e-5), source)
    check_against_source(tmp_path, "float32")
    stored(tmp_path, source + np.float32(5e-3), source)
    check_against_source(tmp_path, "float16")
    with pytest.raises(WorkError, match=r"differ by up to 0\.005, 0\.0001 is allowed"):
        check_against_source(tmp_path, "float32")


def test_a_quantized_file_is_held_to_the_classes_of_its_source(tmp_path: Path):
    source = np.eye(3, dtype=np.float32)[draw.integers(3, size=400)]
    other = np.roll(source, 1, axis=1)
    nearly = np.where(np.arange(400)[:, np.newaxis] < 40, other, source)
    stored(tmp_path, 0.6 * nearly + np.float32(0.1), source)
    check_against_source(tmp_path, "int8")
    stored(tmp_path, other, source)
    with pytest.raises(WorkError, match="the same class for 0 of 200 validation examples, 80%"):
        check_against_source(tmp_path, "int8")


def test_another_number_of_classes_is_no_agreement(tmp_path: Path):
    source = np.eye(3, dtype=np.float32)[[0, 1, 2]]
    stored(tmp_path, source[:, :2], source)
    with pytest.raises(WorkError, match=r"shape \(2,\), those of the Keras model .* \(3,\)"):
        check_against_source(tmp_path, "dynamic")
