"""Whether a version's folder is complete, unchanged and within bounds."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from agiwb.artifacts.manifest import MANIFEST_FILE, Artifact
from agiwb.errors import InputError
from agiwb.serving.status import Code, Refusal
from agiwb.serving.versions import Version
from agiwb.trust.encryption import is_encrypted, read_encrypted

Fingerprint = tuple[tuple[str, int, int], ...]
"""Path, bytes and time of change in ns of every file below a folder."""


@dataclass(frozen=True)
class _Sighting:
    fingerprint: Fingerprint
    since: float


class Settling:
    """Tells folders that are complete from those still being copied.

    A folder with a manifest is complete once every file that it lists has its size; the digests are
    checked before the load. Without a manifest, or if one does not come true, a folder is complete
    once its files have neither come nor gone nor changed in size or time for ``poll_s``: since a
    look that long ago, or by their own times. A copy that pauses for longer is taken for complete;
    copy into a folder with another name and rename it, or send a manifest, to rule that out.

    Not thread-safe: the one thread that watches owns it.
    """

    def __init__(self, poll_s: float) -> None:
        self._poll_s = poll_s
        self._seen: dict[Path, _Sighting] = {}

    def complete(self, version: Version) -> Fingerprint | None:
        """Return the fingerprint of ``version``'s folder if it is complete, else None."""
        try:
            fingerprint, changed_at = _look(version.folder)
        except OSError:  # a file went between listing and looking: somebody is at work
            fingerprint, changed_at = (), 0.0
        seen = self._seen.get(version.folder)
        if seen is None or seen.fingerprint != fingerprint:
            seen = self._seen[version.folder] = _Sighting(fingerprint, time.monotonic())
        still = (
            time.monotonic() - seen.since >= self._poll_s
            or time.time() - changed_at >= self._poll_s
        )
        if fingerprint and (still or _has_what_it_lists(version.folder, fingerprint)):
            return fingerprint
        return None

    def forget(self, version: Version) -> None:
        """Drop what was seen of ``version``'s folder."""
        self._seen.pop(version.folder, None)


def verify(base_path: Path, version: Version) -> Artifact | None:
    """Return the manifest of ``version``, None without one; check where links lead.

    Raises:
        Refusal: A link leads out of ``base_path``.
        InputError: The manifest cannot be read.
    """
    root = base_path.resolve()
    for path in _all_paths(version.folder):
        if not _leads_to(path).is_relative_to(root):
            shown = path.relative_to(base_path).as_posix()
            raise Refusal(
                Code.PERMISSION_DENIED,
                f"Version {version.number} is not loaded: "
                f"the link {shown} leads out of the model's base path.",
                "Put the files themselves there.",
            )
    return read_manifest(version.folder)


def read_manifest(folder: Path) -> Artifact | None:
    """Return the manifest in a version's folder, None without one; it checks no file.

    That of an encrypted artifact is decrypted in memory.

    Raises:
        InputError: It cannot be read, or is not one, or it is encrypted and its key is not given.
        WorkError: It is encrypted, and damaged.
    """
    path = folder / MANIFEST_FILE
    try:
        if is_encrypted(folder):
            content = read_encrypted(folder, MANIFEST_FILE)
        else:
            content = path.read_bytes() if path.exists() else None
        return None if content is None else Artifact.model_validate_json(content)
    except (OSError, ValidationError) as error:
        raise InputError(
            f"The manifest {path} cannot be read.",
            "Publish the model again, or remove the manifest to serve it unchecked.",
        ) from error


def _look(folder: Path) -> tuple[Fingerprint, float]:
    """Return the fingerprint of ``folder``, and when something below it last changed (Unix s)."""
    entries, times = [], [0]
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)  # noqa: PTH118 (this runs at every poll)
            about = os.stat(path)  # noqa: PTH116
            # The inode's own time also tells a copy that keeps the original's.
            times.append(max(about.st_mtime_ns, about.st_ctime_ns))
            entries.append((os.path.relpath(path, folder), about.st_size, about.st_mtime_ns))
    return tuple(sorted(entries)), max(times) / 1e9


def _has_what_it_lists(folder: Path, fingerprint: Fingerprint) -> bool:
    sizes = {Path(path).as_posix(): size for path, size, _ in fingerprint}
    if MANIFEST_FILE not in sizes:
        return False
    try:
        artifact = Artifact.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    except (OSError, ValidationError):
        return False
    return all(sizes.get(file.path) == file.size_bytes for file in artifact.files)


def _all_paths(folder: Path) -> list[Path]:
    """Return ``folder`` and all below it, also what links to folders lead to."""
    paths, visited = [folder], set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        here = os.path.realpath(parent)
        if here in visited:
            folders.clear()
            continue
        visited.add(here)
        paths += [Path(parent, name) for name in (*folders, *names)]
    return paths


def _leads_to(path: Path) -> Path:
    """Return where ``path`` leads; the root of the file system for a link that goes in circles."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return Path(path.anchor)
