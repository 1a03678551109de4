"""Keras' events told to a run: each batch as progress, each epoch as a point of the curves."""

from __future__ import annotations

import math
from typing import Any

import keras

from agiwb.runs.context import Context
from agiwb.training.train import Epoch

_METRICS = {
    "train_loss": "loss",
    "train_accuracy": "accuracy",
    "validation_loss": "val_loss",
    "validation_accuracy": "val_accuracy",
}


class EpochReport(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
    """Reports to ``context`` and stops at the next batch if the run is cancelled."""

    def __init__(self, context: Context, epochs: int) -> None:
        super().__init__()
        self.curves: list[Epoch] = []
        self._context = context
        self._epochs = epochs
        self._phase = ""

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._phase = f"epoch {epoch + 1} of {self._epochs}"

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        steps = self.params["steps"]
        if batch + 1 < steps:  # the last batch is reported with the epoch's figures
            loss = float((logs or {}).get("loss", math.nan))
            self._context.progress(self._phase, batch + 1, steps, loss=loss)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {name: float((logs or {}).get(key, math.nan)) for name, key in _METRICS.items()}
        if not all(math.isfinite(value) for value in values.values()):
            self.model.stop_training = True
            return
        self.curves.append(Epoch(epoch=epoch + 1, **values))
        for name, value in values.items():
            self._context.log_metric(name, value, epoch + 1)
        steps = self.params["steps"]
        self._context.progress(self._phase, steps, steps, **values)
