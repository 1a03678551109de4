"""A matrix's combinations, as GitHub Actions makes them of a workflow's ``strategy.matrix``.

Source of the rules: GitHub's documentation, "Running variations of jobs in a workflow".
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from agiwb.errors import ConfigError, did_you_mean

NOTEBOOK = "notebook"
"""The key that is no parameter: which notebook to run."""

MOST_COMBINATIONS = 10_000

Combination = dict[str, Any]


def combinations(matrix: Mapping[str, Any]) -> list[Combination]:
    """Return what ``matrix`` expands to, in its order: the last key changes fastest.

    ``exclude`` removes each combination that has all values of one of its rows. ``include`` comes
    after it: each of its rows is added to every combination whose own values it would not change;
    a row that fits none is a combination of its own.

    Args:
        matrix: A list of values, or one value, for each key; besides, ``include`` and ``exclude``
            with lists of mappings.

    Raises:
        ConfigError: A list is empty, a row is no mapping, ``exclude`` names an unknown key, there
            are too many combinations, or none.
    """
    axes = {
        str(name): _values(name, values)
        for name, values in matrix.items()
        if name not in {"include", "exclude"}
    }
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > MOST_COMBINATIONS:
        raise ConfigError(
            f"`matrix` has {count:,} combinations.", f"{MOST_COMBINATIONS:,} is the most."
        )
    points = itertools.product(*axes.values()) if axes else ()
    made = [dict(zip(axes, point, strict=True)) for point in points]
    unwanted = _rows(matrix, "exclude")
    for row in unwanted:
        if unknown := [name for name in row if name not in axes]:
            raise ConfigError(
                f"`exclude` names `{unknown[0]}`, which is no key of the matrix.",
                did_you_mean(unknown[0], axes),
            )
    made = [each for each in made if not any(_has(each, row) for row in unwanted)]
    found = _included(made, _rows(matrix, "include"), set(axes))
    if not found:
        raise ConfigError(
            "`matrix` has no combination.", "Give it a `notebook`, and lists of parameters."
        )
    return found


def _included(
    made: Sequence[Combination], rows: Sequence[Combination], own: set[str]
) -> list[Combination]:
    extended = [dict(each) for each in made]
    alone = []
    for row in rows:
        fitting = [
            wider
            for wider, original in zip(extended, made, strict=True)
            if all(original[name] == row[name] for name in own if name in row)
        ]
        for each in fitting:
            each.update(row)
        if not fitting:
            alone.append(dict(row))
    return [*extended, *alone]


def _has(combination: Combination, row: Combination) -> bool:
    return all(combination[name] == value for name, value in row.items())


def _values(name: str, values: Any) -> list[Any]:
    listed = list(values) if isinstance(values, (list, tuple)) else [values]
    if not listed:
        raise ConfigError(f"`matrix.{name}` is empty.", "Give it a value, or leave it out.")
    return listed


def _rows(matrix: Mapping[str, Any], name: str) -> list[Combination]:
    rows = matrix.get(name) or []
    if not isinstance(rows, (list, tuple)) or not all(isinstance(row, Mapping) for row in rows):
        raise ConfigError(
            f"`matrix.{name}` must be a list of mappings.",
            "Such as `- {dataset: iris, epochs: 3}`.",
        )
    return [{str(key): value for key, value in row.items()} for row in rows]
