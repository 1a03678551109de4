"""The study: Optuna's persistent record of a search, opened again by whoever goes on with it.

Its name is a digest of all that the trials depend on, so that the same search finds its study
again, wherever it runs. Each draw is seeded by the number of trials before it: a search that was
interrupted goes on with the very trials it would have had.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import logging
import re
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agiwb.errors import WorkError
from agiwb.runs.database_url import shown
from agiwb.runs.liveness import RunStatus, new_status, process_of, this_process
from agiwb.runs.provenance import Provenance
from agiwb.training.search.config import SearchConfig
from agiwb.training.search.objective import Outcome, Report
from agiwb.training.search.sampling import make_pruner, make_sampler
from agiwb.training.search.space import Value, grid_points
from agiwb.training.search.storage import open_storage, storage_url

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

_BEAT_S = 10.0
_BEAT_MISSED_S = 300.0
_MOST_ATTEMPTS = 2
_RETRIED = "Its process ended before it did; it was tried again."
_STOPPED = "The search was stopped; it was queued again."


def study_name(config: SearchConfig, provenance: Provenance) -> str:
    """Return the name that searches share if their trials would be the same."""
    decisive = {
        "config": config.decisive(),
        "inputs": provenance.inputs,
        "packages": {**provenance.packages, "optuna": importlib.metadata.version("optuna")},
        "code": provenance.code_sha256,
        "python": provenance.python,
        "machine": provenance.machine,
    }
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    words = (Path(part).stem for part in (config.dataset, config.architecture))
    return re.sub(r"[^\w.-]+", "-", f"{'-'.join(words)}-{digest[:16]}")


class Study:
    """The trials of one search.

    Ownership: one process at a time carries a study, and says so in it. Trials that a dead one
    left running are marked as failed, and tried once more.
    """

    def __init__(self, config: SearchConfig, name: str, workspace: Path, *, maximise: bool) -> None:
        import optuna

        self.config = config
        self.maximise = maximise
        self.url = storage_url(config.storage, workspace, name)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        self._storage = open_storage(self.url)
        self._study = optuna.create_study(
            storage=self._storage,
            study_name=name,
            direction="maximize" if maximise else "minimize",
            pruner=make_pruner(config),
            load_if_exists=True,
        )
        self._distributions = {key: each.distribution() for key, each in config.ranges.items()}
        self._running: dict[int, optuna.Trial] = {}
        self._next_beat = 0.0

    @property
    def name(self) -> str:
        """The study's name in its storage."""
        return self._study.study_name

    @property
    def address(self) -> str:
        """Where the study is kept, without a password."""
        return shown(self.url)

    @contextlib.contextmanager
    def carried(self, *, anew: bool) -> Iterator[None]:
        """Carry the study in this process, after its former one; ``anew`` forgets its trials.

        Raises:
            WorkError: Another process carries it.
        """
        try:
            with self._alone():
                self._claim()
            if anew:
                self._begin_anew()
            self._mend()
            try:
                yield
            finally:
                self._put_back()
                self._study.set_user_attr("carrier", None)
        finally:
            self._storage.engine.dispose()

    def beat(self) -> None:
        """Say every few seconds that this process is alive, for those on other machines."""
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + _BEAT_S
            status = new_status("search").model_dump(mode="json")
            self._study.set_user_attr("carrier", {**status, "beat_at": time.time()})

    def trials(self) -> list[FrozenTrial]:
        """Return the search's trials, as begun, without those that were tried again."""
        every = self._study.get_trials(deepcopy=False)
        first = [trial for trial in every if not trial.user_attrs.get("again")]
        return first[: self.config.total_trials]

    def interrupted(self) -> list[FrozenTrial]:
        """Return the trials that ended with their process, and were tried again."""
        every = self._study.get_trials(deepcopy=False)
        return [trial for trial in every if trial.user_attrs.get("again")]

    def next_trial(self) -> tuple[int, dict[str, Value]] | None:
        """Return the number and settings of a trial to carry out now; None if all are begun."""
        from optuna.trial import TrialState

        begun = self.trials()
        if not any(trial.state == TrialState.WAITING for trial in begun):
            if len(begun) >= self.config.total_trials:
                return None
            if self.config.sampler == "grid":
                self._study.enqueue_trial(self._next_point(begun))
        self._study.sampler = make_sampler(self.config, len(begun))
        trial = self._study.ask(self._distributions)
        self._running[trial.number] = trial
        return trial.number, dict(trial.params)

    def known(self, number: int) -> Outcome | None:
        """Return the outcome of an earlier trial with the same settings, as that of ``number``."""
        from optuna.trial import TrialState

        params = self._running[number].params
        for trial in self.trials():
            if trial.state == TrialState.COMPLETE and trial.params == params:
                outcome = outcome_of(trial)
                reason = f"Its settings are those of trial {trial.number}: the result is too."
                return dataclasses.replace(outcome, number=number, duration_s=0.0, reason=reason)
        return None

    def should_end(self, report: Report) -> bool:
        """Return whether the trial is so poor that it shall end."""
        if report.step is None or self.config.pruner == "none":
            return False
        trial = self._running[report.number]
        with warnings.catch_warnings():
            # A trial that Dask carries out a second time reports the same again.
            warnings.simplefilter("ignore")
            trial.report(report.value, report.step)
        return bool(trial.should_prune())

    def tell(self, outcome: Outcome, value: float | None) -> None:
        """Keep how a trial ended, and its value if it is complete."""
        from optuna.trial import TrialState

        trial = self._running[outcome.number]
        kept = dataclasses.asdict(outcome)
        trial.set_user_attr("outcome", kept)
        states = {
            "complete": TrialState.COMPLETE,
            "pruned": TrialState.PRUNED,
            "failed": TrialState.FAIL,
        }
        self._study.tell(trial, value, states[outcome.state])
        del self._running[outcome.number]

    def forget(self) -> None:
        """Delete all trials."""
        import optuna

        self._running.clear()
        optuna.delete_study(study_name=self.name, storage=self._storage)
        self._study = optuna.create_study(
            storage=self._storage,
            study_name=self.name,
            direction="maximize" if self.maximise else "minimize",
            pruner=make_pruner(self.config),
        )

    @property
    def _is_file(self) -> bool:
        return self.url.drivername == "sqlite"

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one process at a time look whether the study is free, and take it."""
        if self._is_file:
            from filelock import FileLock

            with FileLock(Path(self.url.database or "").parent / ".claim.lock"):
                yield
            return
        from sqlalchemy import text

        # An advisory lock of PostgreSQL, held by this connection and gone with it.
        key = int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:8], signed=True)
        with self._storage.engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})

    def _claim(self) -> None:
        carrier = self._study.user_attrs.get("carrier")
        if carrier and _is_alive(carrier):
            raise WorkError(
                f"Process {carrier['pid']} on {carrier['host']} is carrying out this very search.",
                "Wait for it, or stop it: what it has found is kept.",
            )
        self.beat()

    def _begin_anew(self) -> None:
        self.forget()
        self._next_beat = 0.0
        self.beat()

    def _mend(self) -> None:
        """Mark the trials that a dead process left running, and queue them once more."""
        from optuna.trial import TrialState

        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            attempt = trial.user_attrs.get("attempt", 1)
            if attempt < _MOST_ATTEMPTS:
                self._queue_again(trial, attempt + 1, _RETRIED)
                continue
            reason = f"Its process died in each of {attempt} attempts, perhaps for lack of memory."
            outcome = Outcome(trial.number, "failed", reason=reason)
            self._set_attribute(trial, "outcome", dataclasses.asdict(outcome))
            self._study.tell(trial.number, state=TrialState.FAIL)

    def _put_back(self) -> None:
        """Queue the trials again that were running when the search was stopped."""
        for number, trial in sorted(self._running.items()):
            frozen = self._study.get_trials(deepcopy=False)[number]
            self._queue_again(frozen, trial.user_attrs.get("attempt", 1), _STOPPED)
        self._running.clear()

    def _queue_again(self, trial: FrozenTrial, attempt: int, reason: str) -> None:
        from optuna.trial import TrialState

        # In this order, and once: if we are killed in between, the next process does the rest.
        every = self._study.get_trials(deepcopy=False)
        if not any(other.user_attrs.get("first") == trial.number for other in every):
            self._study.enqueue_trial(
                trial.params, user_attrs={"attempt": attempt, "first": trial.number}
            )
        outcome = Outcome(trial.number, "failed", reason=reason)
        self._set_attribute(trial, "outcome", dataclasses.asdict(outcome))
        self._set_attribute(trial, "again", True)
        self._study.tell(trial.number, state=TrialState.FAIL)

    def _set_attribute(self, trial: FrozenTrial, name: str, value: Any) -> None:
        self._storage.set_trial_user_attr(trial._trial_id, name, value)  # noqa: SLF001  no other way

    def _next_point(self, begun: list[FrozenTrial]) -> dict[str, Value]:
        """Return the first point of the grid, in an order of the seed's, that was not begun."""
        import numpy as np

        points = list(grid_points(self.config.ranges))
        order = np.random.default_rng(self.config.seed).permutation(len(points))
        taken = {_key(trial.params or trial.system_attrs["fixed_params"]) for trial in begun}
        return next(points[i] for i in order if _key(points[i]) not in taken)


def outcome_of(trial: FrozenTrial) -> Outcome:
    """Return how a trial ended, as it was kept."""
    kept = dict(trial.user_attrs["outcome"])
    kept["rates"] = tuple(tuple(rates) for rates in kept["rates"])
    kept.update(values=tuple(kept["values"]), epochs=tuple(kept["epochs"]))
    return Outcome(**kept)


def _is_alive(carrier: dict[str, Any]) -> bool:
    """Return whether the process that last carried the study still may."""
    here = this_process()
    if (carrier["host"], carrier["pid"]) == (here["host"], here["pid"]):
        return False  # this very process was, and is done with it
    if carrier["host"] == here["host"]:
        fields = {key: value for key, value in carrier.items() if key in RunStatus.model_fields}
        return process_of(RunStatus(**fields)) is not None
    return bool(time.time() - carrier["beat_at"] < _BEAT_MISSED_S)


def _key(params: dict[str, Value]) -> str:
    return json.dumps(params, sort_keys=True)
