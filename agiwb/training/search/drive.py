"""The loop of a search: ask the study for trials, keep the crew busy, and tell what came of it."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from statistics import fmean, stdev

from agiwb.crews.crew import Crew, Died, Ending, Raised
from agiwb.errors import ConfigError
from agiwb.runs.context import Context
from agiwb.training.search.objective import Assignment, Outcome, Report, run_trial
from agiwb.training.search.space import Value
from agiwb.training.search.study import Study

_PHASE = "trials"


class Driver:
    """Carries a search out.

    Pruning is decided here, by the one process that holds the study: a trial asks after each epoch
    and waits for the answer. So workers need no access to the database, and one worker's search is
    the same each time.
    """

    def __init__(self, study: Study, crew: Crew, context: Context, job: Assignment) -> None:
        self._study = study
        self._crew = crew
        self._context = context
        self._job = job
        """Whose number and config are each trial's own."""
        self._params: dict[int, Mapping[str, Value]] = {}
        self._total = study.config.total_trials
        self._began = time.monotonic()
        self._durations_s: list[float] = []
        self._found: list[tuple[float, int]] = [
            (trial.value, trial.number)
            for trial in study.trials()
            if trial.value is not None and trial.state.name == "COMPLETE"
        ]

    def run(self) -> None:
        """Carry out all trials that are left, or those that can be begun in time."""
        self._show_progress()
        while True:
            self._hand_out()
            if not self._params:
                return
            for ending in self._crew.wait(self._told, self._tick):
                self._take_in(_outcome(ending))

    def _hand_out(self) -> None:
        limit = self._study.config.timeout_s
        while len(self._params) < self._crew.size():
            if limit is not None and time.monotonic() - self._began >= limit:
                return
            if (asked := self._study.next_trial()) is None:
                return
            number, params = asked
            self._params[number] = params
            try:
                config = self._study.config.trial_config(params)
            except ConfigError as error:
                self._take_in(Outcome(number, "failed", reason=str(error), unfit=True))
                continue
            if (known := self._study.known(number)) is not None:
                self._take_in(known)
                continue
            job = dataclasses.replace(self._job, number=number, config=config)
            self._crew.start(number, run_trial, job)

    def _told(self, _number: int, report: Report) -> bool:
        shall_end = self._study.should_end(report)
        if self._crew.size() == 1:
            folds, epochs = self._job.folds, self._study.config.longest_epochs
            fold = f", fold {report.fold} of {folds}" if folds > 1 else ""
            done = min(report.epoch, epochs)
            shown = {self._job.metric: report.value} if done < epochs else {}
            self._context.progress(f"trial {report.number}{fold}", done, epochs, **shown)
        self._tick()
        return shall_end

    def _tick(self) -> None:
        self._study.beat()
        self._context.stop_if_cancelled()

    def _take_in(self, outcome: Outcome) -> None:
        params = self._params.pop(outcome.number)
        value = fmean(outcome.values) if outcome.state == "complete" else None
        self._study.tell(outcome, value)
        if outcome.duration_s:
            self._durations_s.append(outcome.duration_s)
        if value is not None:
            self._found.append((value, outcome.number))
            self._context.log_metric(f"trial_{self._job.metric}", value, outcome.number)
        self._context.say(self._line(outcome, params))
        self._show_progress()

    def _show_progress(self) -> None:
        self._context.progress(_PHASE, self._ended(), self._total)

    def _ended(self) -> int:
        return sum(trial.state.is_finished() for trial in self._study.trials())

    def _line(self, outcome: Outcome, params: Mapping[str, Value]) -> str:
        settings = " ".join(f"{name}={_short(value)}" for name, value in params.items())
        line = f"trial {outcome.number} ({self._ended()} of {self._total}): "
        if outcome.state == "complete":
            line += f"{self._job.metric} {fmean(outcome.values):.4g}"
            if (error := standard_error(outcome.values)) is not None:
                line += f" ± {error:.2g}"
            line += f" in {_duration(outcome.duration_s)}"
        else:
            line += f"{outcome.state}: {outcome.reason.rstrip('.')}"
        line += f"; {settings}"
        if self._found:
            value, number = (max if self._study.maximise else min)(
                self._found, key=lambda pair: pair[0]
            )
            line += f"; best {value:.4g} (trial {number})"
        left = self._total - self._ended()
        if left and self._durations_s:
            seconds = fmean(self._durations_s) * left / self._crew.size()
            line += f"; about {_duration(seconds)} left"
        return line


def _outcome(ending: Ending) -> Outcome:
    """Return the outcome of a trial; one whose process died has failed."""
    if isinstance(ending, Raised):
        raise ending.error
    if isinstance(ending, Died):
        advice = "Try a smaller `batch_size`, or fewer `workers`."
        return Outcome(ending.number, "failed", reason=f"{ending.reason} {advice}")
    outcome: Outcome = ending.value
    return outcome


def standard_error(values: tuple[float, ...]) -> float | None:
    """Return the standard error of the mean over folds; None for fewer than two.

    The folds share training examples, so that it is somewhat too small (Bengio & Grandvalet 2004).
    """
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def _short(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
