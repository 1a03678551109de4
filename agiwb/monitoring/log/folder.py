"""Where a model's predictions are logged: in this workspace, and in the team's object store."""

from __future__ import annotations

from pathlib import Path

from agiwb.serving.prediction_log import folder_of
from agiwb.serving.prediction_log.shared import shared_log, shared_models
from agiwb.settings import Settings


def prediction_folder(name: str) -> Path:
    """Return the folder of this workspace's log of what was served under ``name``."""
    return folder_of(Settings().workspace_path / "predictions", name)


def is_logged(folder: Path) -> bool:
    """Return whether anything was logged in ``folder``, a model's, or shared by its servers."""
    return folder.is_dir() or folder.name in shared_models()


def is_labelled(folder: Path) -> bool:
    """Return whether labels were added to the log in ``folder``, a model's, on any machine."""
    return any(place.is_dir() for place in label_places(folder))


def logged_models() -> list[str]:
    """Return the names of the logs of this workspace and of the object store."""
    predictions = Settings().workspace_path / "predictions"
    here = {path.name for path in predictions.glob("*") if path.is_dir()}
    return sorted({*here, *shared_models()})


def rollup_places(folder: Path) -> list[Path]:
    """Return the folders that together hold the rollups of the log in ``folder``, a model's."""
    return _places(folder, "rollups")


def label_places(folder: Path) -> list[Path]:
    """Return the folders that together hold the labels of the log in ``folder``, a model's."""
    return _places(folder, "labels")


def _places(folder: Path, kind: str) -> list[Path]:
    shared = shared_log(folder)
    return [folder / kind, *([] if shared is None else [shared.fetched(kind)])]
