"""Keras' events told to a run: each batch as progress, each epoch as a point of the curves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras

from agiwb.errors import WorkError
from agiwb.runs.context import Context
from agiwb.training.curves import Epoch
from agiwb.training.diagnosis.nonfinite import Origin


class EpochReport(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
    """Reports to ``context`` and stops at the next batch if the run is cancelled."""

    def __init__(self, context: Context, epochs: int, main_metric: str = "accuracy") -> None:
        super().__init__()
        self.curves: list[Epoch] = []
        self.find_origin: Callable[[int, int], Origin | None] | None = None
        """Told an epoch and a batch, both from 0, says where the NaN in its loss came from."""
        self._context = context
        self._epochs = epochs
        self._shown = ("_loss", f"_{main_metric}")  # the rest is in the curves
        self._phase = ""
        self._unlogged: list[tuple[str, float, int]] = []
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch
        self._phase = f"epoch {epoch + 1} of {self._epochs}"

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = float((logs or {}).get("loss", math.nan))
        if not math.isfinite(loss):
            what = (
                f"Training stopped in {self._phase}, batch {batch + 1}: the loss is NaN or "
                "infinite."
            )
            origin = self.find_origin(self._epoch, batch) if self.find_origin else None
            if origin:
                raise WorkError(f"{what} {origin.what}", origin.advice)
            raise WorkError(
                what, f"Try a smaller `learning_rate` than {current_rate(self.model):g}."
            )
        steps = self.params["steps"]
        if batch + 1 < steps:  # the last batch is reported with the epoch's figures
            self._context.progress(self._phase, batch + 1, steps, loss=loss)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.curves.append(_point(self.model, epoch, logs))
        values = self.curves[-1].metrics
        self._unlogged += [(name, value, epoch + 1) for name, value in values.items()]
        steps = self.params["steps"]
        shown = {name: value for name, value in values.items() if name.endswith(self._shown)}
        self._context.progress(self._phase, steps, steps, **shown)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.log()

    def log(self) -> None:
        """Write to the run's history what is not there yet.

        A checkpoint calls it just before it is written: a training that goes on from there has the
        points of all epochs behind it, and logs those of the epochs before it.
        """
        for name, value, epoch in self._unlogged:
            self._context.log_metric(name, value, epoch)
        self._unlogged.clear()
        self._context.flush()


class EpochSpy(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
    """Keeps the curves, and calls ``told`` with each epoch's number, from 1, and its metrics."""

    def __init__(self, told: Callable[[int, dict[str, float]], None]) -> None:
        super().__init__()
        self.curves: list[Epoch] = []
        self._told = told

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.curves.append(_point(self.model, epoch, logs))
        self._told(epoch + 1, self.curves[-1].metrics)


def _point(model: keras.Model, epoch: int, logs: dict[str, Any] | None) -> Epoch:
    """Return what Keras tells at the end of an epoch, the first being 0."""
    values = {_record_name(name): float(value) for name, value in (logs or {}).items()}
    values.pop("train_learning_rate", None)  # ReduceLROnPlateau adds it to the logs
    return Epoch(epoch=epoch + 1, learning_rate=current_rate(model), metrics=values)


def current_rate(model: keras.Model) -> float:
    """Return the optimiser's learning rate as it is now, under any strategy."""
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


def _record_name(keras_name: str) -> str:
    """Return ``train_loss`` for Keras' ``loss``, and ``validation_loss`` for its ``val_loss``."""
    if keras_name.startswith("val_"):
        return f"validation_{keras_name.removeprefix('val_')}"
    return f"train_{keras_name}"
