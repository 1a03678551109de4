from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agiwb.training.config import TrainConfig
from agiwb.training.fit import Trial, open_trial
from tests.training.tiny_data import made_up

pytestmark = pytest.mark.slow

DATA = made_up("classification")


class PowerCutError(Exception):
    """What ends a training in the middle."""


def fitted(config: TrainConfig, checkpoint: Path | None = None, stop_after: int = 0) -> Trial:
    from agiwb.training.progress import EpochSpy

    def told(epoch: int, metrics: dict[str, float]) -> None:
        if epoch == stop_after:
            raise PowerCutError

    trial = open_trial(config, DATA)
    trial.fit([EpochSpy(told)], checkpoint)
    return trial


def equal_weights(one: Trial, other: Trial) -> bool:
    pairs = zip(one.model.get_weights(), other.model.get_weights(), strict=True)
    return all(np.array_equal(mine, theirs) for mine, theirs in pairs)


@pytest.mark.parametrize(
    "fields",
    [
        {"batch_norm": True, "dropout": 0.5},
        {"optimizer": "sgd", "momentum": 0.9, "schedule": "cosine", "warmup_epochs": 1},
        {"schedule": "plateau", "early_stopping": 2, "learning_rate": 0.2},
    ],
    ids=["dropout and statistics", "schedule and momentum", "plateau and early stopping"],
)
def test_an_interrupted_training_ends_as_if_it_had_not_been(
    fields: dict[str, object], tmp_path: Path
) -> None:
    config = TrainConfig(architecture="mlp", epochs=6, units=8, **fields)
    whole = fitted(config)
    checkpoint = tmp_path / "epoch.npz"
    with pytest.raises(PowerCutError):
        fitted(config, checkpoint, stop_after=4)
    assert checkpoint.is_file()
    assert equal_weights(fitted(config, checkpoint), whole)


def test_early_stopping_keeps_the_best_weights() -> None:
    config = TrainConfig(
        architecture="mlp", epochs=40, learning_rate=0.3, early_stopping=2, units=64
    )
    losses: list[float] = []
    from agiwb.training.progress import EpochSpy

    trial = open_trial(config, DATA)
    trial.fit([EpochSpy(lambda _epoch, metrics: losses.append(metrics["validation_loss"]))])
    assert len(losses) < 40
    kept = trial.evaluate(DATA.validation)["loss"]
    assert kept == pytest.approx(min(losses), rel=1e-5)


def test_mixed_precision_ends_in_float32() -> None:
    config = TrainConfig(architecture="mlp", epochs=2, mixed_precision=True)
    trial = fitted(config)
    assert {layer.compute_dtype for layer in trial.model.layers} >= {"bfloat16"}
    settled = trial.settled()
    assert {layer.compute_dtype for layer in settled.model.layers} == {"float32"}
    apart = np.abs(settled.predict(DATA.test) - trial.predict(DATA.test)).max()
    assert apart < 0.05
    assert open_trial(TrainConfig(architecture="mlp"), DATA).model.dtype_policy.name == "float32"


def test_the_mirrored_strategy_on_one_device_changes_nothing() -> None:
    config = TrainConfig(architecture="mlp", epochs=2)
    mirrored = fitted(config.model_copy(update={"strategy": "mirrored"}))
    assert equal_weights(mirrored, fitted(config))


def test_the_kept_file_has_no_optimiser_in_it(tmp_path: Path) -> None:
    import keras

    trial = fitted(TrainConfig(architecture="mlp", epochs=1))
    trial.strip().save(tmp_path / "model.keras")
    assert not keras.models.load_model(tmp_path / "model.keras").compiled
