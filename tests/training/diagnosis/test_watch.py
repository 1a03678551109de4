"""Trainings made to go wrong, and what is said of them; and that watching changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agiwb import TrainConfig, TrainRecord, load_dataset
from agiwb.commands.step import summary
from agiwb.datasets.dataset import Dataset, Split
from tests.training.diagnosis.watched import (
    Heard,
    Watched,
    builder,
    fit_watched,
    numbers,
    with_labels,
)

pytestmark = pytest.mark.slow

MLP = TrainConfig(architecture="mlp", units=32, epochs=3)


@pytest.fixture(scope="module")
def too_fast() -> Watched:
    return fit_watched(MLP.model_copy(update={"learning_rate": 1.0}), load_dataset("digits"))


def test_a_healthy_training_has_no_problems(
    digits_run: TrainRecord, digits_cnn_run: TrainRecord
) -> None:
    for record in (digits_run, digits_cnn_run):
        assert [each for each in record.findings if each.severity == "problem"] == []
    for finding in digits_run.findings:
        assert finding.sentence() not in summary(digits_run)  # the run itself has said it
        assert finding.sentence() in summary(digits_run.model_copy(update={"reused": True}))


def test_a_rate_that_is_far_too_high(too_fast: Watched) -> None:
    assert too_fast.rules["learning_rate_too_high"] == "problem"
    finding = too_fast["learning_rate_too_high"]
    assert "`learning_rate: 0.1`" in finding.advice
    (losses,) = finding.evidence.curves
    assert max(losses.y) > 2 * finding.evidence.levels["a model that knows nothing"]
    assert losses.x[-1] > 2  # of three epochs


def test_it_kills_all_units_and_ends_at_chance(too_fast: Watched) -> None:
    assert too_fast["dead_units"].evidence.bars == {"hidden_1": 1.0}
    assert too_fast.rules["dead_units"] == "problem"
    assert "always answers" in too_fast["no_better_than_chance"].what
    assert "under_fitting" not in too_fast.rules  # which would say less


def test_each_finding_is_said_once(too_fast: Watched) -> None:
    for finding in too_fast.findings:
        rule = finding.rule.replace("_", " ")
        assert sum(f", {rule}: " in sentence for sentence in too_fast.said) == 1


def test_a_rate_that_is_far_too_low() -> None:
    config = MLP.model_copy(update={"learning_rate": 2e-5, "epochs": 8, "dropout": 0.0})
    found = fit_watched(config, load_dataset("digits"))
    assert found.rules["learning_rate_too_low"] == "problem"
    assert "`learning_rate: 0.0002`" in found["learning_rate_too_low"].advice
    assert {"under_fitting", "learning_rate_too_high"} & set(found.rules) == set()


def test_learning_by_heart() -> None:
    draw = np.random.default_rng(0)
    data = numbers(draw.normal(size=(400, 20)), draw.integers(2, size=400), (0.2, 0.7))
    config = TrainConfig(architecture="mlp", units=64, dropout=0, epochs=25, learning_rate=0.02)
    found = fit_watched(config, data)
    assert found.rules["over_fitting"] == "problem"
    training, validation = found["over_fitting"].evidence.curves
    assert training.y[-1] < training.y[0]
    assert validation.y[-1] > validation.y[0]
    assert any("over fitting" in sentence for sentence in found.said)


def test_features_that_tell_little() -> None:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(3000, 2))
    labels = draw.random(3000) < np.where(features[:, 0] > 0, 0.7, 0.3)
    config = TrainConfig(architecture="mlp", units=8, epochs=6, learning_rate=0.01)
    found = fit_watched(config, numbers(features, labels))
    assert found.rules["under_fitting"] == "hint"
    assert "problem" not in found.rules.values()


def test_a_rare_class_that_is_never_found() -> None:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(1000, 3))
    labels = draw.random(1000) < 0.05
    found = fit_watched(TrainConfig(architecture="mlp", epochs=2), numbers(features, labels))
    assert found.rules["class_imbalance"] == "problem"
    assert "finds none of 'yes'" in found["class_imbalance"].what
    assert "`class_weights: balanced`" in found["class_imbalance"].advice


def test_wrong_labels_are_found() -> None:
    data = load_dataset("digits")
    draw = np.random.default_rng(0)

    def spoiled(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = draw.permutation(len(labels))[: len(labels) // 7]
        changed = labels.copy()
        changed[rows] = (labels[rows] + draw.integers(1, 10, len(rows))) % 10
        return changed, rows

    train, _ = spoiled(data.train.labels)
    validation, rows = spoiled(data.validation.labels)
    config = TrainConfig(architecture="mlp", epochs=8, learning_rate=0.005)
    finding = fit_watched(config, with_labels(data, train, validation))["label_noise"]
    listed = [row["row"] for row in finding.evidence.rows]
    assert len(set(listed) & set(rows.tolist())) >= 0.9 * len(listed) > 10
    suggested = {row["row"]: row["suggested"] for row in finding.evidence.rows}
    right = [data.classes[data.validation.labels[row]] == suggested[row] for row in suggested]
    assert np.mean(right) > 0.9


def test_gradients_that_vanish(tmp_path: Path) -> None:
    config = TrainConfig(architecture=builder(tmp_path, "sigmoids"), epochs=1)
    found = fit_watched(config, _separable())
    finding = found["vanishing_gradients"]
    assert finding.severity == "problem"
    assert "sigmoid_0" in finding.what
    norms = list(finding.evidence.bars.values())
    assert len(norms) == 9
    assert norms[0] < 1e-3 * norms[-1]


def test_gradients_that_explode(tmp_path: Path) -> None:
    config = TrainConfig(
        architecture=builder(tmp_path, "steep"), epochs=1, learning_rate=1e-9, optimizer="sgd"
    )
    found = fit_watched(config, _separable())
    assert found.rules["exploding_gradients"] == "problem"
    assert "`clip_norm: 1`" in found["exploding_gradients"].advice


def test_a_layer_that_is_called_twice_is_watched(tmp_path: Path) -> None:
    config = TrainConfig(architecture=builder(tmp_path, "shared"), epochs=1)
    (sample,) = fit_watched(config, _separable()).samples
    assert set(sample.gradient_norms) == {"twice", "answer"}
    assert set(sample.dead_shares) == {"twice"}


def test_watching_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    from agiwb.training.diagnosis import watch
    from agiwb.training.fit import open_trial

    data = load_dataset("digits")
    config = TrainConfig(architecture="cnn", units=8, epochs=2)
    alone = open_trial(config, data)
    alone.fit()
    monkeypatch.setattr(watch, "_LAYERS_SHARE", 1e9)  # sample whenever possible
    found = fit_watched(config, data)
    assert len(found.samples) == 2
    pairs = zip(alone.model.get_weights(), found.weights, strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


def test_a_resumed_training_is_judged_by_its_whole_curves(tmp_path: Path) -> None:
    import keras

    from agiwb.training.diagnosis.watch import Watch
    from agiwb.training.fit import open_trial
    from agiwb.training.progress import EpochReport

    class Killed(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    data, checkpoint = _separable(), tmp_path / "epoch.npz"
    config = TrainConfig(architecture="mlp", units=8, epochs=4)

    def begin(*more: keras.callbacks.Callback) -> Watch:
        report = EpochReport(Heard(), config.epochs)
        watch = Watch(lambda _: None, config, data, report)
        open_trial(config, data).fit([report, watch, *more], checkpoint)
        return watch

    with pytest.raises(KeyboardInterrupt):
        begin(Killed())
    seen = begin().observed(finished=True)
    assert [point.epoch for point in seen.curves] == [1, 2, 3, 4]
    assert seen.first_loss is None  # the first batch it saw was no untrained model's
    assert seen.batch_losses.x[0] > 1
    assert len(seen.samples) == 1


def test_a_training_in_16_bits_is_watched_too() -> None:
    config = TrainConfig(architecture="mlp", units=8, epochs=2, mixed_precision=True)
    found = fit_watched(config, _separable())
    assert not [sentence for sentence in found.said if "cannot be" in sentence]
    assert len(found.samples) == 1


@pytest.mark.parametrize("kind", ["text", "table", "pairs"])
def test_every_kind_of_example_can_be_watched(kind: str) -> None:
    data = _of_kind(kind)
    family = {"text": "text", "table": "tabular", "pairs": "two_tower"}[kind]
    found = fit_watched(TrainConfig(architecture=family, units=8, epochs=1), data)
    assert not [sentence for sentence in found.said if "cannot be looked into" in sentence]
    (sample,) = found.samples
    assert sample.examples == 60
    assert min(sample.gradient_norms.values()) > 0


def _separable() -> Dataset:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(200, 4))
    return numbers(features, features[:, 0] > 0)


def _of_kind(kind: str) -> Dataset:
    draw = np.random.default_rng(0)
    words = np.array(["red", "green", "blue", "grey"], object)
    if kind == "text":
        features = draw.choice(words, 100) + " " + draw.choice(words, 100)
        labels = np.array([text.startswith("red") for text in features]).astype(np.int64)
    else:
        names = ("colour", "size") if kind == "table" else ("user", "item")
        columns = [(names[0], object), (names[1], np.float32 if kind == "table" else object)]
        features = np.empty(100, columns)
        features[names[0]] = draw.choice(words, 100)
        features[names[1]] = draw.random(100) if kind == "table" else draw.choice(words, 100)
        if kind == "table":
            features["size"][::5] = np.nan
        labels = (features[names[0]] == "red").astype(np.int64 if kind == "table" else np.float32)
    parts = (Split(features[rows], labels[rows]) for rows in np.split(np.arange(100), [60, 80]))
    classes = () if kind == "pairs" else ("no", "yes")
    task = "ranking" if kind == "pairs" else "classification"
    return Dataset(kind, classes, 1.0, *parts, task=task, kind=kind)
