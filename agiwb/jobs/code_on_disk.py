"""Whether the code of agiwb has changed, at a look: no file is read."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from agiwb.runs.provenance import PACKAGE_FOLDER

_CLOCK_TICK_NS = 100_000_000
"""A file system's clock may stand still for as long, with much to spare."""

_listings: dict[str, tuple[int, list[str], list[str]]] = {}
"""When a folder's entries changed, its source files and its folders, by its path."""


def code_on_disk() -> str:
    """Return a digest of when each source file of agiwb was changed."""
    listing = sorted(modified(path) for path in _sources(str(PACKAGE_FOLDER)))
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()


def modified(path: Path | str) -> str:
    """Return a file's path, when it was changed, and its size; the path alone if it is gone."""
    try:
        found = os.stat(path)  # noqa: PTH116  called for each source file: twice as fast
    except OSError:
        return str(path)
    return f"{path} {found.st_mtime_ns} {found.st_size}"


def _sources(folder: str) -> Iterator[str]:
    """Yield the source files of a folder and of those below, listed anew where one has changed."""
    changed_ns = os.stat(folder).st_mtime_ns  # noqa: PTH116  twice as fast
    known = _listings.get(folder)
    if known is None or known[0] != changed_ns:
        with os.scandir(folder) as entries:
            found = [one for one in entries if one.name != "__pycache__"]
        files = [one.path for one in found if one.name.endswith(".py")]
        known = (changed_ns, files, [one.path for one in found if one.is_dir()])
        # A file that comes in the same tick of the clock as this look would not be seen later.
        if time.time_ns() - changed_ns > _CLOCK_TICK_NS:
            _listings[folder] = known
    _, files, folders = known
    yield from files
    for one in folders:
        yield from _sources(one)
