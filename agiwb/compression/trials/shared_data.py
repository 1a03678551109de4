"""A data set on disk, for processes that share its memory: arrays that are mapped, not copied."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset, Split, SplitName

_NAMES: tuple[SplitName, ...] = ("train", "validation", "test")


def share(data: Dataset, folder: Path) -> Dataset:
    """Write the arrays of ``data`` into ``folder``; return the data set without its examples.

    Raises:
        OSError: There is no room.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    bare: dict[SplitName, Split] = {}
    for name in _NAMES:
        split = data[name]
        np.save(folder / f"{name}_features.npy", split.features, allow_pickle=False)
        np.save(folder / f"{name}_labels.npy", split.labels, allow_pickle=False)
        bare[name] = Split(np.empty((0, *data.feature_shape), np.float32), split.labels[:0])
    return _with_splits(data, bare)


def open_shared(data: Dataset, folder: Path) -> Dataset:
    """Return ``data`` with the examples that ``share`` wrote into ``folder``, read-only."""
    splits = {
        name: Split(_mapped(folder, name, "features"), _mapped(folder, name, "labels"))
        for name in _NAMES
    }
    return _with_splits(data, splits)


def cast_features(data: Dataset, dtype: str) -> Dataset:
    """Return ``data`` with features of ``dtype``: files of models of tokens take only integers."""
    return _with_splits(
        data,
        {
            name: replace(data[name], features=data[name].features.astype(dtype, copy=False))
            for name in _NAMES
        },
    )


def _with_splits(data: Dataset, splits: dict[SplitName, Split]) -> Dataset:
    return replace(
        data, train=splits["train"], validation=splits["validation"], test=splits["test"]
    )


def _mapped(folder: Path, name: SplitName, part: str) -> NDArray[Any]:
    mapped = np.load(folder / f"{name}_{part}.npy", mmap_mode="r", allow_pickle=False)
    plain: NDArray[Any] = mapped.view(np.ndarray)
    return plain
