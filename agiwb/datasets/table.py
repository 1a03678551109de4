"""A table as a data set: of rows with named columns, of labelled texts, or of interactions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.columns import label_values, slice_columns, structured, texts_of
from agiwb.datasets.description import SourceDescription
from agiwb.datasets.pairs import source_of_interactions
from agiwb.datasets.roles import Roles, choose_roles
from agiwb.datasets.source import Examples, Source, assemble
from agiwb.datasets.splitting import SPLIT_WORDS
from agiwb.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TableFile:
    """A table as read: its columns, and the number that each row has in the file."""

    path: Path
    frame: pd.DataFrame
    rows: NDArray[np.int64]

    def place(self, index: int) -> str:
        """Return the file and row of an example."""
        return f"{self.path}, row {self.rows[index]}"


def source_of_table(description: SourceDescription, table: TableFile) -> Source:
    """Return the data set that a table holds: kind table, text or pairs.

    Raises:
        DatasetError: A column is missing, or a value does not fit; file and row are named.
        ConfigError: The description contradicts itself.
    """
    roles = choose_roles(table, description)
    own_split = None if roles.split is None else _own_split(table, roles.split)
    slices = slice_columns(table, roles.slices)
    if roles.kind == "pairs":
        return source_of_interactions(description, table, roles, own_split, slices)
    notes = list(roles.notes)
    features: NDArray[Any]
    if roles.kind == "text":
        features = texts_of(table.frame[roles.features[0]])
        empty = int((features == "").sum())
        notes += [f"{empty} texts are empty."] if empty else []
    else:
        features = structured(table, roles.features, notes)
    return assemble(
        description,
        Examples(
            kind=roles.kind,
            features=features,
            labels=_labels(table, roles),
            place=table.place,
            own_split=own_split,
            slices=slices,
            label_names=roles.label,
            scale=1.0,
            notes=tuple(notes),
        ),
    )


def _labels(table: TableFile, roles: Roles) -> NDArray[Any]:
    columns = [label_values(table.frame[name]) for name in roles.label]
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)


def _own_split(table: TableFile, column: str) -> NDArray[Any]:
    """Return the user's own split of each example, as train, validation or test."""
    words = texts_of(table.frame[column])
    distinct, position = np.unique(words, return_inverse=True)
    names = [SPLIT_WORDS.get(word.strip().lower(), "") for word in distinct]
    for word, name in zip(distinct, names, strict=True):
        if not name:
            row = int(np.flatnonzero(words == word)[0])
            raise DatasetError(
                f"In {table.place(row)}, the split `{column}` is {word!r}.",
                "It should be train, validation or test.",
            )
    return np.array(names)[position]
