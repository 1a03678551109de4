from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agiwb.training.config import TrainConfig
from agiwb.training.fit import open_trial
from agiwb.training.single_trace import make_variables
from tests.training.tiny_data import made_up

pytestmark = pytest.mark.slow


def counting(model: Any) -> list[int]:
    """Return a list that gets an entry whenever the model's train step is traced."""
    traces, step = [], model.train_step

    def train_step(*given: Any) -> Any:
        traces.append(len(traces))
        return step(*given)

    model.train_step = train_step
    return traces


def test_the_step_is_traced_once_and_the_weights_are_the_same_bit_for_bit() -> None:
    data = made_up("classification")
    config = TrainConfig(architecture="mlp", units=8, epochs=2, batch_norm=True, dropout=0.5)
    traces, weights = [], []
    for variables_first in (False, True):
        model = open_trial(config, data).model
        traces.append(counting(model))
        if variables_first:
            make_variables(model, data.train.features[:2], data.train.labels[:2])
        model.fit(data.train.features, data.train.labels, epochs=2, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    assert [len(each) for each in traces] == [2, 1]
    assert all(map(np.array_equal, *weights))


def test_a_trial_is_traced_once() -> None:
    trial = open_trial(TrainConfig(architecture="mlp", units=8, epochs=1), made_up("binary"))
    traces = counting(trial.model)
    trial.fit()
    assert len(traces) == 1
