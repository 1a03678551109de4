"""A model's numbered version folders, and which of them to serve.

The layout is TensorFlow Serving's: ``<base path>/<number>/``, leading zeros allowed; folders with
other names are ignored.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agiwb.errors import NotFoundError

LARGEST_VERSION = 2**63 - 1
"""TensorFlow Serving keeps versions as int64."""


@dataclass(frozen=True, order=True)
class Version:
    """One version folder."""

    number: int
    folder: Path


def find_versions(base_path: Path) -> tuple[Version, ...]:
    """Return the versions below ``base_path`` in ascending order; none if there is no folder.

    Of two folders with the same number, such as ``1`` and ``01``, the first by name counts.
    """
    found: dict[int, Version] = {}
    for folder in sorted(base_path.iterdir()) if base_path.is_dir() else ():
        number = _parse(folder.name)
        if number is None or not folder.is_dir():
            continue
        if number in found:
            _warn_of_duplicate(found[number].folder, folder)
            continue
        found[number] = Version(number, folder)
    return tuple(sorted(found.values()))


def choose_version(base_path: Path, number: int | None = None) -> Version:
    """Return version ``number`` below ``base_path``, or the highest.

    Raises:
        NotFoundError: There is none.
    """
    versions = find_versions(base_path)
    fitting = [version for version in versions if number in {None, version.number}]
    if not base_path.is_dir():
        raise NotFoundError(
            f"There is no folder {base_path}.",
            "Give the folder of one model, which holds numbered folders, such as 1/model.onnx.",
        )
    if not fitting:
        listed = ", ".join(str(version.number) for version in versions) or "none"
        wanted = "version" if number is None else f"version {number}"
        raise NotFoundError(
            f"There is no {wanted} below {base_path}; there is: {listed}.",
            "A model's folder holds numbered folders, such as 1/model.onnx.",
        )
    return fitting[-1]


@cache
def _warn_of_duplicate(served: Path, ignored: Path) -> None:
    """Warn once, though a server looks every second."""
    logging.getLogger("agiwb").warning(
        "Duplicate version folders: %s is served, %s is not.", served.name, ignored.name
    )


def _parse(name: str) -> int | None:
    """Return the number a folder's name stands for, or None."""
    if not (name.isascii() and name.isdigit()):
        return None
    number = int(name)
    return number if number <= LARGEST_VERSION else None
