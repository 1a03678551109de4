"""Publishing an artifact as the next numbered version of a served model."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from pathlib import Path

from filelock import FileLock

from agiwb.artifacts.manifest import MANIFEST_FILE, list_model_files
from agiwb.artifacts.resolve import ArtifactSource
from agiwb.runs.files import list_files, sha256_of_file
from agiwb.serving.versions import Version, find_versions
from agiwb.trust.encryption import ENCRYPTED_FILE
from agiwb.trust.signing import SIGNATURE_FILE


def publish(source: ArtifactSource, base_path: Path) -> Version:
    """Return the version folder below ``base_path`` that holds ``source``'s model.

    An existing version with exactly the same files is taken; else the next number is made. The
    folder appears complete or not at all, and two processes may publish at once. What is encrypted
    stays so, and a signed artifact goes with all that its signature covers.
    """
    base_path.mkdir(parents=True, exist_ok=True)
    with FileLock(base_path / ".publish.lock"):
        versions = find_versions(base_path)
        for version in reversed(versions):
            if _holds(version.folder, source):
                return version
        number = versions[-1].number + 1 if versions else 1
        return _add(source, base_path, number)


def _holds(folder: Path, source: ArtifactSource) -> bool:
    """Return whether a version's folder has the files of ``source``, by the same signature."""
    if source.encrypted is not None:
        return _digest(folder / ENCRYPTED_FILE) == _digest(source.encrypted / ENCRYPTED_FILE)
    if _digest(folder / SIGNATURE_FILE) != _digest(source.folder / SIGNATURE_FILE):
        return False
    return list_model_files(folder) == source.artifact.files


def _digest(path: Path) -> str | None:
    return sha256_of_file(path) if path.is_file() else None


def _published(source: ArtifactSource) -> tuple[Path, tuple[str, ...]]:
    """Return the folder that ``source`` lies in as it is to be stored, and the files to take."""
    if source.encrypted is not None:
        return source.encrypted, (ENCRYPTED_FILE,)
    if (source.folder / SIGNATURE_FILE).is_file():
        return source.folder, tuple(file.path for file in list_files(source.folder))
    return source.folder, (MANIFEST_FILE, *(file.path for file in source.artifact.files))


def _add(source: ArtifactSource, base_path: Path, number: int) -> Version:
    draft = base_path / f".{uuid.uuid4().hex}.part"
    try:
        folder, paths = _published(source)
        for path in paths:
            _link(folder / path, draft / path)
        return Version(number, draft.rename(base_path / str(number)))
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _link(original: Path, target: Path) -> None:
    """Make ``target`` the same file as ``original``, or a copy on another file system."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        os.link(original, target)
        return
    shutil.copy2(original, target)
