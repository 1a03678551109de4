"""The loop of the make phase: ask the plan for recipes, keep the crew busy, take in what comes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from agiwb.compression.gate import ANSWERS_FILE, Gate
from agiwb.compression.produce import Failure, Product, reason_of, without_baseline
from agiwb.compression.recipe import Recipe
from agiwb.compression.sensitivity import LayerSensitivity
from agiwb.compression.sizes import FileSize, ModelSize
from agiwb.compression.trials.assignment import Assignment
from agiwb.compression.trials.cache import Found
from agiwb.compression.trials.making import (
    OtherVersionError,
    Progress,
    UnusableModelError,
    make,
)
from agiwb.compression.trials.plan import Plan
from agiwb.compression.trials.study import Score
from agiwb.compression.trials.told import not_made, tell_made
from agiwb.crews.crew import Crew, Died, Ending, Raised, Returned
from agiwb.runs.context import Context

_PHASE = "make candidates"

Made = Found | Failure
Assign = Callable[[Recipe, int], Assignment]
"""From a recipe and a seed to what is to be done."""


@dataclass(frozen=True)
class Outcome:
    """What a make phase came to.

    Attributes:
        products: What became of each recipe.
        work_s: Seconds that candidates' processes worked, divided by how many do so at once.
    """

    products: list[Product]
    work_s: float


@dataclass(frozen=True)
class Driver:
    """Makes all that a plan asks for.

    Attributes:
        plan: What to make.
        crew: Who makes it.
        assign: How.
        seeds: Of the candidates that train; of the others only the first.
        context: The run.
        score: Of what was made: its validation error and its bytes after gzip, to tell of it.
    """

    plan: Plan
    crew: Crew
    assign: Assign
    seeds: Sequence[int]
    context: Context
    score: Score

    def run(self) -> Outcome:
        """Return what became of each recipe, in the order of the plan.

        Raises:
            InputError: The model cannot be loaded, or does not fit the data.
            WorkError: The model as it is cannot be made; or code has changed meanwhile.
            OSError: The disk is full, or similar.
        """
        return _Round(self).run()


class _Round:
    """The state of a ``Driver`` at work."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._context = driver.context
        self._crew = driver.crew
        self._numbers = itertools.count()
        self._waiting: list[Assignment] = []
        self._running: dict[int, tuple[Assignment, float]] = {}
        self._broken: dict[str, Failure] = {}
        """By the key of a stage: why it could not be trained."""
        self._asked: dict[Recipe, int] = {}
        """How many of its seeds have not ended."""
        self._made: dict[Recipe, dict[int, Made]] = {}
        self._products: dict[Recipe, Product] = {}
        self._durations_s: list[float] = []
        self._worked_s = 0.0

    def run(self) -> Outcome:
        self._show()
        while True:
            self._hand_out()
            if not self._running:
                products = [self._products[recipe] for recipe in self._asked]
                return Outcome(products, self._worked_s / self._crew.size())
            for ending in self._crew.wait(self._told, self._context.stop_if_cancelled):
                self._hear(ending)

    def _hand_out(self) -> None:
        """Give the crew all that it can begin now; take what is known, or is bound to fail."""
        while len(self._running) < self._crew.size():
            job = self._next_ready()
            if job is None:
                if not self._ask():
                    return
                continue
            self._waiting.remove(job)
            broken = [self._broken[key] for key in job.stages_keys if key in self._broken]
            known = None if broken else job.cache.find(job.key)
            if broken or known:
                self._take(job, broken[0] if broken else known)  # type: ignore[arg-type]  # one is
                continue
            number = next(self._numbers)
            self._crew.start(number, make, job)
            self._running[number] = (job, time.monotonic())

    def _next_ready(self) -> Assignment | None:
        """Return a job that does not wait for a stage that another one is training."""
        busy = {key for job, _ in self._running.values() for key in job.stages_keys}
        for job in self._waiting:
            missing = (key for key in job.stages_keys if job.cache.find(key) is None)
            if not busy or job.cache.find(job.key) or not busy.intersection(missing):
                return job
        return None

    def _ask(self) -> bool:
        """Take a recipe of the plan; return whether there was one."""
        recipe = self._driver.plan.next()
        if recipe is None:
            return False
        if recipe in self._products:
            self._driver.plan.took(self._products[recipe])
        elif recipe not in self._asked:
            seeds = self._driver.seeds if recipe.training else self._driver.seeds[:1]
            self._asked[recipe] = len(seeds)
            self._waiting += [self._driver.assign(recipe, seed) for seed in seeds]
        return True

    def _told(self, _number: int, said: object) -> None:
        if isinstance(said, Progress) and self._crew.size() == 1:
            self._context.progress(said.phase, said.done, said.total)

    def _hear(self, ending: Ending) -> None:
        job, began = self._running.pop(ending.number)
        passed = time.monotonic() - began
        self._worked_s += ending.value if isinstance(ending, Returned) else passed
        if isinstance(ending, Died):
            self._fail(job, Failure(ending.reason))
        elif isinstance(ending, Raised):
            if isinstance(ending.error, UnusableModelError):
                raise ending.error.error
            if isinstance(ending.error, OSError | OtherVersionError):
                raise ending.error
            self._fail(job, Failure(reason_of(ending.error)))
        else:
            self._durations_s.append(passed)
            found = job.cache.find(job.key)
            self._take(job, found or Failure("Its files were damaged as they were kept."))

    def _fail(self, job: Assignment, failure: Failure) -> None:
        for key in job.stages_keys:
            if job.cache.find(key) is None:
                self._broken[key] = failure
                break
        self._take(job, failure)

    def _take(self, job: Assignment, made: Made) -> None:
        recipe = job.recipe
        self._made.setdefault(recipe, {})[job.seed] = made
        self._asked[recipe] -= 1
        if isinstance(made, Failure):
            if not recipe.stages:
                raise without_baseline(made.reason)
            which = f" with seed {job.seed}" if len(self._driver.seeds) > 1 else ""
            self._context.say(not_made(f"{recipe.name}{which}", made.reason))
        if not self._asked[recipe]:
            first, *others = self._driver.seeds
            of_seeds = self._made.pop(recipe)
            product = _product(recipe, of_seeds[first], [of_seeds.get(seed) for seed in others])
            self._products[recipe] = product
            self._driver.plan.took(product)
            if (score := self._driver.score(product)) is not None:
                tell_made(self._context, recipe.name, *score)
        self._show()

    def _show(self) -> None:
        total = max(self._driver.plan.total, len(self._asked))
        done = len(self._products)
        values = {}
        if self._durations_s and done < total:
            left = fmean(self._durations_s) * (total - done) / self._crew.size()
            values["seconds_left"] = round(left, 1)
        self._context.progress(_PHASE, done, total, **values)


def _product(recipe: Recipe, first: Made, others: Sequence[Made | None]) -> Product:
    """Return what became of a recipe: the file is the first seed's."""
    if isinstance(first, Failure):
        return Product(recipe, first)
    siblings = [made.file(ANSWERS_FILE) for made in others if isinstance(made, Found)]
    facts = first.facts
    return Product(
        recipe=recipe,
        file=first.file(recipe.file_name),
        sparsity=facts["sparsity"],
        answers=first.file(ANSWERS_FILE),
        gate=Gate(**facts["gate"]),
        file_size=FileSize(**facts["file_size"]),
        model_size=ModelSize(**facts["model_size"]),
        seconds=facts["seconds"],
        siblings=tuple(siblings),
        stage_bytes=facts["stage_bytes"],
        layers=frozenset(facts["layers"]),
        sensitivity=tuple(LayerSensitivity(**layer) for layer in facts["sensitivity"]),
    )
