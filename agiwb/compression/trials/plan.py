"""Which recipes a sweep makes, one after another; a search decides as it goes, see ``study``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agiwb.compression.produce import Product
from agiwb.compression.recipe import Recipe


class Plan(Protocol):
    """Gives recipes, and is told what became of each."""

    @property
    def total(self) -> int:
        """How many recipes there are to be, at most."""

    def next(self) -> Recipe | None:
        """Return a recipe to make now; None if there is none before others have ended."""

    def took(self, product: Product) -> None:
        """Take note of what became of a recipe."""


class Listed:
    """Recipes that are known beforehand, in their order."""

    def __init__(self, recipes: Sequence[Recipe]) -> None:
        self._recipes = list(dict.fromkeys(recipes))
        self._next = 0

    @property
    def total(self) -> int:
        return len(self._recipes)

    def next(self) -> Recipe | None:
        if self._next == len(self._recipes):
            return None
        self._next += 1
        return self._recipes[self._next - 1]

    def took(self, product: Product) -> None:
        """Nothing depends on it."""


class InTurn:
    """The recipes of one plan, and then those of another."""

    def __init__(self, first: Plan, second: Plan) -> None:
        self._plans = (first, second)

    @property
    def total(self) -> int:
        return sum(plan.total for plan in self._plans)

    def next(self) -> Recipe | None:
        first, second = self._plans
        recipe = first.next()
        return second.next() if recipe is None else recipe

    def took(self, product: Product) -> None:
        for plan in self._plans:
            plan.took(product)
