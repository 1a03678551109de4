"""Examples as what can be compared: numbers, categories, and a place in space for each row.

An array is its values, a table its columns; a text is its length, the words that training never
had, and its n-grams (see ``texts``).
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import CLASSIFYING, Dataset
from agiwb.errors import DatasetError
from agiwb.monitoring.drift import feature_names
from agiwb.monitoring.quality import QualityFinding, check_quality, unlike_any
from agiwb.monitoring.texts import TextDescription
from agiwb.monitoring.two_sample import embed

Numbers = NDArray[np.float32]
Categories = dict[str, NDArray[Any]]
_MOST_CATEGORIES = 50
"""Of one column, that have a dimension of their own in ``embedded``."""
MOST_COLUMNS = 40
"""Values of an array above which they are taken for pixels."""


class Description(Protocol):
    """How the examples of one data set are described; its training split is the reference."""

    names: tuple[str, ...]
    """Of the numbers."""
    reference: Numbers
    """The numbers of the training split, shape ``(rows, names)``."""
    undoable: bool
    """Whether a number can be put back into an example, to ask the model again."""

    def numbers(self, features: NDArray[Any]) -> Numbers:
        """Return the numbers of some examples, shape ``(rows, names)``."""

    def categories(self, features: NDArray[Any]) -> Categories:
        """Return the columns of text by name, objects of shape ``(rows,)``."""

    def embedded(self, *others: NDArray[Any]) -> tuple[NDArray[np.float64], ...]:
        """Return the training split, and others, as points; rows that have none are left out."""

    def with_number(self, features: NDArray[Any], place: int, values: NDArray[Any]) -> NDArray[Any]:
        """Return the examples with other values of one number."""

    def quality(self, features: NDArray[Any], rate: float) -> tuple[QualityFinding, ...]:
        """Return what is wrong with some examples; see ``check_quality``."""

    def unusable(self, features: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which examples no drift explains, and nothing can be learnt from: ``(rows,)``."""


def is_describable(data: Dataset) -> bool:
    """Return whether examples are arrays, rows of a table or texts, each of one class.

    Nobody needs the rows for that.
    """
    known = data.features_are_numbers or data.kind in {"table", "text"}
    return known and data.task in CLASSIFYING


def require_describable(data: Dataset, purpose: str, instead: str) -> None:
    """Raise DatasetError unless a data set ``is_describable``.

    Args:
        data: What a model was trained on.
        purpose: What needs that, as the subject of a sentence: "Monitoring".
        instead: What to do about it.
    """
    if not is_describable(data):
        raise DatasetError(
            f"{purpose} takes arrays, tables and texts, each of one class; the data set "
            f"{data.name} is {data.kind} for {data.task}.",
            instead,
        )


def describe(data: Dataset) -> Description:
    """Return how the examples of a data set are described."""
    if data.kind == "text":
        return TextDescription(data.train.features)
    if data.kind == "table":
        return TableDescription(data.train.features)
    return ArrayDescription(data)


class ArrayDescription:
    """An array of numbers: each of its values is one."""

    undoable = True

    def __init__(self, data: Dataset) -> None:
        self._train = data.train.features
        self.names = feature_names(data.feature_shape)
        self.reference = self.numbers(self._train)

    def numbers(self, features: NDArray[Any]) -> Numbers:
        """Return each example flattened."""
        return features.reshape(len(features), len(self.names))

    def categories(self, features: NDArray[Any]) -> Categories:
        """Return nothing: an array has no columns of text."""
        return {}

    def embedded(self, *others: NDArray[Any]) -> tuple[NDArray[np.float64], ...]:
        """Return the principal components."""
        return embed(self._train, *others)

    def with_number(self, features: NDArray[Any], place: int, values: NDArray[Any]) -> NDArray[Any]:
        """Return copies in which one value is another."""
        changed = self.numbers(features).copy()
        changed[:, place] = values
        return changed.reshape(features.shape)

    def quality(self, features: NDArray[Any], rate: float) -> tuple[QualityFinding, ...]:
        """Return what is wrong with the values."""
        return check_quality(self.reference, self.numbers(features), self.names, rate)

    def unusable(self, features: NDArray[Any]) -> NDArray[np.bool_]:
        """Return the examples with a value that is no number, or far from all in training.

        Pixels share one range: one that was always dark may be bright after a drift.
        """
        pixels = len(self.names) > MOST_COLUMNS
        return unlike_any(self.reference, self.numbers(features), one_range=pixels)


