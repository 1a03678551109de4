"""The range_test step: a learning rate from one short training in which it grows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from agiwb.datasets.registry import load_dataset
from agiwb.errors import WorkError
from agiwb.models.registry import architecture_fingerprint
from agiwb.runs.context import Context
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step
from agiwb.tensorflow_quietly import import_tensorflow
from agiwb.training.config import TrainConfig

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore
    from agiwb.training.fit import Trial

_SMOOTHING = 0.9
_DIVERGED = 4.0
_LEAST_BATCHES = 10
_SLOPE_WIDTH = 5  # batches to either side
_LEAST_FALL = 0.05


class RangeTestConfig(TrainConfig):
    """What is trained, and the learning rates that are tried on it.

    ``learning_rate``, ``epochs``, ``schedule``, ``warmup_epochs`` and ``early_stopping`` count for
    nothing here.
    """

    min_rate: float = Field(1e-6, gt=0, le=10, description="Learning rate of the first batch.")
    max_rate: float = Field(10.0, gt=0, le=100, description="Learning rate of the last batch.")
    batches: int = Field(200, ge=20, le=100_000, description="Batches to train on.")

    @model_validator(mode="after")
    def _known_range(self) -> RangeTestConfig:
        if self.min_rate >= self.max_rate:
            raise ValueError(
                f"min_rate ({self.min_rate:g}) must be smaller than max_rate ({self.max_rate:g})."
            )
        if self.strategy == "multi_worker":
            raise ValueError("a range test runs on one machine. Leave strategy at one_device.")
        return self


class RangeTestRecord(Record):
    """The loss over the learning rate, and the rate to begin with.

    The test ends early once the loss has diverged, so there may be fewer rates than batches.
    """

    config: RangeTestConfig
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    """The loss of each batch, before the step with its rate."""
    smoothed: tuple[float, ...]
    """Their moving average, in which each earlier batch counts nine tenths of the next."""
    lowest_rate: float
    """Where the smoothed loss is lowest."""
    steepest_rate: float
    """Where it falls most steeply over the logarithm of the rate, before it is lowest."""
    suggested_rate: float
    """One tenth of ``lowest_rate``, with two digits."""
    verdict: str
    """How the suggestion was found, and how far it can be trusted."""


def _inputs(config: RangeTestConfig, store: RunStore) -> dict[str, Input]:
    inputs = {"dataset": Input(load_dataset(config.dataset).fingerprint)}
    if fingerprint := architecture_fingerprint(config.architecture):
        inputs["architecture"] = Input(fingerprint)
    return inputs


@step("range_test", inputs=_inputs)
def range_test(config: RangeTestConfig, context: Context) -> RangeTestRecord:
    """Return the loss as the learning rate grows exponentially from batch to batch.

    Smith, "Cyclical Learning Rates for Training Neural Networks" (WACV 2017), section 3.3. The
    suggestion is one tenth of the rate at which the smoothed loss is lowest, a common rule of
    thumb: the loss is lowest just before it diverges. The model is thrown away.

    Raises:
        ConfigError: The architecture, the loss or the class weights do not fit the data.
        WorkError: No rate lowers the loss.
    """
    import_tensorflow()
    from agiwb.training.fit import open_trial

    constant = config.model_copy(
        update={"schedule": "constant", "warmup_epochs": 0, "learning_rate": config.min_rate}
    )
    trial = open_trial(constant, load_dataset(config.dataset))
    rates, losses = _train_with_growing_rate(config, trial, context)
    smoothed = smooth(np.array(losses))
    if len(losses) < _LEAST_BATCHES or smoothed.min() > (1 - _LEAST_FALL) * smoothed[0]:
        raise WorkError(
            f"None of {len(rates)} learning rates from {config.min_rate:.2g} to "
            f"{rates[-1] if rates else config.min_rate:.2g} lowered the loss by 5 %, so that "
            "nothing can be read off.",
            f"Begin lower (`min_rate: {config.min_rate / 1000:g}`), try more `batches`, or look at "
            "the data.",
        )
    lowest, steepest = read_off(np.array(rates), smoothed)
    suggested = float(f"{rates[lowest] / 10:.2g}")
    return RangeTestRecord(
        run=context.run,
        config=config,
        metrics={"suggested_learning_rate": suggested},
        rates=tuple(rates),
        losses=tuple(losses),
        smoothed=tuple(map(float, smoothed)),
        lowest_rate=rates[lowest],
        steepest_rate=rates[steepest],
        suggested_rate=suggested,
        verdict=_verdict(rates, lowest, steepest, suggested),
    )


def smooth(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the exponential moving average, corrected for its start at zero: same shape."""
    average, smoothed = 0.0, []
    for count, loss in enumerate(losses, start=1):
        average = _SMOOTHING * average + (1 - _SMOOTHING) * float(loss)
        smoothed.append(average / (1 - _SMOOTHING**count))
    return np.array(smoothed)


