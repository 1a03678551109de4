"""The check that tells kernels which saturate from quantization that loses.

The judgement is tested with stand-ins, since saturation depends on the processor; the runs with
real files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agiwb.compression.candidate import Candidate
from agiwb.compression.saturation import compare_runs
from agiwb.compression.saturation_notes import saturation_note, with_saturation_notes
from agiwb.datasets.registry import load_dataset
from agiwb.errors import InputError
from tests.compression.made_up import MEASURED

LABELS = np.arange(400) % 10
FEATURES = np.arange(400, dtype=np.float32)[:, np.newaxis]


def answering(wrong: int, first: int = 0):
    """A stand-in for a session that is wrong on ``wrong`` examples, counted from ``first``."""

    def answer(features: np.ndarray) -> np.ndarray:
        number = features[:, 0].astype(int)
        chosen = (number + ((number >= first) & (number < first + wrong))) % 10
        return np.eye(10, dtype=np.float32)[chosen]

    return answer


def test_kernels_that_differ_from_their_emulation_saturate():
    check = compare_runs(answering(40), answering(8), answering(8), FEATURES, LABELS)
    assert check.cause == "saturation"
    assert check.optimised_accuracy == 0.9
    assert check.emulated_accuracy == check.float_accuracy == 0.98
    assert check.disagreement == 32 / 400
    assert check.largest_difference == 1
    assert "saturate" in check.verdict
    assert "8.0%" in check.verdict
    assert "reduce_range" in check.verdict
    assert "as well" not in check.verdict


def test_saturation_shows_even_where_the_errors_balance():
    check = compare_runs(answering(20), answering(20, 100), answering(0), FEATURES, LABELS)
    assert check.optimised_accuracy == check.emulated_accuracy
    assert check.cause == "saturation"
    assert "as well" in check.verdict


def test_a_loss_that_the_emulation_shares_is_the_quantizations():
    check = compare_runs(answering(40), answering(40), answering(8), FEATURES, LABELS)
    assert check.cause == "quantization"
    assert "90.0% right instead of 98.0%" in check.verdict


def test_a_few_borderline_cases_are_no_cause():
    check = compare_runs(answering(10), answering(8), answering(7), FEATURES, LABELS)
    assert check.cause == "none"
    assert "no loss can be told" in check.verdict


def test_without_samples_there_is_nothing_to_compare():
    with pytest.raises(InputError, match="no samples"):
        compare_runs(answering(0), answering(0), answering(0), FEATURES[:0], LABELS[:0])


def test_without_the_float_model_only_saturation_is_judged():
    check = compare_runs(answering(40), answering(40), None, FEATURES, LABELS)
    assert (check.cause, check.float_accuracy) == ("none", None)
    assert "0.0% of the samples differently" in check.verdict
    check = compare_runs(answering(40), answering(8), None, FEATURES, LABELS)
    assert check.cause == "saturation"
    assert "as well" not in check.verdict


@pytest.fixture(scope="module")
def quantized(digits_cnn_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep's files with one int8 ONNX candidate in it."""
    from agiwb.compression.deployable import write_deployable
    from agiwb.compression.recipe import parse_recipe
    from agiwb.models.loading import load_keras_model

    digits = load_dataset("digits")
    folder = tmp_path_factory.mktemp("swept") / "onnx_int8"
    folder.mkdir()
    model = load_keras_model(digits_cnn_run.file("model.keras"))
    samples = digits.train.features[:100]
    write_deployable(model, parse_recipe("onnx_int8"), samples, folder, digits.classes)
    return folder.parent


@pytest.mark.slow
def test_the_note_says_whether_this_processor_computes_what_the_file_says(quantized: Path):
    note = saturation_note(
        quantized / "onnx_int8" / "model.onnx", load_dataset("digits").validation
    )
    assert note.startswith("This processor's 8-bit kernels ")
    assert "of the samples differently from the same file computed in floats" in note


@pytest.mark.slow
def test_only_int8_files_of_onnx_that_ran_are_checked(quantized: Path):
    candidates = [
        Candidate(name="onnx_int8", measured=MEASURED, findings=("Before.",)),
        Candidate(name="int8", measured=MEASURED),
        Candidate(name="onnx", measured=MEASURED),
        Candidate(name="prune_80+onnx_int8", reason="It crashed."),
    ]
    noted = with_saturation_notes(candidates, quantized, load_dataset("digits").validation)
    assert [len(candidate.findings) for candidate in noted] == [2, 0, 0, 0]
    assert noted[0].findings[0] == "Before."
    assert "8-bit kernels" in noted[0].findings[1]


def test_a_file_that_cannot_be_checked_costs_a_note_only(tmp_path: Path):
    note = saturation_note(tmp_path / "missing.onnx", load_dataset("digits").validation)
    assert note.startswith("Whether its 8-bit kernels saturate could not be checked: ")
