"""How many bytes each stage of a recipe saves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agiwb.compression.candidate import Candidate
from agiwb.compression.recipe import BASELINE, parse_recipe


@dataclass(frozen=True)
class Fall:
    """What is left after a stage.

    Attributes:
        recipe: The recipe up to and with this stage; ``baseline`` before the first.
        gzip_bytes: What is left, after gzip.
        weights_only: Whether it is the size of the weights alone, since no candidate of the sweep
            has just these stages; a file has some bytes more.
    """

    recipe: str
    gzip_bytes: int
    weights_only: bool = False


def waterfall(candidates: Sequence[Candidate], name: str) -> tuple[Fall, ...]:
    """Return the sizes from the baseline to the candidate ``name``, stage by stage.

    A stage after which neither a candidate of the sweep nor the weights were measured is left out,
    and counts to the next one.

    Args:
        candidates: All of a sweep.
        name: One of them.

    Raises:
        KeyError: There is no candidate of that name.
    """
    by_name = {candidate.name: candidate for candidate in candidates}
    weights = by_name[name].stage_bytes
    falls = []
    for recipe in _on_the_way(name):
        measured = by_name[recipe].measured if recipe in by_name else None
        if measured is not None:
            falls.append(Fall(recipe, measured.gzip_bytes))
        elif recipe in weights:
            falls.append(Fall(recipe, weights[recipe], weights_only=True))
    return tuple(falls)


def _on_the_way(name: str) -> tuple[str, ...]:
    """Return the recipes on the way to ``name``: the baseline, then with each further stage."""
    recipe = parse_recipe(name)
    return tuple(
        dict.fromkeys((BASELINE, *(prefix.name for prefix in recipe.prefixes()), recipe.name))
    )
