"""The folds of a cross-validation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from agiwb.datasets.dataset import Dataset, Split
from agiwb.datasets.registry import load_dataset
from agiwb.errors import DatasetError
from agiwb.training.search.folds import fold_data, together


def numbered(classes: int = 3) -> Dataset:
    """Return data whose features tell one example from another."""

    def split(first: int, count: int) -> Split:
        rows = np.arange(first, first + count, dtype=np.float32)
        labels = (rows % classes).astype(np.int64)
        return Split(rows[:, np.newaxis], labels, {"half": (rows > 30).astype(str)})

    names = tuple("abc"[:classes])
    return Dataset("numbered", names, 1.0, split(0, 60), split(60, 30), split(90, 30))


def test_each_example_is_held_out_once_and_the_test_split_never() -> None:
    data = numbered()
    folds = list(fold_data(data, 3, seed=0))
    held_out = np.concatenate([fold.validation.features for fold in folds]).ravel()
    assert sorted(held_out) == list(range(90))
    for fold in folds:
        seen = np.concatenate([fold.train.features, fold.validation.features]).ravel()
        assert sorted(seen) == list(range(90))
        assert fold.test is data.test
        assert (np.bincount(fold.validation.labels) == 10).all()
        expected = (fold.validation.features[:, 0] > 30).astype(str)
        assert (fold.validation.slices["half"] == expected).all()


def test_the_seed_decides_the_folds() -> None:
    def first(seed: int) -> list[float]:
        return list(next(fold_data(numbered(), 3, seed)).validation.features.ravel())

    assert first(1) == first(1) != first(2)


def test_one_fold_is_the_data_set_as_it_is() -> None:
    data = numbered()
    assert list(fold_data(data, 1, seed=0)) == [data]


def test_labels_that_are_numbers_are_drawn_without_regard_to_them() -> None:
    data = numbered()
    spread = {
        name: dataclasses.replace(split, labels=split.labels + np.float32(0.5))
        for name, split in data.splits.items()
    }
    numbers = dataclasses.replace(data, classes=(), task="regression", **spread)
    held_out = [fold.validation.features.ravel() for fold in fold_data(numbers, 4, seed=0)]
    assert sorted(np.concatenate(held_out)) == list(range(90))


def test_too_many_folds_for_the_rarest_class_are_refused() -> None:
    data = load_dataset("digits")
    with pytest.raises(DatasetError, match=r"500 folds need .* Use at most `folds: 1\d\d`"):
        next(fold_data(data, 500, seed=0))


def test_train_and_validation_go_together_in_order() -> None:
    whole = together(numbered())
    assert list(whole.features.ravel()) == list(range(90))
    assert len(whole.slices["half"]) == len(whole.labels) == 90
