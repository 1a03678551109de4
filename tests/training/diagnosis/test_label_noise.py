from __future__ import annotations

import numpy as np
import pytest

from agiwb import TrainConfig, find_label_noise, load_dataset
from agiwb.errors import DatasetError, InputError
from agiwb.training.diagnosis.label_noise import label_noise


def predictions(share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels of which ``share`` is wrong, calibrated probabilities, and the wrong rows."""
    draw = np.random.default_rng(0)
    truth = draw.integers(4, size=2000)
    probabilities = np.full((2000, 4), 0.05)
    probabilities[np.arange(2000), truth] = 0.85
    probabilities += draw.normal(scale=0.01, size=probabilities.shape)
    labels = truth.copy()
    wrong = draw.permutation(2000)[: round(2000 * share)]
    labels[wrong] = (truth[wrong] + draw.integers(1, 4, len(wrong))) % 4
    return labels, probabilities, wrong


def test_the_paper_s_count_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.4, 0.6]])
    # Thresholds: 0.6 for the first class, 0.7 for the second. The last row is of neither.
    noise = find_label_noise(labels, probabilities, ("a", "b"))
    assert np.array(noise.joint) == pytest.approx(np.array([[2, 1], [0, 2]]) / 5)
    assert noise.rate == pytest.approx(0.2)
    (suspect,) = noise.suspects
    assert (suspect.row, suspect.given, suspect.suggested) == (2, "a", "b")
    assert suspect.margin == pytest.approx(0.8)


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_wrong_labels_are_counted_and_listed(share: float) -> None:
    labels, probabilities, wrong = predictions(share)
    noise = find_label_noise(labels, probabilities, "abcd")
    assert noise.rate == pytest.approx(share, abs=0.02)
    later = noise.renumbered(np.arange(2000) + 500)
    assert later.suspects[0].row == noise.suspects[0].row + 500
    assert {suspect.row for suspect in noise.suspects} == set(wrong.tolist())
    assert np.array(noise.joint).sum() == pytest.approx(1)
    assert label_noise(noise).severity == "hint"


def test_right_labels_are_left_alone() -> None:
    labels, probabilities, _ = predictions(0.0)
    noise = find_label_noise(labels, probabilities, "abcd")
    assert (noise.rate, noise.suspects) == (0.0, ())
    assert label_noise(noise) is None


def test_a_class_without_labels_is_no_suggestion() -> None:
    noise = find_label_noise(np.array([0, 0]), np.array([[0.1, 0.9], [0.9, 0.1]]), ("a", "b"))
    assert noise.suspects == ()


def test_shapes_must_fit() -> None:
    with pytest.raises(InputError, match=r"need probabilities of shape \(2, 2\)"):
        find_label_noise(np.array([0, 1]), np.zeros((2, 3)), ("a", "b"))


@pytest.mark.slow
def test_the_training_split_is_judged_by_models_that_did_not_see_it() -> None:
    from agiwb.training.diagnosis.cross_validation import cross_validated_label_noise
    from tests.training.diagnosis.watched import with_labels

    data = load_dataset("digits")
    rows = np.random.default_rng(0).permutation(len(data.train))[:100]
    labels = data.train.labels.copy()
    labels[rows] = (labels[rows] + 3) % 10
    config = TrainConfig(architecture="mlp", epochs=8, learning_rate=0.005)
    noise = cross_validated_label_noise(
        config, with_labels(data, labels, data.validation.labels), folds=2
    )
    first = [suspect.row for suspect in noise.suspects[:50]]
    assert len(set(first) & set(rows.tolist())) >= 45
    assert noise.rate == pytest.approx(100 / len(labels), abs=0.05)


def test_a_class_that_is_too_rare_for_the_folds_is_told() -> None:
    from agiwb.training.diagnosis.cross_validation import cross_validated_label_noise
    from tests.training.diagnosis.watched import numbers

    data = numbers(np.zeros((100, 2)), np.arange(100) == 1)
    with pytest.raises(DatasetError, match="1 training examples, too few for 5 folds"):
        cross_validated_label_noise(TrainConfig(), data)
