"""The data of each fold of a trial, and the data of the final fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from agiwb.datasets.dataset import Dataset, Split
from agiwb.errors import DatasetError
from agiwb.training.pipeline import is_streamed


def fold_data(data: Dataset, folds: int, seed: int) -> Iterator[Dataset]:
    """Yield the data of each fold: each in turn is the validation split, the others train.

    The folds are drawn from train and validation together, with the proportions of the classes
    kept if each example has one. A single fold is the data set as it is. The test split is left
    out of it all.

    Raises:
        DatasetError: A class has fewer examples than there are folds, or the data stay on disk.
    """
    if folds == 1:
        yield data
        return
    from sklearn.model_selection import KFold, StratifiedKFold

    require_folds(data, folds)
    whole = together(data)
    strata = whole.labels if np.issubdtype(whole.labels.dtype, np.integer) else None
    splitter = KFold if strata is None else StratifiedKFold
    drawn = splitter(folds, shuffle=True, random_state=seed)
    for rest, held_out in drawn.split(np.arange(len(whole)), strata):
        yield dataclasses.replace(data, train=whole.take(rest), validation=whole.take(held_out))


def require_folds(data: Dataset, folds: int) -> None:
    """Raise DatasetError unless ``data`` can be divided into so many folds."""
    if folds == 1:
        return
    if is_streamed(data.train):
        raise DatasetError(
            f"The examples of {data.name} stay on disk, and folds are drawn in memory.",
            "Use `folds: 1`, or a sample of the data.",
        )
    labels = np.concatenate([data.train.labels, data.validation.labels])
    if not np.issubdtype(labels.dtype, np.integer):
        values, counts = np.zeros(1, int), np.array([len(labels)])
    else:
        values, counts = np.unique(labels, return_counts=True)
    rarest = int(counts.argmin())
    if counts[rarest] < folds:
        whose = f"`{data.classes[values[rarest]]}`" if data.classes else "the data set"
        raise DatasetError(
            f"{folds} folds need as many examples of each class, and {whose} of {data.name} has "
            f"{counts[rarest]} in train and validation.",
            f"Use at most `folds: {max(1, int(counts[rarest]))}`.",
        )


def together(data: Dataset) -> Split:
    """Return train and validation as one split, in this order."""
    train, validation = data.train, data.validation
    return Split(
        np.concatenate([train.features, validation.features]),
        np.concatenate([train.labels, validation.labels]),
        {
            name: np.concatenate([column, validation.slices[name]])
            for name, column in train.slices.items()
        },
    )