class TableDescription:
    """A table: its columns of numbers, and its columns of text as categories."""

    undoable = True

    def __init__(self, train: NDArray[Any]) -> None:
        columns = train.dtype.names or ()
        self.names = tuple(name for name in columns if train.dtype[name].kind == "f")
        self._texts = tuple(name for name in columns if name not in self.names)
        self.reference = self.numbers(train)
        self._train = train
        self._known = {
            name: [text for text, _ in Counter(train[name].tolist()).most_common(_MOST_CATEGORIES)]
            for name in self._texts
        }
        with np.errstate(invalid="ignore"):
            finite = np.where(np.isfinite(self.reference), self.reference, np.nan)
        self._middle = _of_columns(finite, np.nanmean, 0.0)
        spread = _of_columns(finite, np.nanstd, 1.0)
        self._spread = np.where(spread > 0, spread, 1.0)

    def numbers(self, features: NDArray[Any]) -> Numbers:
        """Return the columns of numbers; NaN where one is missing."""
        made = np.empty((len(features), len(self.names)), np.float32)
        for place, name in enumerate(self.names):
            made[:, place] = features[name]
        return made

    def categories(self, features: NDArray[Any]) -> Categories:
        """Return the columns of text."""
        return {name: features[name] for name in self._texts}

    def embedded(self, *others: NDArray[Any]) -> tuple[NDArray[np.float64], ...]:
        """Return the principal components of standardised numbers, gaps and categories."""
        return embed(self._space(self._train), *map(self._space, others))

    def with_number(self, features: NDArray[Any], place: int, values: NDArray[Any]) -> NDArray[Any]:
        """Return copies in which one column is another."""
        changed = features.copy()
        changed[self.names[place]] = values
        return changed

    def quality(self, features: NDArray[Any], rate: float) -> tuple[QualityFinding, ...]:
        """Return what is wrong with the columns of numbers."""
        return check_quality(self.reference, self.numbers(features), self.names, rate)

    def unusable(self, features: NDArray[Any]) -> NDArray[np.bool_]:
        """Return the rows with a number far from all in training, or none where all have one.

        A category that is new is news, and no fault.
        """
        return unlike_any(self.reference, self.numbers(features))

    def _space(self, features: NDArray[Any]) -> NDArray[np.float64]:
        numbers = self.numbers(features).astype(np.float64)
        missing = ~np.isfinite(numbers)
        standardised = np.where(missing, 0.0, (numbers - self._middle) / self._spread)
        parts = [np.clip(standardised, -10, 10), missing.astype(np.float64)]
        parts += [one_hot(features[name], known) for name, known in self._known.items()]
        return np.concatenate(parts, axis=1)


def one_hot(column: NDArray[Any], known: list[str]) -> NDArray[np.float64]:
    """Return which of the known categories each row has, shape ``(rows, known)``."""
    place = {text: index for index, text in enumerate(known)}
    found = np.array([place.get(text, -1) for text in column.tolist()], np.int64)
    return np.asarray(found[:, None] == np.arange(len(known)), np.float64)


def _of_columns(values: NDArray[Any], figure: Any, otherwise: float) -> NDArray[np.float64]:
    """Return a figure of each column, ``otherwise`` for one without a finite value."""
    has = np.isfinite(values).any(axis=0)
    found = np.full(values.shape[1], otherwise)
    if has.any():
        found[has] = figure(values[:, has].astype(np.float64), axis=0)
    return found
