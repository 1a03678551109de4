"""Fitting one model: what training, searching and retraining have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import CLASSIFYING, Dataset, Split
from agiwb.errors import ConfigError
from agiwb.models.registry import build_model
from agiwb.models.specification import ModelSpec
from agiwb.tensorflow_quietly import import_tensorflow
from agiwb.training import optimization
from agiwb.training.config import TrainConfig
from agiwb.training.objectives import compile_model
from agiwb.training.pipeline import evaluation_batches, steps_in_epoch, training_batches
from agiwb.training.single_trace import make_variables
from agiwb.training.strategy import make_strategy, ready_to_fit

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Trial:
    """A compiled model, ready to be fitted to ``data`` as ``config`` says."""

    config: TrainConfig
    data: Dataset
    model: keras.Model
    strategy: Any

    def fit(
        self,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        checkpoint: Path | None = None,
        epochs: int | None = None,
    ) -> None:
        """Fit the model to the training split, watching the validation split unless it is empty.

        The same config, data and machine give the same weights, bit for bit, whether or not the
        training was interrupted in between.

        Args:
            callbacks: Told of every batch and epoch, before early stopping is.
            checkpoint: File that keeps the state; if it exists, the training goes on from there.
                Several workers keep none: they could not agree on an epoch to go on from.
            epochs: How many to train for, where it is not all of the config's.
        """
        from agiwb.training.checkpoint import Checkpoint, epochs_done

        config, data = self.config, self.data
        epochs, validated = epochs or config.epochs, len(data.validation) > 0
        if config.strategy == "multi_worker":
            checkpoint = None
        done = epochs_done(checkpoint, epochs) if checkpoint else 0
        everyone = [*callbacks, *(_stoppers(config) if validated else [])]
        if checkpoint:
            everyone.append(Checkpoint(checkpoint, everyone))
        batches = training_batches(data.train, config.batch_size, config.seed, range(done, epochs))
        with self.strategy.scope(), ready_to_fit(self.model, self.strategy, data.train):
            make_variables(self.model, *next(iter(evaluation_batches(data.train.sample(2)))))
            self.model.fit(
                batches,
                steps_per_epoch=steps_in_epoch(data.train, config.batch_size),
                validation_data=evaluation_batches(data.validation) if validated else None,
                initial_epoch=done,
                epochs=epochs,
                class_weight=class_weights(config, data),
                callbacks=everyone,
                shuffle=False,  # the pipeline does it
                verbose=0,
            )

    def settled(self) -> Trial:
        """Return the trial with its model on this machine alone, computing in float32.

        That is the model to evaluate and to keep; usually it is the one that was fitted.
        """
        if not self.config.mixed_precision and self.config.strategy != "multi_worker":
            return self
        alone = self.config.model_copy(update={"mixed_precision": False, "strategy": "one_device"})
        settled = open_trial(alone, self.data)
        settled.model.set_weights(self.model.get_weights())
        return settled

    def evaluate(self, split: Split) -> dict[str, float]:
        """Return the loss and the task's metrics on a split, by Keras' names."""
        values = self.model.evaluate(evaluation_batches(split), return_dict=True, verbose=0)
        return {name: float(value) for name, value in values.items()}

    def predict(self, split: Split) -> NDArray[np.float32]:
        """Return the model's outputs on a split: float32 ``(examples, outputs)``."""
        batches = evaluation_batches(split).map(lambda inputs, _labels: inputs)
        return np.asarray(self.model.predict(batches, verbose=0), np.float32)

    def strip(self) -> keras.Model:
        """Return the model without its optimiser and compilation; the trial is over then.

        A compiled model's file carries the optimiser's slots, some three times the weights.
        """
        self.model.optimizer, self.model.compiled = None, False
        return self.model


def open_trial(config: TrainConfig, data: Dataset) -> Trial:
    """Return an untrained model, seeded and compiled, under the strategy and precision asked for.

    Raises:
        ConfigError: The architecture, the loss, the class weights or the strategy do not fit.
    """
    strategy = make_strategy(config.strategy)
    tf = import_tensorflow()
    import keras

    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    class_weights(config, data)
    policy = keras.mixed_precision.dtype_policy()
    with strategy.scope():
        try:
            if config.mixed_precision:
                keras.mixed_precision.set_dtype_policy(_half_precision(tf))
            model = build_model(config.architecture, _spec(config, data))
        finally:
            keras.mixed_precision.set_dtype_policy(policy)
        steps = steps_in_epoch(data.train, config.batch_size)
        compile_model(model, optimization.make_optimizer(config, steps), data, config.loss)
    return Trial(config, data, model, strategy)


def _spec(config: TrainConfig, data: Dataset) -> ModelSpec:
    return ModelSpec.of(data, config.size, config.options)


def _half_precision(tf: Any) -> str:
    """Return the policy for this machine: bfloat16 needs no loss scaling, but old GPUs lack it."""
    return "mixed_float16" if tf.config.list_physical_devices("GPU") else "mixed_bfloat16"


def _stoppers(config: TrainConfig) -> list[keras.callbacks.Callback]:
    """Return what acts on the validation loss."""
    import keras

    made: list[keras.callbacks.Callback] = []
    if config.schedule == "plateau":
        made.append(
            keras.callbacks.ReduceLROnPlateau(
                factor=optimization.PLATEAU_FACTOR, patience=optimization.PLATEAU_PATIENCE_EPOCHS
            )
        )
    if config.early_stopping is not None:
        made.append(
            keras.callbacks.EarlyStopping(patience=config.early_stopping, restore_best_weights=True)
        )
    return made


def class_weights(config: TrainConfig, data: Dataset) -> dict[int, float] | None:
    """Return each class's weight, the mean over the training examples being 1; None for equal."""
    if config.class_weights == "none":
        return None
    if data.task not in CLASSIFYING:
        raise ConfigError(
            f"`class_weights` needs one class an example; the task of {data.name} is {data.task}.",
            "Leave it at none.",
        )
    counts = np.bincount(data.train.labels, minlength=len(data.classes))
    weights = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return {index: float(weight) for index, weight in enumerate(weights)}
