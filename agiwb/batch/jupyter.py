"""JupyterLab on the notebooks, as this project wants it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from agiwb.errors import InputError
from agiwb.settings import Settings, project_root


def open_lab(arguments: list[str]) -> NoReturn:
    """Become JupyterLab on the notebooks; ``arguments`` are its own."""
    folder = folder_of("notebooks")
    become(["jupyterlab", f"--ServerApp.root_dir={folder.parent}",
            f"--LabApp.default_url=/lab/tree/{folder.name}", *arguments])  # fmt: skip


def folder_of(name: str) -> Path:
    """Return a folder of the checkout; raise InputError if it is not there."""
    folder = project_root() / name
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.", "Run this in agiwb's checkout.")
    return folder


def become(words: list[str], **environment: str) -> NoReturn:
    """Replace this process by a Python module's, which then hears Ctrl-C itself."""
    named = {**os.environ, "AGIWB_WORKSPACE": str(Settings().workspace_path), **environment}
    os.execve(sys.executable, [sys.executable, "-m", *words], named)  # noqa: S606
