"""The search step: many trials around one config, and the best one's model, registered."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from agiwb.crews.crew import ThisProcess
from agiwb.crews.threads import share_of_cores
from agiwb.datasets.main_metric import main_metric
from agiwb.datasets.registry import load_dataset
from agiwb.errors import ConfigError, InputError, WorkError
from agiwb.models.registry import architecture_fingerprint
from agiwb.runs.context import Context
from agiwb.runs.step import Input, nothing_ahead, step
from agiwb.settings import Settings
from agiwb.training.objectives import LOWER_IS_BETTER
from agiwb.training.search.config import SearchConfig
from agiwb.training.search.drive import Driver, standard_error
from agiwb.training.search.folds import require_folds
from agiwb.training.search.objective import Assignment, TrialLuggage, get_ready
from agiwb.training.search.record import SearchRecord, TrialResult, flags
from agiwb.training.search.space import Choices
from agiwb.training.train import fields_of_fitted

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from agiwb.crews.crew import Crew
    from agiwb.runs.store import RunStore
    from agiwb.training.search.refit import Refit
    from agiwb.training.search.study import Study

__all__ = ["SearchConfig", "SearchRecord", "TrialResult", "search"]


def _inputs(config: SearchConfig, store: RunStore) -> dict[str, Input]:
    data = load_dataset(config.dataset)
    require_folds(data, config.folds)
    inputs = {"dataset": Input(data.fingerprint)}
    searched = config.ranges.get("architecture")
    names = searched.values if isinstance(searched, Choices) else (config.architecture,)
    for number, name in enumerate(names):
        if fingerprint := architecture_fingerprint(str(name)):
            inputs[f"architecture{number or ''}"] = Input(fingerprint)
    return inputs


def _register(record: SearchRecord, store: RunStore) -> None:
    store.register_model(record.model_name, record)


def _ahead(config: SearchConfig) -> AbstractContextManager[None]:
    from agiwb.crews.nursery import hired_ahead

    return hired_ahead(get_ready) if _is_shared(config) else nothing_ahead(config)


@step("search", inputs=_inputs, ahead=_ahead, publish=_register)
def search(config: SearchConfig, context: Context) -> SearchRecord:
    """Return the record of a search around ``config``; its best model is saved as ``model.keras``.

    A trial's value is the mean over the folds of the validation metric, at the epoch whose weights
    training would keep: that of the lowest validation loss under ``early_stopping``, else the last.
    The best trial is fitted again on train and validation together, and then tested.

    The study outlives this run. A search that was stopped goes on where it was, whether it is
    resumed or called again; so does one with more ``trials`` than before, or other workers. To
    ignore a finished search's trials, run it with ``reuse=False``. With one worker the same seed
    gives the same trials and the same model, bit for bit, also after an interruption; only the
    brackets of hyperband then fall otherwise.

    Raises:
        ConfigError: There is no such metric, or no trial's settings fit the data.
        WorkError: No trial succeeded, or the workers cannot carry them out.
        WorkspaceError: The storage cannot be opened.
    """
    from agiwb.training.search.study import Study, outcome_of, study_name

    data = load_dataset(config.dataset)
    context.confirm("dataset", data.fingerprint)
    metric = config.metric or main_metric(data)
    lower_is_better = metric in LOWER_IS_BETTER
    provenance = context.run.provenance
    name = study_name(config, provenance)
    study = Study(config, name, Settings().workspace_path, maximise=not lower_is_better)
    # A result is known and yet a run was made: the user wants it anew.
    anew = not context.resumed and context.store.known(context.run.cache_key) is not None
    job = Assignment(
        number=0,
        config=config,
        folds=config.folds,
        fold_seed=config.seed,
        metric=metric,
        longest_epochs=config.longest_epochs,
        dataset=data.fingerprint,
        code=provenance.code_sha256,
        threads=share_of_cores(config.workers or 1) if _is_shared(config) else None,
    )
    with study.carried(anew=anew):
        if known := sum(trial.state.is_finished() for trial in study.trials()):
            context.say(f"{known} trials of study {study.name} are known and kept.")
        crew = _crew(config, context.checkpoint / "logs")
        try:
            Driver(study, crew, context, job).run()
        except InputError:
            study.forget()
            raise
        finally:
            crew.close()
        begun = len(study.trials())
        if begun < config.total_trials:
            context.say(f"The time is up: {begun} of {config.total_trials} trials were begun.")
        best = _best_trial(study)
        outcome = outcome_of(best)
        context.say(
            f"The best is trial {best.number}, with validation {metric} {best.value:.4g}: "
            f"{flags(best.params)}"
        )
        from agiwb.training.search.refit import refit

        fitted = refit(config.trial_config(best.params), outcome, data, context)
        return _record(study, best, fitted, metric, context)


def _crew(config: SearchConfig, logs: Path) -> Crew:
    if config.scheduler is not None:
        from agiwb.crews.dask_crew import DaskCluster

        return DaskCluster(config.scheduler, config.workers, get_ready, TrialLuggage)
    if not _is_shared(config):
        return ThisProcess()
    from agiwb.crews.nursery import LocalProcesses, Nursery

    return LocalProcesses(config.workers or 1, Nursery(get_ready, logs))


def _is_shared(config: SearchConfig) -> bool:
    """Return whether several trials share this machine."""
    return config.scheduler is None and (config.workers or 1) > 1


def _best_trial(study: Study) -> FrozenTrial:
    """Return the complete trial with the best value, the first of equals.

    Raises:
        ConfigError: No trial's settings fit the data.
        WorkError: All trials failed, or were pruned.
    """
    from agiwb.training.search.study import outcome_of

    ended = [trial for trial in study.trials() if trial.state.is_finished()]
    complete = [trial for trial in ended if trial.state.name == "COMPLETE"]
    if complete:
        sign = -1 if study.maximise else 1
        return min(complete, key=lambda trial: sign * (trial.value or 0.0))
    outcomes = [outcome_of(trial) for trial in ended]
    # Their causes may be mended outside of the config: the next search shall try again.
    study.forget()
    if not outcomes:
        raise WorkError("Not one trial could be begun in time.", "Give a longer `timeout_s`.")
    if all(outcome.unfit for outcome in outcomes):
        raise ConfigError(f"No trial's settings fit. The first said: {outcomes[0].reason}")
    raise WorkError(
        f"None of {len(outcomes)} trials was completed. The first: {outcomes[0].reason}",
        "Search another space, or use `pruner: none`.",
    )


def _record(
    study: Study, best: FrozenTrial, fitted: Refit, metric: str, context: Context
) -> SearchRecord:
    from agiwb.training.search.importance import importance

    config = study.config
    results = tuple(map(_result, study.trials()))
    shares = importance(study)
    chosen = config.trial_config(best.params)
    return SearchRecord(
        config=config,
        **fields_of_fitted(
            chosen,
            fitted.trial,
            fitted.curves,
            {**fitted.curves[-1].metrics, f"validation_{metric}": best.value or 0.0},
            context,
        ),
        fitted=chosen,
        fitted_epochs=fitted.epochs,
        metric=metric,
        lower_is_better=not study.maximise,
        value_of=(
            "the last epoch"
            if config.early_stopping is None and "early_stopping" not in config.ranges
            else "the epoch of the lowest validation loss"
        ),
        space={name: str(each) for name, each in config.ranges.items()},
        trials=results,
        interrupted=tuple(map(_result, study.interrupted())),
        best=next(result for result in results if result.number == best.number),
        importance=shares.shares,
        importance_note=shares.note,
        study=study.name,
        storage=study.address,
    )


def _result(trial: FrozenTrial) -> TrialResult:
    """Return a trial of the study as the record has it."""
    from agiwb.training.search.study import outcome_of

    outcome = outcome_of(trial)
    return TrialResult(
        number=trial.number,
        state=outcome.state,
        params=trial.params,
        values=outcome.values,
        value=trial.value if outcome.state == "complete" else None,
        standard_error=standard_error(outcome.values) if outcome.state == "complete" else None,
        epochs=outcome.epochs,
        duration_s=outcome.duration_s,
        reason=outcome.reason,
    )
