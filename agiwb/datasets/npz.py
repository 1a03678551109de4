"""A user's own data in a NumPy ``.npz`` file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Kind
from agiwb.datasets.description import SourceDescription
from agiwb.datasets.source import Examples, Progress, Source, assemble, require_kind
from agiwb.errors import DatasetError

_LAYOUT = (
    "It should hold `x` and `y`, or `x_train`, `y_train`, `x_test` and `y_test` "
    "(and optionally `x_validation` and `y_validation`): numbers of shape (examples, …) "
    "and labels of shape (examples,): whole numbers for classes, others to regress on; or of "
    "shape (examples, labels): 0 and 1 for multilabel."
)
_KIND_OF_DIMENSIONS: dict[int, Kind] = {3: "image", 4: "image"}

Arrays = dict[str, NDArray[Any]]


def load_npz(description: SourceDescription, progress: Progress) -> Source:
    """Return the data set in an ``.npz``; a split the user made is respected.

    Features of shape (examples, height, width[, channels]) are images, or sequences of shape
    (examples, steps, channels) if the user says so; others are arrays. Whole numbers are indices
    of classes. Every array besides the features and labels that is named
    ``slice_<column>_<split>`` (or ``slice_<column>`` where the file has one split) becomes a
    slice column.

    Raises:
        DatasetError: The file cannot be read, or has no labels, or its arrays do not fit.
    """
    path = description.path
    arrays = _read(path)
    if "x" in arrays:
        suffixes = [""]
    else:
        suffixes = ["_train", "_validation", "_test"]
        suffixes = [s for s in suffixes if s != "_validation" or "x_validation" in arrays]
    parts = [_part(path, arrays, suffix) for suffix in suffixes]
    _check_agreement(path, parts)
    x, y = (np.concatenate([part[name] for part in parts]) for name in ("x", "y"))
    counts = [len(part["y"]) for part in parts]
    rows = np.concatenate([np.arange(count) for count in counts])
    owners = np.repeat(suffixes, counts)
    return assemble(
        description,
        Examples(
            kind=_kind(description, x),
            features=x,
            labels=y,
            place=lambda index: f"{path}, row {rows[index]} of `y{owners[index]}`",
            own_split=None if suffixes == [""] else np.char.lstrip(owners, "_"),
            slices={
                name: np.concatenate([part[name] for part in parts])
                for name in parts[0]
                if name not in {"x", "y"}
            },
            labels_are_indices=True,
        ),
    )


def _kind(description: SourceDescription, x: NDArray[Any]) -> Kind:
    natural = _KIND_OF_DIMENSIONS.get(x.ndim, "array")
    possible: set[Kind] = {"array", natural} | ({"sequence"} if x.ndim == 3 else set())
    require_kind(description, *sorted(possible))
    return description.kind or natural


def _read(path: Path) -> Arrays:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise DatasetError(f"There is no file {path}.", "Check the path.") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise DatasetError(f"The file {path} is not a readable .npz: {error}.", _LAYOUT) from None


def _part(path: Path, arrays: Arrays, suffix: str) -> Arrays:
    """Return ``x``, ``y`` and the slice columns of one split."""
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
    if labels.ndim not in {1, 2} or labels.dtype.kind not in "biufU":
        raise DatasetError(
            f"In {path}, `y{suffix}` holds {labels.dtype} of shape {labels.shape}.", _LAYOUT
        )
    if len(features) != len(labels) or len(labels) == 0:
        raise DatasetError(
            f"In {path}, `x{suffix}` has {len(features)} examples and `y{suffix}` {len(labels)}.",
            _LAYOUT,
        )
    with np.errstate(over="ignore"):  # a number too large for 32 bits is refused as infinity
        features = features.astype(np.float32)
    if not np.isfinite(features).all():
        row = int(np.argwhere(~np.isfinite(features.reshape(len(features), -1)).all(axis=1))[0][0])
        raise DatasetError(
            f"In {path}, `x{suffix}` holds NaN or infinity in row {row}.", "Clean the data first."
        )
    if labels.dtype.kind == "b":
        labels = labels.astype(np.int64)
    return {"x": features, "y": labels, **_slice_columns(path, arrays, suffix, len(labels))}


def _slice_columns(path: Path, arrays: Arrays, suffix: str, count: int) -> Arrays:
    columns = {
        name.removeprefix("slice_").removesuffix(suffix): values.astype(str)
        for name, values in arrays.items()
        if name.startswith("slice_") and name.endswith(suffix)
    }
    for name, values in columns.items():
        if values.shape != (count,):
            raise DatasetError(
                f"In {path}, the slice column `{name}` has shape {values.shape} for "
                f"{count} examples.",
                _LAYOUT,
            )
    return columns


def _check_agreement(path: Path, parts: list[Arrays]) -> None:
    shapes = {part["x"].shape[1:] for part in parts}
    if len(shapes) > 1:
        raise DatasetError(f"In {path}, the splits have examples of shapes {shapes}.", _LAYOUT)
    if len({part["y"].shape[1:] for part in parts}) > 1:
        raise DatasetError(f"In {path}, the splits have labels of different shapes.", _LAYOUT)
    if len({frozenset(part) for part in parts}) > 1:
        raise DatasetError(
            f"In {path}, not every split has the same slice columns.",
            "Name each `slice_<column>_<split>`, for all splits.",
        )
