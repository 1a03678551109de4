"""One trial, wherever it is carried out: fit each fold, report each epoch, and say how it ended.

What travels between processes is plain: a ``Assignment`` there, ``Report`` and ``Outcome`` back.
"""

from __future__ import annotations

import dataclasses
import gc
import math
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from agiwb.crews.crew import Line
from agiwb.crews.luggage import Luggage
from agiwb.crews.threads import limit_threads
from agiwb.datasets.registry import load_dataset
from agiwb.errors import AgiwbError, CancelledError, ConfigError, WorkError, did_you_mean
from agiwb.jobs.readiness import prepare
from agiwb.runs.provenance import code_digest
from agiwb.tensorflow_quietly import import_tensorflow
from agiwb.training.config import TrainConfig
from agiwb.training.curves import kept_epoch
from agiwb.training.search.folds import fold_data

TrialState = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True)
class Assignment:
    """A trial to be carried out."""

    number: int
    config: TrainConfig
    folds: int
    fold_seed: int
    metric: str
    longest_epochs: int
    """The most epochs that any trial of the search may have."""
    dataset: str
    """Fingerprint of the data set."""
    code: str
    """Digest of agiwb's own code."""
    threads: int | None = None
    """Of TensorFlow; None for as many as it would take."""


@dataclass(frozen=True)
class TrialLuggage(Luggage):
    """A trial on its way to a worker of another machine, which has threads of its own."""

    argument: Assignment

    def arrive(self, folder: Path, threads: int) -> Assignment:
        """Return the assignment with the worker's threads."""
        return dataclasses.replace(self.argument, threads=threads)


@dataclass(frozen=True)
class Report:
    """How a trial stands after an epoch, or after a fold."""

    number: int
    fold: int
    """The first is 1."""
    epoch: int
    value: float
    """The metric after the epoch; after a fold, its mean over the folds so far."""
    step: int | None
    """Where trials are compared to be pruned; None where they are not.

    The steps are the epochs of the first fold; then one for each further fold.
    """


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        number: The trial's.
        state: complete, pruned or failed.
        values: The metric of each fold that was completed: at the epoch whose weights are kept,
            which is the one of the lowest validation loss under early stopping, else the last.
        epochs: That epoch, for each of these folds.
        rates: Learning rate of each epoch, for each of these folds.
        duration_s: Wall-clock seconds.
        reason: Why it was pruned or failed, in a sentence.
        unfit: Whether it failed because its settings do not fit the data or each other.
    """

    number: int
    state: TrialState
    values: tuple[float, ...] = ()
    epochs: tuple[int, ...] = ()
    rates: tuple[tuple[float, ...], ...] = ()
    duration_s: float = 0.0
    reason: str = ""
    unfit: bool = False


class UnknownMetricError(ConfigError):
    """The task has no such metric, whatever the trial."""


class _PrunedError(Exception):
    """The trial was told to end."""


def get_ready() -> None:
    """Import what trials need."""
    import_tensorflow()
    prepare(("keras", "threadpoolctl", "agiwb.training.fit"))


def run_trial(job: Assignment, line: Line) -> Outcome:
    """Return how the trial ended; whatever goes wrong in it is an outcome as well.

    Args:
        job: The trial.
        line: It is asked after each epoch and fold whether the trial shall end here, and ticked
            after each batch.

    Raises:
        UnknownMetricError: The metric does not exist.
        WorkError: This machine has other data or other code than the search was started on.
        CancelledError: The line said so.
    """
    if job.threads is not None:
        limit_threads(job.threads)
    data = load_dataset(job.config.dataset)
    _require_same("data set", job.dataset, data.fingerprint)
    _require_same("code of agiwb", job.code, code_digest())
    done = _Done()
    began = time.monotonic()
    state: TrialState = "complete"
    reason, unfit = "", False
    try:
        for fold, part in enumerate(fold_data(data, job.folds, job.fold_seed), start=1):
            _run_fold(job, fold, part, done, line)
    except (UnknownMetricError, CancelledError):
        raise
    except _PrunedError as pruned:
        state, reason = "pruned", str(pruned)
    except AgiwbError as error:
        state, reason, unfit = "failed", str(error), isinstance(error, ConfigError)
    except Exception as error:  # noqa: BLE001  one bad setting must not end the search
        state, reason = "failed", _words(error)
    finally:
        gc.collect()  # a Keras model is a circle of references, and the next one needs its memory
    return Outcome(
        job.number,
        state,
        tuple(done.values),
        tuple(done.epochs),
        tuple(done.rates),
        time.monotonic() - began,
        reason,
        unfit,
    )


class _Done:
    """What is known of the folds that are completed."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.epochs: list[int] = []
        self.rates: list[tuple[float, ...]] = []


def _run_fold(job: Assignment, fold: int, data: Any, done: _Done, line: Line) -> None:
    import_tensorflow()
    from agiwb.training.fit import open_trial
    from agiwb.training.progress import EpochSpy
    from agiwb.training.search.watching import BatchWatch

    def tell(report: Report) -> None:
        is_last = job.folds == 1 and report.epoch == job.config.epochs
        if line.ask(report) and not is_last:
            raise _PrunedError(f"Pruned after epoch {report.epoch} of fold {report.fold}.")

    def after_epoch(epoch: int, values: dict[str, float]) -> None:
        value = _metric(values, job.metric)
        tell(Report(job.number, fold, epoch, value, step=epoch if fold == 1 else None))

    watch = EpochSpy(after_epoch)
    open_trial(job.config, data).fit([watch, BatchWatch(line.tick)])
    kept = kept_epoch(watch.curves, early_stopping=job.config.early_stopping is not None)
    done.values.append(_metric(kept.metrics, job.metric))
    done.epochs.append(kept.epoch)
    done.rates.append(tuple(epoch.learning_rate for epoch in watch.curves))
    if 1 < fold < job.folds:
        step = job.longest_epochs + fold - 1
        tell(Report(job.number, fold, kept.epoch, fmean(done.values), step))


def _metric(values: dict[str, float], name: str) -> float:
    measured = {
        key.removeprefix("validation_"): value
        for key, value in values.items()
        if key.startswith("validation_")
    }
    if name not in measured:
        raise UnknownMetricError(
            f"`metric`: this task has no {name!r}.", did_you_mean(name, measured)
        )
    if not math.isfinite(measured[name]):
        raise WorkError(f"The validation {name} is NaN or infinite.")
    return measured[name]


def _require_same(what: str, expected: str, found: str) -> None:
    if expected != found:
        raise WorkError(
            f"A worker has another version of the {what} than the search was started with.",
            "Give all workers the same files and install the same agiwb on them.",
        )


def _words(error: Exception) -> str:
    """Return in a sentence what a library raised."""
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return "There was not enough memory. Try a smaller `batch_size` or fewer `units`."
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
