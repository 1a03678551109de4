"""A user's own data in a NumPy ``.npz`` file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset, Split, stratified_splits
from agiwb.errors import DatasetError

_LAYOUT = (
    "It should hold `x` and `y`, or `x_train`, `y_train`, `x_test` and `y_test` "
    "(and optionally `x_validation` and `y_validation`): numbers of shape (examples, …) "
    "and integer labels of shape (examples,)."
)
_SHARES = (0.15, 0.2)


def load_npz(path: Path) -> Dataset:
    """Return the data set in ``path``; a split the user made is respected.

    Every array besides the features and labels that is named ``slice_<column>_<split>`` (or
    ``slice_<column>`` where the file has one split) becomes a slice column.

    Raises:
        DatasetError: The file cannot be read, or has no labels, or its arrays do not fit.
    """
    arrays = _read(path)
    if "x" in arrays:
        whole = _split(path, arrays, "")
        train, validation, test = stratified_splits(whole, _SHARES)
    else:
        train, test = _split(path, arrays, "_train"), _split(path, arrays, "_test")
        if "x_validation" in arrays:
            validation = _split(path, arrays, "_validation")
        else:
            train, validation, _ = _carve_validation(train)
    _check_agreement(path, train, validation, test)
    highest = int(max(part.labels.max() for part in (train, validation, test)))
    if highest >= len(train) + len(validation) + len(test):
        raise DatasetError(
            f"In {path}, a label is {highest}, which would make {highest + 1} classes.",
            "Number the classes from 0 without gaps.",
        )
    scale = float(np.abs(train.features).max()) or 1.0
    classes = tuple(str(label) for label in range(highest + 1))
    return Dataset(path.stem, classes, scale, train, validation, test)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise DatasetError(f"There is no file {path}.", "Check the path.") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise DatasetError(f"The file {path} is not a readable .npz: {error}.", _LAYOUT) from None


def _split(path: Path, arrays: dict[str, NDArray[Any]], suffix: str) -> Split:
    for name in (f"x{suffix}", f"y{suffix}"):
        if name not in arrays:
            kind = "labels" if name.startswith("y") else "features"
            found = ", ".join(sorted(arrays)) or "nothing"
            raise DatasetError(
                f"The file {path} has no {kind}: `{name}` is missing among {found}.", _LAYOUT
            )
    features, labels = arrays[f"x{suffix}"], arrays[f"y{suffix}"]
    if features.ndim == 0 or not np.issubdtype(features.dtype, np.number):
        raise DatasetError(f"In {path}, `x{suffix}` holds {features.dtype}, not numbers.", _LAYOUT)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DatasetError(
            f"In {path}, `y{suffix}` holds {labels.dtype} of shape {labels.shape}.", _LAYOUT
        )
    if len(features) != len(labels) or len(labels) == 0:
        raise DatasetError(
            f"In {path}, `x{suffix}` has {len(features)} examples and `y{suffix}` {len(labels)}.",
            _LAYOUT,
        )
    if labels.min() < 0:
        row = int(labels.argmin())
        raise DatasetError(f"In {path}, `y{suffix}` is {labels[row]} in row {row}.", _LAYOUT)
    features = features.astype(np.float32)  # which may turn a huge number into infinity
    if not np.isfinite(features).all():
        row = int(np.argwhere(~np.isfinite(features.reshape(len(features), -1)).all(axis=1))[0][0])
        raise DatasetError(
            f"In {path}, `x{suffix}` holds NaN or infinity in row {row}.", "Clean the data first."
        )
    columns = _slice_columns(path, arrays, suffix, labels)
    return Split(features, labels.astype(np.int64), columns)


def _slice_columns(
    path: Path, arrays: dict[str, NDArray[Any]], suffix: str, labels: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    columns = {
        name.removeprefix("slice_").removesuffix(suffix): values.astype(str)
        for name, values in arrays.items()
        if name.startswith("slice_") and name.endswith(suffix)
    }
    for name, values in columns.items():
        if values.shape != labels.shape:
            raise DatasetError(
                f"In {path}, the slice column `{name}` has shape {values.shape} for "
                f"{len(labels)} examples.",
                _LAYOUT,
            )
    return columns


def _carve_validation(train: Split) -> tuple[Split, Split, Split]:
    """Return train and validation from the user's own training split, test left alone."""
    count = max(1, round(len(train) * _SHARES[0]))
    order = np.random.default_rng(0).permutation(len(train))
    return train.take(order[count:]), train.take(order[:count]), train.take(order[:0])


def _check_agreement(path: Path, *splits: Split) -> None:
    shapes = {part.features.shape[1:] for part in splits}
    if len(shapes) > 1:
        raise DatasetError(f"In {path}, the splits have examples of shapes {shapes}.", _LAYOUT)
    if any(len(part) == 0 for part in splits):
        raise DatasetError(f"In {path}, a split is empty.", _LAYOUT)
