"""The figures read from TFMA's files are NumPy's, and the verdict names what failed."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.evaluation.asked import Thresholds, eval_config
from agiwb.evaluation.engines import run_engine
from agiwb.evaluation.tfma_engine import Predictions, import_tfma, read_tfma

pytestmark = pytest.mark.slow

COUNT, CLASSES = 300, 3
WRONG = 30


def make_predictions() -> Predictions:
    """300 answers, exactly 90 % right; ``side`` has a bad slice and one of 10 examples."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, CLASSES, COUNT)
    predicted = labels.copy()
    predicted[:WRONG] = (labels[:WRONG] + 1) % CLASSES
    logits = rng.normal(size=(COUNT, CLASSES))
    logits[np.arange(COUNT), predicted] += 8
    powers = np.exp(logits)
    probabilities = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    assert (probabilities.argmax(axis=1) == predicted).all()
    side = np.full(COUNT, "right", dtype="<U5")
    side[:10] = "top"  # all ten wrong, but too few to be judged
    side[10:70] = "left"  # 40 of 60 right
    names = np.array(["a", "7", "é"])[labels]
    return Predictions(labels, probabilities, {"side": side, "label": names})


def evaluated(predictions, thresholds, folder):
    """Write TFMA's files by the fast engine, and return what they say."""
    import_tfma()
    wanted = eval_config(predictions, thresholds)
    assert run_engine("fast", predictions.columns(), wanted, folder) == 0
    return read_tfma(folder, CLASSES)


@pytest.fixture(scope="module")
def predictions():
    return make_predictions()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tfma")


@pytest.fixture(scope="module")
def result(predictions, folder):
    return evaluated(predictions, Thresholds(0.9, 0.8, 30), folder / "made")


def test_every_figure_is_numpys(predictions, result):
    labels, probabilities = predictions.labels, predictions.probabilities
    right = probabilities.argmax(axis=1) == labels
    loss = -np.log(probabilities[np.arange(COUNT), labels].astype(np.float64))
    members = {
        (column, value): values == value
        for column, values in predictions.slices.items()
        for value in np.unique(values)
    }

    assert set(result.slices) == set(members)
    for scores, chosen in [
        (result.overall, np.ones(COUNT, bool)),
        *((result.slices[key], chosen) for key, chosen in members.items()),
    ]:
        assert scores.examples == chosen.sum()
        assert scores.accuracy == pytest.approx(right[chosen].mean(), abs=1e-6)
        assert scores.loss == pytest.approx(loss[chosen].mean(), abs=1e-6)


def test_confusion_is_numpys(predictions, result):
    expected = np.zeros((CLASSES, CLASSES), int)
    np.add.at(expected, (predictions.labels, predictions.probabilities.argmax(axis=1)), 1)
    assert result.confusion.tolist() == expected.tolist()


def test_only_the_judged_slice_fails(result):
    assert result.overall.accuracy == 0.9
    assert not result.overall_failed  # though float32 holds 0.9 as 0.89999998
    assert result.failed == {("side", "left")}  # and not the ten of ``top``
    assert not result.blessed


def test_tfma_opens_the_files_wherever_they_are(folder, result):
    moved = (folder / "made").rename(folder / "moved")
    tfma = import_tfma()
    try:
        opened = tfma.load_eval_result(str(moved))
        validation = tfma.load_validation_result(str(moved))
    finally:
        moved.rename(folder / "made")
    rows = dict(opened.slicing_metrics)
    accuracy = rows[(("side", "left"),)][""][""]["sparse_categorical_accuracy"]["doubleValue"]
    assert accuracy == pytest.approx(40 / 60, abs=1e-6)
    assert [spec.feature_keys for spec in opened.config.slicing_specs] == [[], ["side"], ["label"]]
    assert not validation.validation_ok


def test_good_enough_is_blessed(predictions, tmp_path):
    result = evaluated(predictions, Thresholds(0.85, 0.6, 30), tmp_path)
    assert result.blessed
    assert not result.failed


def test_overall_failure_is_told_apart_and_slices_are_optional(predictions, tmp_path):
    whole = Predictions(predictions.labels, predictions.probabilities, {})
    result = evaluated(whole, Thresholds(0.95, 0.6, 30), tmp_path)
    assert result.overall_failed
    assert not result.blessed
    assert result.slices == {}
