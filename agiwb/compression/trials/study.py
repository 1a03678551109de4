"""A search for recipes: Optuna's study of two objectives, kept, and opened again to go on.

Smaller is better for both: the share of the validation examples that a candidate gets wrong, and
its bytes after gzip. Nothing here sees the test split. Each draw is seeded by the number of trials
before it, so that a search that was interrupted goes on with the draws it would have had.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agiwb.compression.produce import Product
from agiwb.compression.recipe import Recipe
from agiwb.compression.trials.space import RecipeSpace
from agiwb.errors import WorkError

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

Sampler = Literal["nsga2", "tpe"]

Score = Callable[[Product], tuple[float, float] | None]
"""Validation error and bytes after gzip of a product; None of one that failed."""

_AGAIN = "again"
_LARGEST_POPULATION = 50
_SMALLEST_POPULATION = 4
_GENERATIONS = 5
"""Into how many a short search is divided; with a single one NSGA-II would only draw at random."""
_MOST_STARTUP_TRIALS = 10


@dataclass(frozen=True)
class Search:
    """How recipes are searched.

    Attributes:
        space: Where.
        sampler: NSGA-II (Deb et al. 2002), or a tree-structured Parzen estimator of several
            objectives (Ozaki et al. 2022).
        trials: How many draws in all.
        seed: Of the draws.
        name: Of the study; searches that would draw the same share it.
        storage: URL of the database; None for SQLite in the workspace.
    """

    space: RecipeSpace
    sampler: Sampler
    trials: int
    seed: int
    name: str
    storage: str | None


class StudyPlan:
    """The recipes of a search.

    Ownership: one process of a workspace at a time carries a study; trials that a dead one left
    running are drawn again with the same settings. Close it to let go.
    """

    def __init__(self, search: Search, workspace: Path, score: Score, *, anew: bool) -> None:
        import optuna
        from filelock import FileLock, Timeout

        from agiwb.training.search.storage import open_storage, storage_url

        self._search = search
        self._score = score
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        locks = workspace / "search"
        locks.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(locks / f".{search.name}.lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise WorkError(
                "Another process is carrying out this very search.",
                "Wait for it, or stop it: what it has found is kept.",
            ) from None
        self._storage = open_storage(storage_url(search.storage, workspace, search.name))
        if anew and search.name in optuna.get_all_study_names(self._storage):
            optuna.delete_study(study_name=search.name, storage=self._storage)
        self._study = optuna.create_study(
            storage=self._storage,
            study_name=search.name,
            directions=["minimize", "minimize"],
            load_if_exists=True,
        )
        self._distributions = search.space.distributions()
        self._drawn: dict[Recipe, list[optuna.Trial]] = {}
        self._mend()
        self._known = deque(
            dict.fromkeys(
                search.space.recipe(trial.params)
                for trial in self._trials()
                if trial.state.is_finished()
            )
        )

    @property
    def total(self) -> int:
        return self._search.trials

    def next(self) -> Recipe | None:
        from optuna.trial import TrialState

        if self._known:
            return self._known.popleft()
        begun = self._trials()
        waiting = any(trial.state == TrialState.WAITING for trial in begun)
        if len(begun) >= self._search.trials and not waiting:
            return None
        self._study.sampler = self._make_sampler(len(begun))
        trial = self._study.ask(self._distributions)
        recipe = self._search.space.recipe(trial.params)
        self._drawn.setdefault(recipe, []).append(trial)
        return recipe

    def took(self, product: Product) -> None:
        from optuna.trial import TrialState

        values = self._score(product)
        for trial in self._drawn.pop(product.recipe, []):
            trial.set_user_attr("recipe", product.recipe.name)
            if values is None:
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                self._study.tell(trial, values)

    def close(self) -> None:
        """Put back what was drawn and not made, and let go of the study."""
        try:
            self._drawn.clear()
            self._mend()
        finally:
            self._storage.engine.dispose()
            self._lock.release()

    def _trials(self) -> list[FrozenTrial]:
        every = self._study.get_trials(deepcopy=False)
        return [trial for trial in every if not trial.user_attrs.get(_AGAIN)]

    def _mend(self) -> None:
        """Queue the trials that nobody carries out any more once more."""
        from optuna.trial import TrialState

        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            # In this order, and once: if we are killed in between, the next process does the rest.
            every = self._study.get_trials(deepcopy=False)
            if not any(other.user_attrs.get("first") == trial.number for other in every):
                self._study.enqueue_trial(trial.params, user_attrs={"first": trial.number})
            identity = trial._trial_id  # noqa: SLF001  no other way
            self._storage.set_trial_user_attr(identity, _AGAIN, value=True)
            self._study.tell(trial.number, state=TrialState.FAIL)

    def _make_sampler(self, begun: int) -> BaseSampler:
        """Return what draws the next trial, seeded for this draw alone."""
        import warnings

        import numpy as np
        from optuna.samplers import NSGAIISampler, TPESampler

        seed = int(np.random.SeedSequence((self._search.seed, begun)).generate_state(1)[0])
        share = self._search.trials // _GENERATIONS
        with warnings.catch_warnings(action="ignore"):  # what is called experimental
            if self._search.sampler == "nsga2":
                population = min(_LARGEST_POPULATION, max(_SMALLEST_POPULATION, share))
                return NSGAIISampler(population_size=population, seed=seed)
            startup = min(_MOST_STARTUP_TRIALS, max(_SMALLEST_POPULATION, share))
            options: dict[str, Any] = {"constant_liar": True, "seed": seed}
            return TPESampler(n_startup_trials=startup, **options)
