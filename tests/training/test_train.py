from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agiwb import TrainConfig, TrainRecord, load_dataset, train
from agiwb.artifacts.resolve import resolve_model
from agiwb.errors import ConfigError, NotFoundError, WorkError
from agiwb.runs.store import open_store

pytestmark = pytest.mark.slow


def test_the_record_says_what_the_model_does(digits_run: TrainRecord) -> None:
    import keras

    data = load_dataset("digits")
    model = keras.models.load_model(digits_run.file("model.keras"))
    right = (model.predict(data.test.features, verbose=0).argmax(axis=1) == data.test.labels).mean()
    assert digits_run.metrics["test_accuracy"] == pytest.approx(right, abs=1e-6)
    assert right > 0.8
    low, high = digits_run.test_interval
    assert low < right < high
    assert len(digits_run.curves) == digits_run.config.epochs
    assert digits_run.parameters == model.count_params()


def test_the_curves_are_in_mlflow(digits_run: TrainRecord, trained_workspace: Path) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{trained_workspace / 'mlflow.db'}")
    history = client.get_metric_history(digits_run.run.id, "validation_accuracy")
    stored = [point.value for point in history if point.step > 0]
    assert stored == [epoch.metrics["validation_accuracy"] for epoch in digits_run.curves]
    assert client.get_run(digits_run.run.id).data.params["architecture"] == "mlp"


def test_the_same_config_and_seed_give_the_same_weights(workspace: Path) -> None:
    import keras

    config = TrainConfig(architecture="cnn", units=8, epochs=1)
    first, second = (train(config, reuse=False) for _ in range(2))
    assert first.run.id != second.run.id
    models = [keras.models.load_model(run.file("model.keras")) for run in (first, second)]
    pairs = zip(*(model.get_weights() for model in models), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


def test_a_model_is_found_by_each_of_its_names(workspace: Path) -> None:
    trained = train(TrainConfig(architecture="mlp", units=8, epochs=1))
    store = open_store()
    run_id = trained.run.id
    for reference in ("digits-mlp", "digits-mlp/1", run_id, run_id[:8], "latest"):
        assert resolve_model(reference, store).run_id == run_id
    by_path = resolve_model(str(trained.file("model.keras")), store)
    assert by_path.fingerprint == resolve_model("digits-mlp", store).fingerprint


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("digits-rnn", "no model 'digits-rnn'.*digits-mlp"),
        ("digits-mlp/99", "no model 'digits-mlp' version 99"),
        ("nowhere.keras", "no file"),
        ("digits-mlp:prune", "no candidate 'prune'"),
    ],
)
def test_a_model_that_is_not_there_is_named(
    digits_run: TrainRecord, reference: str, message: str
) -> None:
    with pytest.raises(NotFoundError, match=message):
        resolve_model(reference, open_store())


def test_an_exploding_loss_stops_with_advice(workspace: Path) -> None:
    config = TrainConfig(architecture="mlp", epochs=3, optimizer="sgd", learning_rate=10, l2=1.0)
    with pytest.raises(WorkError, match=r"NaN or infinite.*smaller `learning_rate` than 10"):
        train(config)
    assert [run.state for run in open_store().summaries()] == ["failed"]


def test_an_architecture_that_does_not_fit_leaves_nothing(workspace: Path, tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).random((60, 5)), np.arange(60) % 3
    np.savez(tmp_path / "vectors.npz", x=x, y=y)
    path = str(tmp_path / "vectors.npz")
    with pytest.raises(ConfigError, match=r"cnn needs images.*mlp"):
        train(TrainConfig(dataset=path, epochs=1, architecture="cnn"))
    assert open_store().summaries() == []
    record = train(TrainConfig(dataset=path, epochs=1))
    assert record.architecture == "mlp"
    assert record.model_name == "vectors-mlp"
