"""Finding a data set by its name or its path."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from agiwb.datasets.dataset import Dataset
from agiwb.errors import DatasetError, did_you_mean


def _builtin(name: str) -> Callable[[], Dataset]:
    def load() -> Dataset:
        from agiwb.datasets import builtin

        loader: Callable[[], Dataset] = getattr(builtin, f"load_{name}")
        return loader()

    return load


BUILTIN = {name: _builtin(name) for name in ("digits", "mnist5k", "mnist", "fashion_mnist")}


def dataset_reference(reference: str) -> str:
    """Return ``reference`` if it names a data set, or the absolute path of an ``.npz``.

    Whether the file exists is for ``load_dataset`` to say: a record keeps its reference when the
    file is gone, and means the same file from every folder.

    Raises:
        DatasetError: It is neither.
    """
    if reference in BUILTIN:
        return reference
    if reference.endswith(".npz"):
        return str(Path(reference).expanduser().absolute())
    raise DatasetError(
        f"There is no data set {reference!r}.",
        f"{did_you_mean(reference, BUILTIN)} Or give the path of an .npz file.",
    )


DatasetName = Annotated[str, AfterValidator(dataset_reference)]
"""A config field that names a data set; a wrong name is refused at once."""


def load_dataset(reference: str) -> Dataset:
    """Return the data set called ``reference``, or stored at that path.

    Raises:
        DatasetError: There is none, or its file cannot be used.
    """
    path = Path(dataset_reference(reference))
    if reference in BUILTIN:
        return _load_builtin(reference)
    if not path.is_file():
        raise DatasetError(f"There is no file {path}.", "Check the path.")
    return _load_npz(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _load_builtin(name: str) -> Dataset:
    return BUILTIN[name]()


@functools.lru_cache(maxsize=2)
def _load_npz(path: Path, modified_ns: int) -> Dataset:
    """Load once for each content; ``modified_ns`` makes a changed file a new key."""
    from agiwb.datasets.npz import load_npz

    return load_npz(path)
