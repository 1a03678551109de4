"""Going back: a copy of a training's recent state, from which its last batches can be repeated."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agiwb.datasets.dataset import Dataset, Split
from agiwb.training.config import TrainConfig
from agiwb.training.diagnosis.time_share import TimeShare
from agiwb.training.pipeline import steps_in_epoch, training_batches
from agiwb.training.state import training_state

if TYPE_CHECKING:
    import keras

_SHARE_OF_TIME = 0.005
_FIRST_COST_S = 0.01
_LARGEST_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Batch:
    """One batch of a training: its epoch and its number, both from 0, and what it holds."""

    epoch: int
    number: int
    inputs: Any
    targets: Any
    rows: np.ndarray[Any, np.dtype[np.int64]] | None
    """Row of each example in the training split; None where the examples stay on disk."""


@dataclass(frozen=True)
class Culprit:
    """The first batch of a training that went wrong."""

    batch: Batch
    broken: tuple[str, ...]
    """Layers whose weights the step on this batch made NaN or infinite; none if only the loss is.
    """


class Rewind:
    """Keeps the state of ``model`` as it was a little while ago, while its weights were sound.

    A copy is made whenever the last one's cost is half a percent of the time that has passed since,
    so that what must be repeated takes two hundred times as long as a copy at most: a second or two
    for a small model. States of more than 512 MiB are not kept. Before the first copy, the state to
    go back to is the one that config and seed begin with.
    """

    def __init__(self, model: keras.Model, config: TrainConfig, data: Dataset) -> None:
        self._model = model
        self._config = config
        self._data = data
        self._time = TimeShare(_SHARE_OF_TIME, _FIRST_COST_S)
        self._steps = steps_in_epoch(data.train, config.batch_size)
        self._kept: list[Any] | None = None
        self._began_with = 0
        self._kept_before = 0  # the batch that comes next, counted over all epochs

    def start(self, epoch: int) -> None:
        """Begin with ``epoch``, the first being 0: a resumed training begins with a later one."""
        self._began_with = epoch

    def keep(self, epoch: int, batch: int) -> tuple[str, ...]:
        """Keep the state as it is before ``batch`` of ``epoch``, both from 0, if it is time.

        Returns:
            The layers with weights that are NaN or infinite. Such a state is not kept.
        """
        if not self._time.is_due:
            return ()
        with self._time.spend():
            if broken := broken_weights(self._model):
                return broken
            variables = training_state(self._model)
            if sum(4 * int(np.prod(variable.shape)) for variable in variables) <= _LARGEST_BYTES:
                self._kept = [variable.numpy() for variable in variables]
                self._kept_before = epoch * self._steps + batch
        return ()

    def broken(self) -> tuple[str, ...]:
        """Return the layers with weights that are NaN or infinite now."""
        return broken_weights(self._model)

    def find_culprit(self, epoch: int, batch: int) -> Culprit | None:
        """Bring the model to the state before the first batch, up to this one, that goes wrong.

        It is the first one that breaks the weights, or ``batch`` of ``epoch`` itself, whose loss is
        NaN or infinite. None if there is no state to begin from.
        """
        from agiwb.training.fit import class_weights

        target = epoch * self._steps + batch
        if self._kept is None:
            self._kept = self._begin_again()
        if self._kept is None or self._kept_before > target:
            return None
        weights = class_weights(self._config, self._data)
        self._restore(self._kept)
        for each in self._batches(self._kept_before, target + 1):
            before = [variable.numpy() for variable in training_state(self._model)]
            self._model.train_on_batch(each.inputs, each.targets, class_weight=weights)
            broken = broken_weights(self._model)
            is_target = each.epoch * self._steps + each.number == target
            if broken or is_target:
                self._restore(before)
                return Culprit(each, broken)
        return None

    def _batches(self, begin: int, end: int) -> Any:
        """Yield the batches from ``begin`` until before ``end``, counted over all epochs."""
        split, config = self._data.train, self._config
        epochs = range(begin // self._steps, (end - 1) // self._steps + 1)
        skipped = begin - epochs.start * self._steps
        batches = training_batches(split, config.batch_size, config.seed, epochs)
        numbers = self._row_numbers(epochs)
        pairs = zip(batches, numbers, strict=False)
        for count, ((inputs, targets), rows) in enumerate(
            itertools.islice(pairs, skipped, end - epochs.start * self._steps)
        ):
            place = begin + count
            yield Batch(place // self._steps, place % self._steps, inputs, targets, rows)

    def _row_numbers(self, epochs: range) -> Any:
        """Return each batch's rows, by drawing the row numbers in the examples' place."""
        split, config = self._data.train, self._config
        if type(split) is not Split:
            return itertools.repeat(None)
        rows = Split(np.arange(len(split)), np.zeros(len(split), np.int64))
        batches = training_batches(rows, config.batch_size, config.seed, epochs)
        return (np.asarray(numbers) for numbers, _ in batches)

    def _begin_again(self) -> list[Any] | None:
        """Return the state before the first batch, which seed and config decide."""
        from agiwb.training.fit import open_trial

        if self._began_with:
            return None
        trial = open_trial(self._config, self._data)
        return [variable.numpy() for variable in training_state(trial.model)]

    def _restore(self, state: list[Any]) -> None:
        for variable, value in zip(training_state(self._model), state, strict=True):
            variable.assign(value)


def broken_weights(model: keras.Model) -> tuple[str, ...]:
    """Return the names of the layers with weights that are NaN or infinite."""
    return tuple(
        layer.name
        for layer in model.layers
        if not all(
            np.isfinite(np.asarray(weight, np.float32)).all()
            for weight in layer.weights
            if "float" in str(weight.dtype)
        )
    )
