"""What each column of a table is for: named by the user, or told by its name and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.columns import is_nested, is_sliceable, share_of_numbers, texts_of
from agiwb.datasets.description import SourceDescription
from agiwb.datasets.labels import FEW
from agiwb.datasets.source import require_kind
from agiwb.datasets.splitting import SPLIT_WORDS
from agiwb.errors import ConfigError, DatasetError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from agiwb.datasets.table import TableFile

_USUAL_LABELS = ("label", "target", "class", "y")
_USUAL_RATINGS = ("rating", *_USUAL_LABELS)
_WORDS_OF_A_TEXT = 3


@dataclass(frozen=True)
class Roles:
    """The columns of a table by what they are for, and in sentences what was left out.

    Attributes:
        kind: What an example is.
        features: For text the one column of texts; for pairs those of users and items.
        label: None for interactions that are all choices.
        split: The column of the user's own split.
        slices: Columns to slice metrics by.
        notes: What was left out, and why.
    """

    kind: Literal["table", "text", "pairs"]
    features: tuple[str, ...]
    label: tuple[str, ...]
    split: str | None
    slices: tuple[str, ...]
    notes: tuple[str, ...]


def choose_roles(table: TableFile, description: SourceDescription) -> Roles:
    """Return what each column is for.

    Raises:
        DatasetError: A column that is named is missing, or the label is neither named nor told by
            its name, or no column is left to predict from.
        ConfigError: A column is given two roles, or a kind that a table cannot be.
    """
    require_kind(description, "table", "text", "pairs")
    _require_columns(table, description)
    pair = _pair(table, description)
    label = description.label or _usual_label(table, pair)
    split = description.split or _usual_split(table)
    taken = {*label, *([split] if split else [])}
    doubled = sorted(taken & {*description.features, *pair, description.text})
    if doubled:
        raise ConfigError(
            f"The column `{doubled[0]}` cannot be both a feature and the label or split.",
            "Give it one role.",
        )
    rest = tuple(name for name in table.frame.columns if name not in taken)
    told, notes = _telling(table, rest)
    slices = description.slices or tuple(
        name for name in told if name not in pair and is_sliceable(texts_of(table.frame[name]))
    )
    if pair:
        others = [name for name in told if name not in pair and name not in slices]
        unused = [f"The column `{name}` is not used: a pair is a user and an item."
                  for name in others]  # fmt: skip
        return Roles("pairs", pair, label, split, slices, tuple(unused))
    texts = _texts(table, description, told, rest)
    if texts:
        unused = [f"The column `{name}` is not used: an example is the text `{texts}`."
                  for name in told if name not in {texts, *slices}]  # fmt: skip
        slices = tuple(name for name in slices if name != texts)
        return Roles("text", (texts,), label, split, slices, tuple(unused))
    if description.features:
        return Roles("table", description.features, label, split, slices, ())
    # A text of its own in each row tells rows apart, not classes.
    unique = [name for name in told if _is_unique_text(table.frame[name])]
    notes += [_left_out(name, "it has another text in each row") for name in unique]
    features = tuple(name for name in told if name not in unique)
    if not features:
        raise DatasetError(
            f"The file {table.path} has no column to predict from. {' '.join(notes)}".strip(),
            "Add one, or name it with `features`.",
        )
    return Roles("table", features, label, split, slices, tuple(notes))


def roles_on_disk(
    description: SourceDescription, table: TableFile, array: str | None, notes: list[str]
) -> Roles:
    """Return the roles of the columns of data that may stay on disk; add what to say to ``notes``.

    Args:
        description: What the user said.
        table: Rows to judge by.
        array: The column that is an array, and then the only feature; None for a table.
        notes: In sentences, what was inferred or left out.

    Raises:
        DatasetError: The rows are interactions.
    """
    if array is not None:
        description = description.model_copy(update={"features": (array,), "kind": None})
    roles = choose_roles(table, description)
    if roles.kind == "pairs":
        raise DatasetError(
            f"Interactions are read into memory, and {description.path} is large for that.",
            "Give `stream: never` if memory suffices.",
        )
    notes += roles.notes
    return roles


def _require_columns(table: TableFile, description: SourceDescription) -> None:
    names = [str(name) for name in table.frame.columns]
    asked = {
        "label": description.label,
        "features": description.features,
        "slices": description.slices,
        "text": (description.text,),
        "user": (description.user,),
        "item": (description.item,),
        "split": (description.split,),
    }
    for role, wanted in asked.items():
        for name in wanted:
            if name is not None and name not in names:
                raise DatasetError(
                    f"The file {table.path} has no column `{name}` for `{role}`.",
                    did_you_mean(name, names),
                )


def _pair(table: TableFile, description: SourceDescription) -> tuple[str, ...]:
    """Return the columns of users and items, if the table is one of interactions."""
    wanted = description.kind == "pairs" or description.user or description.item
    if not wanted and (description.kind or description.features or description.text):
        return ()
    user = description.user or _called(table, "user")
    item = description.item or _called(table, "item")
    if user and item:
        if user == item:
            raise ConfigError("`user` and `item` are the same column.", "Name two columns.")
        return (user, item)
    if wanted:
        missing = "item" if user else "user"
        raise DatasetError(
            f"The file {table.path} has no column `{missing}`.",
            f"Name it with `{missing}`. Columns: {', '.join(table.frame.columns)}.",
        )
    return ()


def _called(table: TableFile, noun: str) -> str | None:
    """Return the column called ``noun`` or ``<noun>_id``, however it is spelt."""
    for name in table.frame.columns:
        if str(name).lower().replace("_", "").replace(" ", "") in {noun, f"{noun}id"}:
            return str(name)
    return None


def _usual_label(table: TableFile, pair: tuple[str, ...]) -> tuple[str, ...]:
    by_name = {str(name).strip().lower(): str(name) for name in table.frame.columns}
    for usual in _USUAL_RATINGS if pair else _USUAL_LABELS:
        if usual in by_name:
            return (by_name[usual],)
    if pair:
        return ()
    raise DatasetError(
        f"The file {table.path} has no column `label`.",
        f"Name the column to predict with `label`: {', '.join(map(str, table.frame.columns))}.",
    )


def _usual_split(table: TableFile) -> str | None:
    """Return the column called split, if it says train, validation or test throughout."""
    for name in table.frame.columns:
        if str(name).strip().lower() == "split":
            words = {str(word).strip().lower() for word in table.frame[name].unique()}
            if words <= SPLIT_WORDS.keys():
                return str(name)
    return None


def _telling(table: TableFile, names: tuple[str, ...]) -> tuple[tuple[str, ...], list[str]]:
    """Return the columns that can tell something, and a sentence for each that cannot."""
    told, notes = [], []
    for name in names:
        column = table.frame[name]
        if is_nested(column):
            notes.append(_left_out(name, "it holds lists or objects"))
        elif len(np.unique(texts_of(column))) < 2:
            notes.append(_left_out(name, "it has the same value in each row"))
        elif _is_running_number(column):
            notes.append(_left_out(name, "it only numbers the rows"))
        else:
            told.append(name)
    return tuple(told), notes


def _left_out(name: str, reason: str) -> str:
    return f"The column `{name}` is left out: {reason}."


def _is_running_number(column: pd.Series[Any]) -> bool:
    values = column.to_numpy()
    return values.dtype.kind in "iu" and len(values) > FEW and bool((np.diff(values) == 1).all())


def _is_unique_text(column: pd.Series[Any]) -> bool:
    """Return whether each row has a text of its own; in a few rows that may be chance."""
    texts = texts_of(column)
    if len(texts) <= FEW or share_of_numbers(column) > 0.5:
        return False
    return len(np.unique(texts)) == len(texts)


def _texts(
    table: TableFile, description: SourceDescription, told: tuple[str, ...], rest: tuple[str, ...]
) -> str | None:
    """Return the column of texts, if the table is one of labelled texts."""
    if description.text:
        return description.text
    if description.kind == "text":
        columns = description.features or tuple(
            name for name in told if share_of_numbers(table.frame[name]) < 1
        )
        if len(columns) == 1:
            return columns[0]
        raise DatasetError(
            f"The file {table.path} has {len(columns)} columns of text.",
            f"Name one with `text`: {', '.join(map(str, rest))}.",
        )
    if description.kind or description.features:
        return None
    # An identifier beside the texts is one word a row; a text is several.
    prose = [name for name in told if _reads_as_text(table.frame[name])]
    others = [
        name
        for name in told
        if name not in prose and not _is_unique_text(table.frame[name])
    ]  # fmt: skip
    return prose[0] if len(prose) == 1 and not others else None


def _reads_as_text(column: pd.Series[Any]) -> bool:
    """Return whether a column's texts are mostly different and have several words each."""
    if share_of_numbers(column) == 1:
        return False
    texts: NDArray[Any] = texts_of(column)
    words = np.mean([len(text.split()) for text in texts])
    return bool(words >= _WORDS_OF_A_TEXT) and len(np.unique(texts)) * 2 > len(texts)
