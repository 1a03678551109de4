"""TensorBoard logs: the curves, the weights' histograms and the model's graph.

Keras' own callback writes a summary after every batch it is asked to, and begins anew after a
resume; this one writes from the curves, so that a resumed training's log is whole.

The logs of all trainings lie side by side in the workspace's ``tensorboard`` folder, from the first
epoch on, so that TensorBoard shows a training while it runs and beside the others.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from agiwb.settings import Settings
from agiwb.training.progress import EpochReport

_LARGEST_SHARE_OF_TIME = 0.01


def log_folder(model_name: str, run_id: str) -> Path:
    """Return the folder of a training's logs, named so that people know it in a list."""
    return Settings().workspace_path / "tensorboard" / f"{model_name}-{run_id[:8]}"


class TensorBoardLog(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
    """Writes logs of ``train`` and ``validation`` for the run; comes after ``report``.

    Histograms of a large model cost time: they are left out of an epoch in which they would take
    more than a hundredth of it.
    """

    def __init__(self, model_name: str, run_id: str, report: EpochReport) -> None:
        super().__init__()
        folder = log_folder(model_name, run_id)
        shutil.rmtree(
            folder, ignore_errors=True
        )  # of a resumed run, whose epochs are all written anew
        self._writers = {
            name: tf.summary.create_file_writer(str(folder / name))
            for name in ("train", "validation")
        }
        self._report = report
        self._written_epochs = 0
        self._histograms_cost_s = 0.0
        self._histograms_at = -float("inf")

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        inputs = self.model.inputs
        given = {tensor.name: tensor for tensor in inputs} if len(inputs) > 1 else inputs[0]
        signature = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), given)
        with self._writers["train"].as_default():
            traced = tf.function(self.model, autograph=False).get_concrete_function(signature)
            tf.summary.graph(traced.graph)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for point in self._report.curves[self._written_epochs :]:
            for name, value in point.metrics.items():
                split, _, metric = name.partition("_")
                with self._writers[split].as_default(step=point.epoch):
                    tf.summary.scalar(f"epoch_{metric}", value)
            with self._writers["train"].as_default(step=point.epoch):
                tf.summary.scalar("learning_rate", point.learning_rate)
        self._written_epochs = len(self._report.curves)
        self._write_histograms(epoch + 1)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        for writer in self._writers.values():
            writer.close()

    def _write_histograms(self, epoch: int) -> None:
        began = time.monotonic()
        if self._histograms_cost_s > _LARGEST_SHARE_OF_TIME * (began - self._histograms_at):
            return
        with self._writers["train"].as_default(step=epoch):
            for variable in self.model.trainable_variables:
                tf.summary.histogram(variable.path, variable)
        self._histograms_at = time.monotonic()
        self._histograms_cost_s = self._histograms_at - began
