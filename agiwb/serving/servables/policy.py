"""Which versions of a model are wanted, and in what order they come and go.

The rules are TensorFlow Serving's: its version policies, its availability-preserving policy, which
its server always uses, and its resource-preserving one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from agiwb.serving.servables.states import FINISHED, Stage


@dataclass(frozen=True)
class Latest:
    """The highest ``num_versions`` versions; 0 means 1, as in TensorFlow Serving."""

    num_versions: int = 1

    def choose(self, numbers: Collection[int]) -> tuple[int, ...]:
        """Return those of ``numbers`` to serve, in ascending order."""
        return tuple(sorted(numbers)[-max(self.num_versions, 1) :])


@dataclass(frozen=True)
class All:
    """Every version there is."""

    def choose(self, numbers: Collection[int]) -> tuple[int, ...]:
        """Return ``numbers`` in ascending order."""
        return tuple(sorted(numbers))


@dataclass(frozen=True)
class Specific:
    """The versions named, as far as they are there."""

    versions: tuple[int, ...]

    def choose(self, numbers: Collection[int]) -> tuple[int, ...]:
        """Return those of ``numbers`` to serve, in ascending order."""
        return tuple(sorted(set(self.versions) & set(numbers)))


VersionPolicy = Latest | All | Specific


@dataclass(frozen=True)
class Standing:
    """Where one version stands, and whether it is aspired, that is wanted by the policy."""

    number: int
    stage: Stage
    aspired: bool


@dataclass(frozen=True)
class Action:
    """What to do next with one version."""

    kind: Literal["load", "unload"]
    number: int


Rule = Callable[[Sequence[Standing]], Action | None]
"""Returns the next action for one model's versions, or None if there is nothing to do."""


def preserve_availability(standings: Sequence[Standing]) -> Action | None:
    """Return the next action, such that a model that answers goes on answering.

    A version that is not aspired is unloaded, the lowest first, unless it is the only one ready
    while an aspired one is still to come. Then the highest new aspired version is loaded. For a
    moment two versions are in memory.
    """
    leaving = _leaving(standings)
    aspired = [standing for standing in standings if standing.aspired]
    one_answers = any(standing.stage is Stage.READY for standing in aspired)
    if leaving and (not aspired or one_answers or len(leaving) > 1):
        return Action("unload", min(leaving))
    return _load_highest(aspired)


def preserve_resources(standings: Sequence[Standing]) -> Action | None:
    """Return the next action, such that no more is in memory than what is aspired.

    What is not aspired is unloaded first, and nothing loaded until it is gone. Between the two the
    model does not answer.
    """
    if leaving := _leaving(standings):
        return Action("unload", leaving[0])
    if any(not entry.aspired and entry.stage not in FINISHED for entry in standings):
        return None
    return _load_highest([standing for standing in standings if standing.aspired])


def _leaving(standings: Sequence[Standing]) -> list[int]:
    return [
        standing.number
        for standing in standings
        if standing.stage is Stage.READY and not standing.aspired
    ]


def _load_highest(aspired: Sequence[Standing]) -> Action | None:
    new = [standing.number for standing in aspired if standing.stage is Stage.NEW]
    return Action("load", max(new)) if new else None
