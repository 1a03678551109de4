"""The check that tells kernels which saturate from quantization that loses; with stand-ins."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.compression.saturation import compare_runs
from agiwb.errors import InputError

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
