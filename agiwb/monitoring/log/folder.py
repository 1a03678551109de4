"""Where a model's predictions are logged."""

from __future__ import annotations

from pathlib import Path

from agiwb.serving.prediction_log import folder_of
from agiwb.settings import Settings


def prediction_folder(name: str) -> Path:
    """Return the folder of this workspace's log of what was served under ``name``."""
    return folder_of(Settings().workspace_path / "predictions", name)
