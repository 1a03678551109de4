"""The three splits of a user's data: their own, or drawn with the classes' proportions kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import SplitName, stratified_parts
from agiwb.datasets.labels import Labels
from agiwb.errors import DatasetError

VALIDATION_SHARE, TEST_SHARE = 0.15, 0.2
"""Shares of all examples that validation and test get, where the user has no split."""

SPLIT_WORDS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""What people call the splits, in small letters."""

Rows = NDArray[np.intp]


def draw_splits(
    labels: Labels, own: NDArray[np.str_] | None, seed: int, place: Callable[[int], str]
) -> tuple[tuple[Rows, Rows, Rows], tuple[str, ...]]:
    """Return the rows of train, validation and test, and in sentences what was drawn.

    A split of the user's own is respected; what it lacks is drawn from its training examples.
    Draws are seeded, and keep the proportions of the classes if each example has one.

    Args:
        labels: The labels of all examples.
        own: The split of each example, if the user chose.
        seed: Equal seeds give equal splits.
        place: Says where an example came from.

    Raises:
        DatasetError: A class has too few examples to be split.
    """
    if own is None:
        _require_enough(labels, np.arange(len(labels.values)), 3, place)
        return stratified_parts(labels.values, (VALIDATION_SHARE, TEST_SHARE), seed), ()
    train, validation, test = (
        np.flatnonzero(own == name) for name in ("train", "validation", "test")
    )
    notes = []
    if len(test) == 0:
        train, test = _carve(labels, train, TEST_SHARE, seed, place)
        notes.append(f"There was no test split: {len(test)} training examples were drawn for it.")
    if len(validation) == 0:
        train, validation = _carve(labels, train, VALIDATION_SHARE, seed, place)
        notes.append(
            f"There was no validation split: {len(validation)} training examples were drawn for it."
        )
    return (train, validation, test), tuple(notes)


def require_training_examples(own: NDArray[np.str_], place: Callable[[int], str]) -> None:
    """Raise DatasetError if the user's own split leaves nothing to learn from."""
    if not (own == "train").any():
        raise DatasetError(
            f"The split given has no training examples: the first example ({place(0)}) is for "
            f"{own[0]}.",
            "Add some, or leave the split away to have it drawn.",
        )


def _carve(
    labels: Labels, rows: Rows, share: float, seed: int, place: Callable[[int], str]
) -> tuple[Rows, Rows]:
    """Return ``rows`` in two: what is left, and ``share`` of them drawn at random."""
    from sklearn.model_selection import train_test_split

    _require_enough(labels, rows, 2, place)
    values = labels.values[rows]
    strata = values if np.issubdtype(values.dtype, np.integer) else None
    try:
        rest, drawn = train_test_split(rows, test_size=share, stratify=strata, random_state=seed)
    except ValueError as error:
        raise DatasetError(
            f"The {len(rows)} training examples cannot be split by class: {error}",
            "Give more of each class, or a validation split of your own.",
        ) from None
    return rest, drawn


def _require_enough(labels: Labels, rows: Rows, least: int, place: Callable[[int], str]) -> None:
    """Raise DatasetError naming the first class that cannot be in every split."""
    values = labels.values[rows]
    if not np.issubdtype(values.dtype, np.integer):
        return
    for value, count in zip(*np.unique(values, return_counts=True), strict=True):
        if count < least:
            first = rows[values == value][0]
            raise DatasetError(
                f"The {len(rows)} examples cannot be split by class: `{labels.classes[value]}` has "
                f"only {count} (in {place(int(first))}).",
                "Each class needs examples for train, validation and test: give at least ten.",
            )
