"""The make phase of a sweep as a whole: from its config to its products, their files in place."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from agiwb.artifacts.resolve import MODEL_FILE, ModelSource
from agiwb.compression.advisor import choose_scheme, read_processor
from agiwb.compression.produce import Failure, Product
from agiwb.compression.pruning import FineTuning
from agiwb.compression.recipe import Recipe, parse_recipe
from agiwb.compression.trials.assignment import Assignment, Material, candidate_code
from agiwb.compression.trials.cache import FOLDER, Cache
from agiwb.compression.trials.drive import Driver, Outcome
from agiwb.compression.trials.making import get_ready
from agiwb.compression.trials.plan import InTurn, Listed, Plan
from agiwb.compression.trials.recipe_file import write_recipe_file
from agiwb.compression.trials.scoring import scored_on
from agiwb.compression.trials.shared_data import share
from agiwb.compression.trials.space import RecipeSpace, make_space
from agiwb.crews.crew import Crew
from agiwb.crews.threads import share_of_cores
from agiwb.datasets.dataset import Dataset, Split
from agiwb.runs.context import Context
from agiwb.settings import Settings

if TYPE_CHECKING:
    from agiwb.compression.sweep_config import SweepConfig


def make_products(
    config: SweepConfig, source: ModelSource, data: Dataset, dataset: str, context: Context
) -> Outcome:
    """Return what became of each recipe, the baseline first; files lie in ``context.files``.

    Each candidate that was made leaves ``<recipe>/model.keras``, the deployable file and
    ``recipe.yaml``. What is known from before is taken from the workspace's ``candidates``.

    Args:
        config: The sweep's.
        source: The model to compress.
        data: Its data set.
        dataset: Name or path of the data set.
        context: The run.

    Raises:
        InputError: The model cannot be loaded, or does not fit the data.
        CancelledError: The user asked to stop; no process is left.
    """
    scratch = context.checkpoint / "making"
    shutil.rmtree(scratch, ignore_errors=True)  # what a killed process left
    try:
        bare = share(data, scratch / "data")
        with contextlib.closing(_crew(config, dataset, scratch / "logs")) as crew:
            material = _material(config, source, bare, context, crew.size())
            cache = workspace_cache(context)

            def assign(recipe: Recipe, seed: int) -> Assignment:
                asks = config.sensitivity and not recipe.stages
                return Assignment(
                    recipe, seed, material, scratch / "data", cache, candidate_code(), asks
                )

            seeds = range(config.seed, config.seed + config.seeds)
            with _plan(config, material, data.validation, context) as plan:
                score = scored_on(data.validation.labels)
                made = Driver(plan, crew, assign, seeds, context, score).run()
        placed = [
            _place(each, config, source, material, dataset, context) for each in made.products
        ]
        return Outcome(placed, made.work_s)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def workspace_cache(context: Context) -> Cache:
    """Return what sweeps have made in this workspace before, as far as it counts for this run."""
    return Cache(
        Settings().workspace_path / FOLDER,
        context.checkpoint / "drafts",
        context.run.started_at if context.fresh else None,
    )


def recipes_of(config: SweepConfig) -> list[Recipe]:
    """Return the recipes that are listed, with the engine that the config has for all stages."""
    return [parse_recipe(text).with_engine(config.engine) for text in config.recipes]


def space_of(config: SweepConfig) -> RecipeSpace:
    """Return the space that the config searches; raise ConfigError if there is none."""
    return make_space(config.techniques, config.precisions, config.engine)


def grid_of(config: SweepConfig) -> list[Recipe]:
    """Return the recipes of the config's grid, or as many as ``trials`` in an order of the seed's.

    Raises:
        ConfigError: They are too many to be listed.
    """
    import numpy as np

    points = space_of(config).grid()
    if config.trials is None or config.trials >= len(points):
        return points
    order = np.random.default_rng(config.seed).permutation(len(points))
    return [points[index] for index in order[: config.trials]]


def _crew(config: SweepConfig, dataset: str, logs: Path) -> Crew:
    if config.scheduler is None:
        from agiwb.crews.nursery import LocalProcesses, Nursery

        return LocalProcesses(config.workers or 1, Nursery(get_ready, logs, config.timeout_s))
    from agiwb.compression.trials.luggage import CandidateLuggage
    from agiwb.crews.dask_crew import DaskCluster

    pack = functools.partial(CandidateLuggage.of, dataset=dataset)
    return DaskCluster(config.scheduler, config.workers, get_ready, pack, config.timeout_s)


def _material(
    config: SweepConfig, source: ModelSource, bare: Dataset, context: Context, at_once: int
) -> Material:
    # A cluster's workers have their own cores; those of this machine are shared.
    here = share_of_cores(at_once) if config.scheduler is None else 1
    return Material(
        model=source.path.resolve(),
        model_sha256=source.fingerprint,
        data=bare,
        data_sha256=context.run.provenance.inputs["dataset"],
        tuning=FineTuning(
            config.fine_tune_epochs, config.batch_size, config.learning_rate, config.seed
        ),
        calibration_samples=config.calibration_samples,
        calibration_seed=config.seed,
        threads=config.threads or here,
        scheme=choose_scheme(read_processor()).scheme,
    )


@contextlib.contextmanager
def _plan(
    config: SweepConfig, material: Material, validation: Split, context: Context
) -> Iterator[Plan]:
    """Yield the recipes that are listed, and then those that the strategy adds."""
    listed = recipes_of(config)
    if config.strategy == "recipes":
        yield Listed(listed)
    elif config.strategy == "grid":
        yield Listed([*listed, *grid_of(config)])
    else:
        from agiwb.compression.trials.study import Search, StudyPlan

        search = Search(
            space=space_of(config),
            sampler=config.strategy,
            trials=config.total_trials,
            seed=config.seed,
            name=_study_name(config, material),
            storage=config.storage,
        )
        anew = context.fresh and not context.resumed
        score = scored_on(validation.labels)
        study = StudyPlan(search, Settings().workspace_path, score, anew=anew)
        with contextlib.closing(study):
            yield InTurn(Listed(listed), study)


def _study_name(config: SweepConfig, material: Material) -> str:
    """Return the name that searches share if they would draw the same and find the same."""
    baseline = Recipe()
    decisive = {
        "material": material.candidate_key(baseline, config.seed),
        "tuning": vars(material.tuning),
        "calibration": [material.calibration_samples, material.calibration_seed],
        "threads": material.threads,
        "techniques": config.techniques,
        "precisions": config.precisions,
        "engine": config.engine,
        "strategy": config.strategy,
        "trials": config.total_trials,
    }
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    return f"sweep-{config.strategy}-{digest[:16]}"


def _place(
    product: Product,
    config: SweepConfig,
    source: ModelSource,
    material: Material,
    dataset: str,
    context: Context,
) -> Product:
    """Return ``product`` with its files in the run's own folder."""
    if isinstance(product.file, Failure):
        return product
    folder = context.files / product.recipe.name
    folder.mkdir()
    for name in (MODEL_FILE, product.recipe.file_name):
        shutil.copyfile(product.file.with_name(name), folder / name)
    written = write_recipe_file(folder, product.recipe, config, source, material, dataset)
    return dataclasses.replace(
        product,
        file=folder / product.recipe.file_name,
        recipe_file=written.relative_to(context.files).as_posix(),
    )
