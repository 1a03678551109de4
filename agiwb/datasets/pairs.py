"""Interactions of users with items; where only choices are known, items not chosen are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.columns import as_structured, label_values, texts_of
from agiwb.datasets.description import SourceDescription
from agiwb.datasets.source import Examples, Source, assemble
from agiwb.errors import DatasetError

if TYPE_CHECKING:
    from agiwb.datasets.roles import Roles
    from agiwb.datasets.table import TableFile

Codes = NDArray[np.int64]


def source_of_interactions(
    description: SourceDescription,
    table: TableFile,
    roles: Roles,
    own_split: NDArray[Any] | None,
    slices: dict[str, NDArray[Any]],
) -> Source:
    """Return a data set of pairs of ``user`` and ``item``, by default for the task ranking.

    If there is no rating, or all are the same number, each row is a choice, labelled 1. For each,
    ``description.negatives`` items are drawn, labelled 0, that the same user chose in no row of
    any split: uniformly, none twice for a user, in the split of their choice.

    Raises:
        DatasetError: A user, item or rating is missing; file and row are named.
    """
    users, items = (texts_of(table.frame[name]) for name in roles.features)
    for name, values in zip(roles.features, (users, items), strict=True):
        missing = np.flatnonzero(values == "")
        if len(missing):
            raise DatasetError(
                f"In {table.place(int(missing[0]))}, the column `{name}` is empty.",
                "Name the user and the item in each row.",
            )
    labels, rows, notes = _rated(table, roles), np.arange(len(users)), list(roles.notes)
    if labels is None:
        drawn_rows, drawn_items = draw_negatives(
            users, items, description.negatives, description.seed
        )
        labels = np.concatenate([np.ones(len(users)), np.zeros(len(drawn_rows))])
        rows = np.concatenate([rows, drawn_rows])
        users, items = users[rows], np.concatenate([items, drawn_items])
        notes += _notes_of_negatives(len(table.frame), len(drawn_rows), description)
        notes += [f"The column `{name}` is not used: it is unknown of items not chosen."
                  for name in slices]  # fmt: skip
        slices = {}
    return assemble(
        description,
        Examples(
            kind="pairs",
            features=as_structured({"user": users, "item": items}),
            labels=labels,
            place=lambda index: table.place(int(rows[index])),
            own_split=None if own_split is None else own_split[rows],
            slices=slices,
            label_names=roles.label,
            task="ranking",
            scale=1.0,
            notes=tuple(notes),
        ),
    )


def draw_negatives(
    users: NDArray[Any], items: NDArray[Any], negatives: int, seed: int
) -> tuple[Codes, NDArray[Any]]:
    """Return the choice that each drawn negative belongs to, and its item.

    Args:
        users: Who chose, ``(choices,)``.
        items: What they chose, ``(choices,)``.
        negatives: How many to draw for each choice; fewer if the user left too few items.
        seed: Equal seeds give equal draws.
    """
    catalogue, chosen = np.unique(items, return_inverse=True)
    _, who = np.unique(users, return_inverse=True)
    generator = np.random.default_rng(seed)
    rows, drawn = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for choices in _rows_of_each(who):
        known = np.unique(chosen[choices])
        wanted = min(len(choices) * negatives, len(catalogue) - len(known))
        drawn.append(_draw_others(known, len(catalogue), wanted, generator))
        rows.append(np.repeat(choices, negatives)[:wanted])
    return np.concatenate(rows), catalogue[np.concatenate(drawn)]


def _rows_of_each(who: Codes) -> Iterator[Codes]:
    """Yield the rows of each user."""
    order = np.argsort(who, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(who[order])) + 1)


def _draw_others(known: Codes, size: int, count: int, generator: np.random.Generator) -> Codes:
    """Return ``count`` different numbers below ``size``, none of them in ``known``."""
    if 2 * (len(known) + count) > size:
        others = np.setdiff1d(np.arange(size), known, assume_unique=True)
        return generator.choice(others, count, replace=False)
    # Few of a large catalogue: drawing and throwing away is cheaper than listing it all.
    picked = np.empty(0, np.int64)
    while len(picked) < count:
        tried = np.concatenate([picked, generator.integers(0, size, 2 * count)])
        _, first = np.unique(tried, return_index=True)
        picked = tried[np.sort(first)]
        picked = picked[~np.isin(picked, known)]
    return picked[:count]


def _rated(table: TableFile, roles: Roles) -> NDArray[Any] | None:
    """Return the ratings, or None if there are none, or all are the same."""
    if not roles.label:
        return None
    if len(roles.label) > 1:
        raise DatasetError(
            "A table of interactions has one rating, and `label` names several columns.",
            "Name one.",
        )
    ratings = label_values(table.frame[roles.label[0]])
    return None if ratings.dtype.kind in "biuf" and len(np.unique(ratings)) == 1 else ratings


def _notes_of_negatives(choices: int, drawn: int, description: SourceDescription) -> list[str]:
    drawing = (
        f"All {choices} rows are choices, so {drawn} items that the same users did not choose "
        f"were drawn as negatives (seed {description.seed})."
    )
    notes = [drawing]
    if drawn < choices * description.negatives:
        notes.append("Some users chose nearly every item, and got fewer negatives than asked for.")
    return notes
