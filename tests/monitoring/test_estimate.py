"""The expected accuracy follows the examples that come, and not what their labels mean."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.monitoring.estimate import estimate_accuracy


def overconfident_model(rng, rows, difficulty):
    """Answers between two classes and what is true; the model is surer than it should be."""
    margin = rng.normal(0, 1 / difficulty, rows)
    labels = (rng.random(rows) < 1 / (1 + np.exp(-2 * margin))).astype(np.int64)
    sure = 1 / (1 + np.exp(-5 * margin))
    return np.stack([1 - sure, sure], axis=1).astype(np.float32), labels


def accuracy(probabilities, labels):
    return (probabilities.argmax(axis=1) == labels).mean()


@pytest.mark.parametrize("difficulty", [0.4, 1.0, 2.5])
def test_estimate_is_near_the_truth_when_examples_get_easier_or_harder(difficulty):
    rng = np.random.default_rng(1)
    known, labels = overconfident_model(rng, 4000, 1.0)
    window, truth = overconfident_model(rng, 8000, difficulty)
    estimate = estimate_accuracy(known, labels, window)
    assert estimate is not None
    assert estimate.value == pytest.approx(accuracy(window, truth), abs=0.02)
    assert estimate.interval.low <= estimate.value <= estimate.interval.high
    assert estimate.interval.high - estimate.interval.low < 0.06
    # The model's own certainty says too much.
    assert window.max(axis=1).mean() > estimate.value + 0.05


def test_estimate_on_the_reference_is_its_accuracy():
    known, labels = overconfident_model(np.random.default_rng(2), 500, 1.0)
    estimate = estimate_accuracy(known, labels, known)
    assert estimate is not None
    assert estimate.value == pytest.approx(accuracy(known, labels), abs=1e-6)


def test_concept_drift_is_invisible_as_the_docstring_says():
    rng = np.random.default_rng(3)
    known, labels = overconfident_model(rng, 4000, 1.0)
    window, truth = overconfident_model(rng, 4000, 1.0)
    estimate = estimate_accuracy(known, labels, window)
    assert estimate is not None
    assert accuracy(window, 1 - truth) < 0.5
    assert estimate.value > 0.7


def test_rows_without_an_answer_are_left_out():
    known, labels = overconfident_model(np.random.default_rng(4), 300, 1.0)
    window = known[:50].copy()
    expected = estimate_accuracy(known, labels, window[:49])
    window[49] = np.nan
    assert estimate_accuracy(known, labels, window) == expected
    assert estimate_accuracy(known, labels, window[49:]) is None
