"""The data sets a user has added: a file each in the workspace that says where the data lie."""

from __future__ import annotations

import shlex
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from agiwb.datasets.dataset import Dataset, Kind, Task
from agiwb.datasets.description import SourceDescription
from agiwb.errors import AgiwbError, DatasetError
from agiwb.runs.files import write_atomic
from agiwb.settings import Settings


class RegisteredDataset(BaseModel):
    """A name for data of the user's: where and how they are read, and what they were then."""

    model_config = ConfigDict(frozen=True)

    source: SourceDescription
    fingerprint: str
    kind: Kind
    task: Task
    notes: tuple[str, ...]
    run_id: str
    """The run that added it."""
    added_at: datetime

    @property
    def name(self) -> str:
        """What the user calls it."""
        return self.source.name

    def require_unchanged(self, data: Dataset) -> None:
        """Raise DatasetError if ``data``, just read, are not what was added."""
        if data.fingerprint != self.fingerprint:
            raise DatasetError(
                f"The data set {self.name} has changed since it was added on "
                f"{self.added_at.astimezone():%Y-%m-%d %H:%M}: {self.source.path} no longer "
                "holds the same examples.",
                f"To take them as they are now: {self.how_to_add()}",
            )

    def how_to_add(self) -> str:
        """Return the command that adds it again, all options included."""
        words = ["agiwb", "datasets", "add", self.name, str(self.source.path)]
        for option, value in self.source.model_dump(exclude_defaults=True, mode="json").items():
            if option not in {"name", "path"}:
                values = value if isinstance(value, list) else [value]
                words += [f"--{option.replace('_', '-')}", *map(str, values)]
        return f"`{shlex.join(words)}`."


def find_registered(name: str) -> RegisteredDataset | None:
    """Return what the workspace knows under ``name``, if anything.

    Raises:
        DatasetError: Its file cannot be read.
    """
    path = _pointer_path(name)
    return _read(path) if path.is_file() else None


def find_former(name: str) -> RegisteredDataset | None:
    """Return what the workspace knew under ``name`` before it was removed, if anything."""
    path = _former_path(name)
    return _read(path) if path.is_file() else None


def was_ever_added(name: str) -> bool:
    """Return whether ``name`` means data of the user's, or did before it was removed."""
    return _pointer_path(name).is_file() or _former_path(name).is_file()


def list_registered() -> list[RegisteredDataset]:
    """Return all data sets the user has added to this workspace, sorted by name."""
    return [_read(path) for path in sorted(_folder().glob("[!.]*.json"))]


def registered_names() -> list[str]:
    """Return the names of all data sets the user has added, sorted."""
    return sorted(path.stem for path in _folder().glob("[!.]*.json"))


def write_registered(entry: RegisteredDataset) -> None:
    """Make ``entry`` what its name means from now on."""
    write_atomic(_pointer_path(entry.name), entry.model_dump_json(indent=2))


def remove_registered(name: str) -> Path:
    """Forget a name, and return the path of the data, which stay as they are.

    Records of models that were trained on it still name it, so that it was there is kept.

    Raises:
        DatasetError: There is no such name.
    """
    entry = find_registered(name)
    if entry is None:
        raise DatasetError(
            f"There is no data set {name!r} that was added.",
            f"Added: {', '.join(registered_names()) or 'none yet'}.",
        )
    former = _former_path(name)
    former.parent.mkdir(exist_ok=True)
    _pointer_path(name).replace(former)
    return entry.source.path


def _pointer_path(name: str) -> Path:
    """Return the file that says what a name means."""
    return _folder() / f"{name}.json"


def _former_path(name: str) -> Path:
    """Return the file that says what a name meant before it was removed."""
    return _folder() / ".removed" / f"{name}.json"


def _folder() -> Path:
    return Settings().workspace_path / "datasets"


def _read(path: Path) -> RegisteredDataset:
    try:
        return RegisteredDataset.model_validate_json(path.read_bytes())
    except (OSError, ValidationError, AgiwbError) as error:
        raise DatasetError(
            f"The file {path}, which says where the data set {path.stem} lies, cannot be read: "
            f"{' '.join(str(error).split())[:200]}",
            f"Add it again, or remove the file: `agiwb datasets add {path.stem} PATH`.",
        ) from None
