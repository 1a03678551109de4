"""The space of recipes that a sweep searches: techniques with their ranges, and precisions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agiwb.compression.recipe import Engine, Recipe
from agiwb.compression.stages import Stage, read_stage
from agiwb.compression.techniques.order import TECHNIQUES
from agiwb.compression.techniques.technique import Technique
from agiwb.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value = float | int | str | bool

_GRID_STEPS = 4
"""How many values of a range between bounds a grid takes, both ends included."""
_MOST_GRID_POINTS = 100_000
_FORM = "form"
_PLAIN = "float32"
_BY_WORD = {technique.word: technique for technique in TECHNIQUES}


@dataclass(frozen=True)
class RecipeSpace:
    """Each technique is applied or not, with each parameter in its range; and any of the forms.

    Attributes:
        techniques: In the order of a recipe.
        forms: Words of last stages, ``float32`` for none.
        engine: Of the techniques that leave the choice of one.
    """

    techniques: tuple[type[Technique], ...]
    forms: tuple[str, ...]
    engine: Engine = "keras"

    def recipe(self, params: Mapping[str, Value]) -> Recipe:
        """Return the recipe of a point, by the names that ``distributions`` gives.

        Parameters of a technique that is not applied do not count.
        """
        stages: list[Stage] = [
            kind.from_mapping({name: params[f"{kind.word}.{name}"] for name in kind.ranges})
            for kind in self.techniques
            if params[kind.word]
        ]
        if params[_FORM] != _PLAIN:
            stages.append(read_stage(str(params[_FORM]), str(params[_FORM])))
        return Recipe(tuple(stages)).with_engine(self.engine)

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the space in Optuna's terms."""
        from optuna.distributions import CategoricalDistribution

        found: dict[str, BaseDistribution] = {}
        for kind in self.techniques:
            found[kind.word] = CategoricalDistribution((True, False))
            for name, values in kind.ranges.items():
                found[f"{kind.word}.{name}"] = _distribution(values)
        found[_FORM] = CategoricalDistribution(self.forms)
        return found

    def grid_size(self) -> int:
        """Return the number of recipes that ``grid`` gives."""
        size = len(self.forms)
        for kind in self.techniques:
            size *= 1 + int(np.prod([len(_points(values)) for values in kind.ranges.values()]))
        return size

    def grid(self) -> list[Recipe]:
        """Return every recipe, of a range between bounds four values.

        Raises:
            ConfigError: They are too many to be listed.
        """
        if (size := self.grid_size()) > _MOST_GRID_POINTS:
            raise ConfigError(
                f"The grid of these `techniques` has {size:,} recipes.",
                "Take fewer techniques, or the strategy `nsga2` or `tpe`.",
            )
        ways = [[None, *_ways(kind)] for kind in self.techniques]
        return [
            self.recipe({**_merged(chosen, self.techniques), _FORM: form})
            for chosen in itertools.product(*ways)
            for form in self.forms
        ]


def make_space(words: Sequence[str], forms: Sequence[str], engine: Engine = "keras") -> RecipeSpace:
    """Return the space of the techniques called ``words`` and the last stages called ``forms``.

    Raises:
        ConfigError: There is no such technique or form, or none at all.
    """
    for given in words:
        if given not in _BY_WORD:
            raise ConfigError(
                f"`techniques`: there is no technique {given!r}.", did_you_mean(given, _BY_WORD)
            )
    for form in forms:
        if form != _PLAIN and not hasattr(read_stage(form, form), "form"):
            raise ConfigError(
                f"`precisions`: {form!r} is a stage that trains.", "Give it in `techniques`."
            )
    if not words or not forms:
        raise ConfigError(
            "There is nothing to search.",
            f"Give `techniques`, some of {', '.join(_BY_WORD)}, and at least one of `precisions`.",
        )
    chosen = tuple(kind for kind in TECHNIQUES if kind.word in words)
    return RecipeSpace(chosen, tuple(dict.fromkeys(forms)), engine)


def _ways(kind: type[Technique]) -> Iterator[dict[str, Value]]:
    names = list(kind.ranges)
    for values in itertools.product(*(_points(kind.ranges[name]) for name in names)):
        yield {f"{kind.word}.{name}": value for name, value in zip(names, values, strict=True)}


def _merged(
    chosen: Sequence[dict[str, Value] | None], kinds: Sequence[type[Technique]]
) -> dict[str, Value]:
    params: dict[str, Value] = {}
    for kind, way in zip(kinds, chosen, strict=True):
        params[kind.word] = way is not None
        params.update(way or {})
    return params


def _bounds(values: tuple[Any, ...]) -> tuple[float, float] | None:
    """Return the range's bounds, if two numbers are what it has."""
    both_numbers = len(values) == 2 and all(isinstance(each, int | float) for each in values)
    return (values[0], values[1]) if both_numbers else None


def _points(values: tuple[Any, ...]) -> list[Value]:
    """Return the values a grid takes of a range."""
    if (bounds := _bounds(values)) is None:
        return list(values)
    spread = np.linspace(*bounds, _GRID_STEPS)
    if isinstance(values[0], int):
        return [int(each) for each in dict.fromkeys(spread.round())]
    return [float(each) for each in spread]


def _distribution(values: tuple[Any, ...]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if (bounds := _bounds(values)) is None:
        return CategoricalDistribution(values)
    if isinstance(values[0], int):
        return IntDistribution(int(bounds[0]), int(bounds[1]))
    return FloatDistribution(*bounds)
