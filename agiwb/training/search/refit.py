"""The final fit: the best trial's settings, on all examples that are not for the test."""

from __future__ import annotations

import dataclasses
from statistics import median_low
from typing import Any

import numpy as np

from agiwb.datasets.dataset import Dataset
from agiwb.datasets.main_metric import main_metric
from agiwb.runs.context import Context
from agiwb.tensorflow_quietly import import_tensorflow
from agiwb.training.config import TrainConfig
from agiwb.training.curves import Epoch
from agiwb.training.fit import Trial, open_trial
from agiwb.training.pipeline import is_streamed
from agiwb.training.search.folds import together
from agiwb.training.search.objective import Outcome
from agiwb.training.train import CHECKPOINT_FILE, model_name


@dataclasses.dataclass(frozen=True)
class Refit:
    """A fitted model, its curves, and for how many epochs of which examples it was fitted."""

    trial: Trial
    curves: tuple[Epoch, ...]
    epochs: int
    data: Dataset


def refit(config: TrainConfig, best: Outcome, data: Dataset, context: Context) -> Refit:
    """Return the model of the best trial, fitted to train and validation together.

    Nothing is left to validate on, so that nothing is decided on the way: it takes the median
    number of epochs that the folds took, with the learning rates that one of those folds had. The
    same search gives the same weights, bit for bit, also when it was interrupted here.

    Examples that stay on disk are not put together: then the training split is all it gets.
    """
    import_tensorflow()
    from agiwb.training.diagnosis.watch import Watch
    from agiwb.training.progress import EpochReport
    from agiwb.training.tensorboard import TensorBoardLog

    epochs = median_low(best.epochs)
    rates = best.rates[best.epochs.index(epochs)] if config.schedule == "plateau" else ()
    # The schedule's length stays that of the trial, whose epochs the config has.
    settings = config.model_copy(update={"schedule": "constant"} if rates else {})
    train = data.train if is_streamed(data.train) else together(data)
    nothing = data.validation.sample(1).take(np.array([], np.intp))
    whole = dataclasses.replace(data, train=train, validation=nothing)
    report = EpochReport(context, epochs, main_metric(data))
    # A validation split to compare the input with; these examples are now trained on as well.
    watch = Watch(context.say, settings, dataclasses.replace(data, train=train), report)
    report.find_origin = watch.origin
    trial = open_trial(settings, whole)
    callbacks: list[Any] = [
        report,
        watch,
        TensorBoardLog(model_name(config, data), context.run.id, report),
    ]
    if rates:
        callbacks.insert(0, _replay(rates))
    trial.fit(callbacks, context.checkpoint / CHECKPOINT_FILE, epochs)
    return Refit(trial.settled(), tuple(report.curves), epochs, whole)


def _replay(rates: tuple[float, ...]) -> Any:
    """Return what gives each epoch the learning rate it had in the trial."""
    import keras

    return keras.callbacks.LearningRateScheduler(lambda epoch, _rate: rates[epoch])
