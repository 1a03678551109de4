"""Files that are never half written, and the digests that identify them."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

from pydantic import BaseModel, ConfigDict

_CHUNK_BYTES = 1 << 20


class StoredFile(BaseModel):
    """One file of a run: its ``path`` below the run's files, its size and its SHA-256."""

    model_config = ConfigDict(frozen=True)

    path: str
    size_bytes: int
    sha256: str


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write ``content`` so that a reader sees all of it or the former file, never a part."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with draft.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def sha256_of_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_of_tree(path: Path) -> str:
    """Return one digest for a file, or for all files below a folder with their names."""
    if path.is_file():
        return sha256_of_file(path)
    listing = "".join(f"{file.path} {file.sha256}\n" for file in list_files(path))
    return hashlib.sha256(listing.encode()).hexdigest()


def list_files(folder: Path) -> tuple[StoredFile, ...]:
    """Return every file below ``folder``, sorted by path."""
    return tuple(
        StoredFile(
            path=path.relative_to(folder).as_posix(),
            size_bytes=path.stat().st_size,
            sha256=sha256_of_file(path),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )


def damaged_files(folder: Path, files: tuple[StoredFile, ...]) -> list[str]:
    """Return the paths that are missing below ``folder`` or no longer have their digest."""
    return [
        file.path
        for file in files
        if not (folder / file.path).is_file() or sha256_of_file(folder / file.path) != file.sha256
    ]
