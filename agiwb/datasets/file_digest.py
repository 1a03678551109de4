"""The SHA-256 of large files, computed again only when a file has changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterable
from pathlib import Path

from agiwb.runs.files import sha256_of_file, write_atomic
from agiwb.settings import Settings

_SETTLED_NS = 2_000_000_000
"""A file changed twice within its clock's tick looks unchanged: digests so young are not kept."""


def digest_of_files(files: Iterable[Path]) -> str:
    """Return one SHA-256 for the bytes of ``files``, in that order.

    What was computed is kept in the workspace for the file's path, size and time of change, for
    reading tens of gigabytes takes minutes.
    """
    digest = hashlib.sha256()
    for file in files:
        digest.update(_digest_of_file(file.absolute()).encode())
    return digest.hexdigest()


def _digest_of_file(file: Path) -> str:
    state = file.stat()
    known = {"path": str(file), "size_bytes": state.st_size, "mtime_ns": state.st_mtime_ns}
    name = hashlib.sha256(str(file).encode("utf-8", "surrogateescape")).hexdigest()
    memory = Settings().workspace_path / "datasets" / ".digests" / f"{name}.json"
    with contextlib.suppress(OSError, ValueError, TypeError):
        kept = json.loads(memory.read_bytes())
        if known.items() <= kept.items():
            return str(kept["sha256"])
    began_ns = time.time_ns()
    sha256 = sha256_of_file(file)
    if began_ns - state.st_mtime_ns > _SETTLED_NS:
        with contextlib.suppress(OSError):  # a workspace that cannot be written: it takes longer
            write_atomic(memory, json.dumps({**known, "sha256": sha256}))
    return sha256
