"""How much each searched field mattered."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

from agiwb.training.search.study import Study

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

_FEWEST_TRIALS = 4
_TRUSTED_PER_FIELD = 10


class Importance(NamedTuple):
    """Share of the variance of the trials' values that each field explains, largest first."""

    shares: dict[str, float]
    note: str
    """What to hold of it, if there is something to say."""


def importance(study: Study) -> Importance:
    """Return the importance of each field by functional ANOVA (Hutter et al. 2014).

    A random forest is fitted to the completed trials; it is seeded, and says nothing for a few.
    """
    import optuna
    from optuna.trial import TrialState

    complete = [trial for trial in study.trials() if trial.state == TrialState.COMPLETE]
    names = [name for name, each in study.config.ranges.items() if not each.distribution().single()]
    if len(complete) < _FEWEST_TRIALS:
        note = f"{len(complete)} completed trials are too few to tell what mattered."
        return Importance({}, note)
    if len({trial.value for trial in complete}) == 1:
        return Importance({}, f"All {len(complete)} completed trials came out the same.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = optuna.importance.get_param_importances(
            _copied(study, complete),
            evaluator=optuna.importance.FanovaImportanceEvaluator(seed=study.config.seed),
            params=names,
        )
    shares = {name: float(share) for name, share in found.items()}
    if len(complete) < _TRUSTED_PER_FIELD * len(names):
        return Importance(
            shares,
            f"From {len(complete)} completed trials in {len(names)} dimensions: a hint, no more.",
        )
    return Importance(shares, "")


def _copied(study: Study, trials: list[FrozenTrial]) -> optuna.Study:
    """Return a study in memory with these trials alone."""
    import optuna

    copied = optuna.create_study(direction="maximize" if study.maximise else "minimize")
    copied.add_trials(trials)
    return copied
