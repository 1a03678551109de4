"""Data in one file, or in a folder of parts that may lie in, or be named for, their split."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agiwb.datasets.dataset import SplitName
from agiwb.datasets.splitting import SPLIT_WORDS
from agiwb.errors import DatasetError


@dataclass(frozen=True)
class Parts:
    """The files of a data set, sorted; the split of each, if the user chose; and notes."""

    files: tuple[Path, ...]
    splits: tuple[SplitName, ...] | None
    notes: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.stat().st_size for file in self.files)


def find_parts(path: Path, is_part: Callable[[Path], bool]) -> Parts:
    """Return the file ``path``, or the files below the folder ``path``.

    Their splits are those of the folders ``train``, ``validation`` and ``test``, or are told by
    names such as ``train-00000-of-00004.parquet``, if that holds for each file.

    Args:
        path: File or folder.
        is_part: Whether a file in the folder is one of the data.

    Raises:
        DatasetError: The folder has no such file.
    """
    if not path.is_dir():
        return Parts((path,), None)
    files = tuple(sorted(file for file in path.rglob("[!._]*") if file.is_file() and is_part(file)))
    if not files:
        raise DatasetError(f"The folder {path} holds none of the files sought.", "Check the path.")
    notes = []
    if any("=" in parent for file in files for parent in file.relative_to(path).parts[:-1]):
        notes.append("Names of folders such as `year=2020` are not taken as columns.")
    splits = [_split_of(file.relative_to(path)) for file in files]
    known = tuple(split for split in splits if split is not None)
    if len(known) == len(files) and "train" in known:
        return Parts(files, known, tuple(notes))
    if known:
        stray = files[splits.index(None)] if None in splits else files[0]
        notes.append(
            f"The splits are drawn, although some names tell a split: that of {stray} does not, "
            "or none is for training."
        )
    return Parts(files, None, tuple(notes))


def state_of(file: Path) -> tuple[int, int]:
    """Return a file's size and time of change, by which another content shows."""
    state = file.stat()
    return state.st_size, state.st_mtime_ns


def require_state(file: Path, state: tuple[int, int]) -> None:
    """Raise DatasetError if a file is no longer what it was when it was in ``state``."""
    if not file.is_file() or state_of(file) != state:
        raise DatasetError(
            f"The file {file} has changed since it was loaded.",
            "Leave it as it is while it is used, or begin anew.",
        )


def _split_of(file: Path) -> SplitName | None:
    """Return the split that the first folder, or a word of the file's name, tells."""
    if len(file.parts) > 1 and (split := SPLIT_WORDS.get(file.parts[0].lower())):
        return split
    words = re.split(r"[^a-z]+", file.name.lower())
    told = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    return told.pop() if len(told) == 1 else None
