"""How settings are drawn, and how poor trials are ended: Optuna's samplers and pruners."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from agiwb.training.search.config import SearchConfig

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

_STARTUP_TRIALS = 5
_SPARED_BY_MEDIAN = 4
_REDUCTION = 3


def make_sampler(config: SearchConfig, begun: int) -> BaseSampler:
    """Return what draws the settings of the next trial, after so many that were ``begun``.

    It is seeded for this draw alone: a sampler seeded once would draw the same settings again when
    a search is resumed. The points of a grid are queued, and need none.
    """
    import numpy as np
    from optuna.samplers import RandomSampler, TPESampler

    seed = int(np.random.SeedSequence((config.seed, begun)).generate_state(1)[0])
    if config.sampler != "tpe":
        return RandomSampler(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant_liar is called experimental
        return TPESampler(n_startup_trials=_STARTUP_TRIALS, constant_liar=True, seed=seed)


def make_pruner(config: SearchConfig) -> BasePruner:
    """Return the pruner; a trial has a step for each epoch of its first fold and each fold after.

    Successive halving (Jamieson & Talwalkar 2016; asynchronous: Li et al. 2020) and Hyperband (Li
    et al. 2018) keep the best third at each rung.
    """
    from optuna import pruners

    steps = config.longest_epochs + config.folds - 1
    if config.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=_SPARED_BY_MEDIAN)
    if config.pruner == "asha":
        return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=_REDUCTION)
    if config.pruner == "hyperband":
        return pruners.HyperbandPruner(1, max(2, steps), reduction_factor=_REDUCTION)
    return pruners.NopPruner()
