"""Files in a folder for each class, and perhaps those in a folder for each split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.source import Progress
from agiwb.datasets.splitting import SPLIT_WORDS
from agiwb.errors import DatasetError


@dataclass(frozen=True)
class ClassFolders:
    """The files of all classes, sorted by split, class and name.

    Attributes:
        files: The path of each example.
        labels: The name of each example's class, ``(examples,)``.
        own_split: The split of each example, ``(examples,)``, if there are folders of splits.
        notes: In sentences, what was left out.
    """

    files: tuple[Path, ...]
    labels: NDArray[Any]
    own_split: NDArray[Any] | None
    notes: tuple[str, ...]

    def place(self, index: int) -> str:
        """Return the path of an example."""
        return str(self.files[index])

    def each(self, phase: str, progress: Progress) -> Iterator[tuple[int, Path]]:
        """Yield the files by index, reporting how far this is."""
        for index, path in enumerate(self.files):
            yield index, path
            progress(phase, index + 1, len(self.files))


def find_files(root: Path, suffixes: frozenset[str]) -> ClassFolders:
    """Return the files below ``root`` in ``class/*`` or ``train|validation|test/class/*``.

    Args:
        root: The folder.
        suffixes: Which files are examples; others are left out. So is what begins with a dot.

    Raises:
        DatasetError: There is no folder of a class with such files.
    """
    inside = _folders(root)
    splits = {folder: SPLIT_WORDS.get(folder.name.lower()) for folder in inside}
    has_splits = "train" in splits.values()
    found: list[tuple[Path, str, str]] = []
    notes: list[str] = []
    for top in inside if has_splits else [root]:
        split = splits.get(top) or ""
        if has_splits and not split:
            notes.append(f"The folder {top.name} is left out: it is neither a split nor in one.")
            continue
        notes += _note_of_loose(top, suffixes)
        for folder in _folders(top):
            files = _files(folder, suffixes)
            found += [(path, folder.name, split) for path in files]
            if not files:
                notes.append(f"The folder {folder} is left out: it holds none of the files sought.")
    if not found:
        raise DatasetError(
            f"The folder {root} has no class folders with {', '.join(sorted(suffixes))} files.",
            "Put the files of each class into a folder of the class's name.",
        )
    return ClassFolders(
        tuple(path for path, _, _ in found),
        np.array([label for _, label, _ in found], dtype=object),
        np.array([split for _, _, split in found]) if has_splits else None,
        tuple(notes),
    )


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")


def _files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and path.is_file() and path.name[0] != "."
    )


def _note_of_loose(top: Path, suffixes: frozenset[str]) -> list[str]:
    loose = _files(top, suffixes)
    if not loose:
        return []
    note = (
        f"{len(loose)} files such as {loose[0].name} are left out: they lie in {top} itself, in no "
        "class's folder."
    )
    return [note]
