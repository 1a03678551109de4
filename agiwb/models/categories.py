"""Names as vectors: the columns of a table that hold text, users and items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

_UNKNOWN = "[UNK]"
"""What Keras calls a name that it was not shown; a category of that name is one of them."""


def most_frequent(values: Iterable[object], limit: int) -> list[str]:
    """Return at most ``limit`` distinct values as text, most frequent first, ties by name."""
    counts = Counter(str(value) for value in values)
    counts.pop(_UNKNOWN, None)
    return sorted(counts, key=lambda name: (-counts[name], name))[:limit]


def embedded(
    column: keras.KerasTensor, vocabulary: list[str], width: int, name: str
) -> keras.KerasTensor:
    """Return a vector for each name in ``column``: float ``(batch, width)``.

    Args:
        column: Strings, ``(batch,)``.
        vocabulary: The names that are told apart; all others share one vector. It is kept in the
            model's config, so that a copy made from the config knows it too.
        width: Size of a vector.
        name: Begins the names of the layers.
    """
    from keras import layers

    # With no name at all, as of a column without values, Keras would ask to be adapted.
    index = layers.StringLookup(vocabulary=vocabulary or [""], name=f"{name}_index")(column)
    rows = max(1, len(vocabulary)) + 1
    return layers.Embedding(rows, width, name=f"{name}_embedding")(index)
