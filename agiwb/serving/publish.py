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
from agiwb.serving.versions import Version, find_versions


def publish(source: ArtifactSource, base_path: Path) -> Version:
    """Return the version folder below ``base_path`` that holds ``source``'s model.

    An existing version with exactly the same files is taken; else the next number is made. The
    folder appears complete or not at all, and two processes may publish at once.
    """
    base_path.mkdir(parents=True, exist_ok=True)
    with FileLock(base_path / ".publish.lock"):
        versions = find_versions(base_path)
        for version in reversed(versions):
            if list_model_files(version.folder) == source.artifact.files:
                return version
        number = versions[-1].number + 1 if versions else 1
        return _add(source, base_path, number)


def _add(source: ArtifactSource, base_path: Path, number: int) -> Version:
    draft = base_path / f".{uuid.uuid4().hex}.part"
    try:
        for path in (MANIFEST_FILE, *(file.path for file in source.artifact.files)):
            _link(source.folder / path, draft / path)
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
