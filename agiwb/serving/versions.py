"""A model's numbered version folders, and which of them to serve.

The layout is TensorFlow Serving's: ``<base path>/<number>/``, leading zeros allowed; folders with
other names are ignored.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agiwb.errors import NotFoundError

_LARGEST = 2**63 - 1
"""TensorFlow Serving keeps versions as int64."""


@dataclass(frozen=True, order=True)
class Version:
    """One version folder."""

    number: int
    folder: Path


@dataclass(frozen=True)
class Latest:
    """Serve the highest version."""

    def choose(self, versions: Sequence[Version]) -> Version | None:
        """Return the version to serve, or None if there is none."""
        return max(versions, default=None)


@dataclass(frozen=True)
class Specific:
    """Serve one version, even if there are newer ones."""

    number: int

    def choose(self, versions: Sequence[Version]) -> Version | None:
        """Return the version to serve, or None if it is not there."""
        return next((version for version in versions if version.number == self.number), None)


Policy = Latest | Specific


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
            logging.getLogger("agiwb").warning(
                "Duplicate version folders: %s is served, %s is not.",
                found[number].folder.name,
                folder.name,
            )
            continue
        found[number] = Version(number, folder)
    return tuple(sorted(found.values()))


def choose_version(base_path: Path, policy: Policy) -> Version:
    """Return the version that ``policy`` chooses below ``base_path``.

    Raises:
        NotFoundError: There is none.
    """
    versions = find_versions(base_path)
    chosen = policy.choose(versions)
    if chosen is None:
        listed = ", ".join(str(version.number) for version in versions) or "none"
        wanted = f"version {policy.number}" if isinstance(policy, Specific) else "version"
        raise NotFoundError(
            f"There is no {wanted} below {base_path}; there is: {listed}.",
            "A model's folder holds numbered folders, such as 1/model.onnx.",
        )
    return chosen


def _parse(name: str) -> int | None:
    """Return the number a folder's name stands for, or None."""
    if not (name.isascii() and name.isdigit()):
        return None
    number = int(name)
    return number if number <= _LARGEST else None
