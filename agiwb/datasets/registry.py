"""Finding a data set by its name or its path."""

from __future__ import annotations

import functools
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from agiwb.datasets.builtin import BUILTIN, load_builtin
from agiwb.datasets.dataset import Dataset
from agiwb.datasets.description import SourceDescription
from agiwb.datasets.formats import is_data_file, load_source, require_existing
from agiwb.datasets.registered import (
    find_former,
    find_registered,
    registered_names,
    was_ever_added,
)
from agiwb.datasets.waiting import SlowWork
from agiwb.errors import DatasetError, did_you_mean

if TYPE_CHECKING:
    from agiwb.datasets.source import Source

_NAME = re.compile(r"[A-Za-z0-9][\w-]*")


def dataset_reference(reference: str) -> str:
    """Return ``reference`` if it names a data set, or the absolute path of a file or folder.

    Whether the file exists is for ``load_dataset`` to say: a record keeps its reference when the
    file or the name is gone, and means the same file from every folder.

    Raises:
        DatasetError: It is neither.
    """
    if reference in BUILTIN or _was_ever_added(reference):
        return reference
    if _is_path(reference):
        return str(Path(reference).expanduser().absolute())
    raise DatasetError(
        f"There is no data set {reference!r}.",
        f"{did_you_mean(reference, [*BUILTIN, *registered_names()])} Or give the path of your own "
        "data, or add them under a name with `agiwb datasets add`.",
    )


DatasetName = Annotated[str, AfterValidator(dataset_reference)]
"""A config field that names a data set; a wrong name is refused at once."""


def load_dataset(reference: str) -> Dataset:
    """Return the data set called ``reference``, or stored at that path.

    Raises:
        DatasetError: There is none, its content cannot be used, or it is no longer what was added
            under that name.
    """
    return load_with_notes(reference)[0]


def load_with_notes(reference: str) -> tuple[Dataset, tuple[str, ...]]:
    """Return the data set and, in sentences, what was inferred or left out while reading it."""
    found = dataset_reference(reference)
    if found in BUILTIN:
        return load_builtin(found), ()
    if _was_ever_added(found):
        return _load_registered(found)
    path = Path(found)
    require_existing(path)
    source = _load_unnamed(path, content_stamp(path))
    return source.data, source.notes


def content_stamp(path: Path) -> int:
    """Return a number that is another one once a file, or any below a folder, has changed."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    states = [(str(file), file.stat()) for file in files if file.is_file()]
    return hash(tuple((name, state.st_mtime_ns, state.st_size) for name, state in states))


def _was_ever_added(reference: str) -> bool:
    return bool(_NAME.fullmatch(reference)) and was_ever_added(reference)


def _is_path(reference: str) -> bool:
    return (
        os.sep in reference
        or reference.startswith(("~", "."))
        or is_data_file(reference)
        or Path(reference).exists()
    )


def _load_registered(name: str) -> tuple[Dataset, tuple[str, ...]]:
    entry = find_registered(name)
    if entry is None:
        former = find_former(name)
        again = former.how_to_add() if former else f"`agiwb datasets add {name} PATH`."
        raise DatasetError(f"The data set {name} was removed.", f"To add it again: {again}")
    path = entry.source.path
    if not path.exists():
        raise DatasetError(
            f"The data set {name} was added from {path}, where there is nothing now.",
            f"Put the data back, or add it from elsewhere: `agiwb datasets add {name} PATH`.",
        )
    source = _load(entry.source, content_stamp(path))
    entry.require_unchanged(source.data)
    return source.data, source.notes


@functools.lru_cache(maxsize=2)
def _load(description: SourceDescription, stamp: int) -> Source:
    """Load once for each content; ``stamp`` makes changed files a new key."""
    return load_source(description, SlowWork())


@functools.lru_cache(maxsize=2)
def _load_unnamed(path: Path, stamp: int) -> Source:
    """Load what was never added, and say what ``agiwb datasets add`` would have said."""
    source = _load(SourceDescription(name=path.stem, path=path), stamp)
    for note in source.notes:
        logging.getLogger("agiwb").warning("%s: %s", path.name, note)
    return source


def load_arrays_of_classes(reference: str, purpose: str) -> Dataset:
    """Return the data set called ``reference``, sure to be arrays of numbers of one class each.

    Args:
        reference: As for ``load_dataset``.
        purpose: What needs such data, as the subject of a sentence: "A sweep".

    Raises:
        DatasetError: There is none, its file cannot be used, or it is of another kind.
    """
    data = load_dataset(reference)
    data.require_arrays_of_classes(purpose)
    return data
