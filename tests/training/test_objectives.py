from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest

from agiwb.datasets.dataset import Task
from agiwb.datasets.main_metric import main_metric
from agiwb.errors import ConfigError
from agiwb.training.config import TrainConfig
from agiwb.training.fit import Trial, open_trial
from tests.training.tiny_data import made_up

pytestmark = pytest.mark.slow


@functools.cache
def fitted(task: Task, **fields: object) -> Trial:
    """Return a fitted trial, to be asked and not to be trained on."""
    config = TrainConfig(architecture="mlp", epochs=8, learning_rate=0.02, dropout=0, **fields)
    trial = open_trial(config, made_up(task))
    trial.fit()
    return trial


@pytest.mark.parametrize(
    ("task", "names", "at_least"),
    [
        ("classification", {"accuracy"}, 0.75),
        ("binary", {"accuracy", "auc", "precision", "recall"}, 0.85),
        ("multilabel", {"auc", "binary_accuracy", "f1_macro"}, 0.9),
        ("regression", {"rmse", "mae", "mse", "r2"}, None),
    ],
)
def test_each_task_is_learnt_and_judged_by_its_own_metrics(
    task: Task, names: set[str], at_least: float | None
) -> None:
    trial = fitted(task)
    scores = trial.evaluate(trial.data.test)
    assert set(scores) == {"loss", *names}
    score = scores[main_metric(trial.data)]
    if at_least is not None:
        assert score > at_least
    else:
        spread = float(trial.data.test.labels.std())
        assert score < spread / 2
        assert scores["mse"] == pytest.approx(score**2, rel=1e-3)


def test_binary_metrics_are_those_of_the_second_class() -> None:
    from sklearn.metrics import precision_score, roc_auc_score

    trial = fitted("binary")
    test = trial.data.test
    scores, answers = trial.evaluate(test), trial.predict(test)
    assert scores["auc"] == pytest.approx(roc_auc_score(test.labels, answers[:, 1]), abs=0.02)
    named = answers[:, 1] > 0.5
    assert scores["precision"] == pytest.approx(precision_score(test.labels, named), abs=1e-6)


def test_a_label_that_never_occurs_does_not_count() -> None:
    from sklearn.metrics import roc_auc_score

    from agiwb.training.scoring import score_interval

    whole = made_up("multilabel")
    test = dataclasses.replace(whole.test, labels=whole.test.labels * np.float32([1, 1, 0]))
    trial = fitted("multilabel")
    score, answers = trial.evaluate(test)["auc"], trial.predict(test)
    assert score == pytest.approx(roc_auc_score(test.labels[:, :2], answers[:, :2]), abs=0.02)
    low, high = score_interval("auc", test.labels, answers)
    assert low < score < high


def test_the_learning_rate_means_the_same_in_any_unit() -> None:
    small = made_up("regression")
    splits = {
        name: dataclasses.replace(split, labels=1000 * split.labels)
        for name, split in small.splits.items()
    }
    large = dataclasses.replace(small, **splits)
    config = TrainConfig(architecture="mlp", epochs=2, optimizer="sgd", learning_rate=0.05)
    errors = []
    for data in (small, large):
        trial = open_trial(config, data)
        trial.fit()
        errors.append(trial.evaluate(data.test)["rmse"])
    assert errors[1] == pytest.approx(1000 * errors[0], rel=0.01)


@pytest.mark.parametrize(
    ("task", "loss"),
    [
        ("regression", "mean_absolute_error"), ("regression", "huber"),
        ("classification", "focal"), ("multilabel", "focal"),
    ],
)  # fmt: skip
def test_other_losses_learn_too(task: Task, loss: str) -> None:
    trial = fitted(task, loss=loss)
    untrained = open_trial(trial.config, trial.data)
    test = trial.data.test
    assert trial.evaluate(test)["loss"] < 0.7 * untrained.evaluate(test)["loss"]


@pytest.mark.parametrize(
    ("task", "loss"), [("regression", "cross_entropy"), ("classification", "huber")]
)
def test_a_loss_that_does_not_fit_names_the_one_that_does(task: Task, loss: str) -> None:
    config = TrainConfig(architecture="mlp", loss=loss)
    with pytest.raises(ConfigError, match=rf"`loss` {loss} does not fit made_up.*Use `loss: "):
        open_trial(config, made_up(task))


def test_balanced_classes_weigh_the_rare_one_more() -> None:
    data = made_up("binary")
    rare = np.flatnonzero(data.train.labels == 1)[:12]
    kept = np.concatenate([np.flatnonzero(data.train.labels == 0), rare])
    data = dataclasses.replace(data, train=data.train.take(kept))
    recalls = []
    for weights in ("none", "balanced"):
        config = TrainConfig(architecture="mlp", epochs=4, class_weights=weights)
        trial = open_trial(config, data)
        trial.fit()
        recalls.append(trial.evaluate(data.test)["recall"])
    assert recalls[1] > recalls[0]
    with pytest.raises(ConfigError, match="needs one class an example"):
        open_trial(TrainConfig(architecture="mlp", class_weights="balanced"), made_up("regression"))