def read_off(rates: NDArray[np.float64], smoothed: NDArray[np.float64]) -> tuple[int, int]:
    """Return the places of the lowest smoothed loss and of its steepest descent before that.

    Args:
        rates: Growing, ``(batches,)``.
        smoothed: Losses of the same shape.
    """
    lowest = int(np.argmin(smoothed))
    first, last = _LEAST_BATCHES, lowest - _SLOPE_WIDTH  # the average is settled by then
    if last <= first:
        return lowest, lowest
    places = np.arange(first, last)
    ahead, behind = places + _SLOPE_WIDTH, places - _SLOPE_WIDTH
    slopes = (smoothed[ahead] - smoothed[behind]) / np.log(rates[ahead] / rates[behind])
    return lowest, int(places[np.argmin(slopes)])


def _train_with_growing_rate(
    config: RangeTestConfig, trial: Trial, context: Context
) -> tuple[list[float], list[float]]:
    """Return the rates tried and the loss of each one's batch, until the loss diverges."""
    from agiwb.training.fit import class_weights
    from agiwb.training.pipeline import steps_in_epoch, training_batches

    data, model = trial.data, trial.model
    epochs = math.ceil(config.batches / steps_in_epoch(data.train, config.batch_size))
    batches = training_batches(data.train, config.batch_size, config.seed, range(epochs))
    weights: dict[int, float] | None = class_weights(config, data)
    growth = (config.max_rate / config.min_rate) ** (1 / (config.batches - 1))
    rates: list[float] = []
    losses: list[float] = []
    with trial.strategy.scope():
        for number, (inputs, targets) in enumerate(batches.take(config.batches)):
            rate = config.min_rate * growth**number
            loss = _step(model, inputs, targets, rate, weights)
            if not math.isfinite(loss):
                break
            rates.append(rate)
            losses.append(loss)
            context.progress("range test", number + 1, config.batches, loss=loss, rate=rate)
            smoothed = smooth(np.array(losses))
            if len(losses) > _LEAST_BATCHES and smoothed[-1] > _DIVERGED * abs(smoothed.min()):
                break
    context.say(f"Tried {len(rates)} learning rates, up to {rates[-1] if rates else 0:.2g}.")
    return rates, losses


def _step(
    model: Any, inputs: Any, targets: Any, rate: float, weights: dict[int, float] | None
) -> float:
    """Train on one batch with ``rate``, and return its loss before that."""
    model.optimizer.learning_rate = rate
    logs = model.train_on_batch(inputs, targets, class_weight=weights, return_dict=True)
    return float(logs["loss"])


def _verdict(rates: list[float], lowest: int, steepest: int, suggested: float) -> str:
    found = (
        f"Try a learning rate of {suggested:g}: one tenth of {rates[lowest]:.2g}, where the "
        f"smoothed loss is lowest. It falls most steeply at {rates[steepest]:.2g}."
    )
    if lowest == len(rates) - 1:
        return f"{found} The loss was still falling at the highest rate: raise `max_rate`."
    return found
