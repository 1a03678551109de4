from __future__ import annotations

import numpy as np
import pytest

from agiwb.errors import ConfigError
from agiwb.training.config import TrainConfig
from agiwb.training.optimization import make_optimizer

pytestmark = pytest.mark.slow


def rates(config: TrainConfig, steps_per_epoch: int = 10) -> list[float]:
    schedule = make_optimizer(config, steps_per_epoch)._learning_rate
    steps = config.epochs * steps_per_epoch
    return [float(schedule(step)) for step in range(steps + 1)]


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "rmsprop", "adagrad", "lion"])
def test_each_optimiser_carries_what_the_config_says(name: str) -> None:
    config = TrainConfig(optimizer=name, learning_rate=0.01, clip_norm=2.0, weight_decay=0.1)
    made = make_optimizer(config, 10)
    assert type(made).__name__.lower() == name
    assert float(made.learning_rate) == pytest.approx(0.01)
    assert made.global_clipnorm == 2.0
    assert made.weight_decay == 0.1


def test_momentum_is_given_to_those_that_take_it() -> None:
    assert make_optimizer(TrainConfig(optimizer="sgd", momentum=0.9), 1).momentum == 0.9
    with pytest.raises(ConfigError, match=r"momentum is for sgd and rmsprop; adam has its own"):
        TrainConfig(optimizer="adam", momentum=0.9)


def test_the_cosine_falls_from_the_full_rate_to_zero() -> None:
    curve = rates(TrainConfig(schedule="cosine", epochs=4, learning_rate=0.1))
    assert curve[0] == pytest.approx(0.1)
    assert curve[20] == pytest.approx(0.05)
    assert curve[-1] == pytest.approx(0, abs=1e-8)
    assert all(np.diff(curve) <= 0)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_warm_up_grows_linearly_to_the_full_rate(schedule: str) -> None:
    config = TrainConfig(schedule=schedule, warmup_epochs=2, epochs=4, learning_rate=0.1)
    curve = rates(config)
    assert curve[0] == 0
    assert curve[10] == pytest.approx(0.05)
    assert curve[20] == pytest.approx(0.1)
    assert curve[-1] == pytest.approx(0.1 if schedule == "constant" else 0, abs=1e-8)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"warmup_epochs": 5, "epochs": 2}, r"warmup_epochs \(5\) is more than epochs \(2\)"),
        ({"warmup_epochs": 1, "schedule": "plateau"}, "plateau takes no warmup_epochs"),
    ],
)
def test_what_does_not_go_together_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**fields)
