"""JupyterLab on the notebooks, as this project wants it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from agiwb.errors import InputError
from agiwb.settings import Settings, project_root

_SETTINGS = Path(__file__).with_name("jupyter_data")
"""Holds the defaults of JupyterLab's own settings, in ``labconfig``."""
_ROOT = "AGIWB_LAB_ROOT"
"""Set for kernels: the folder that JupyterLab shows, and whose files it serves."""


def open_lab(arguments: list[str]) -> NoReturn:
    """Become JupyterLab on the notebooks; ``arguments`` are its own.

    It asks no site for news or updates, unless the user's own settings say so.
    """
    folder = folder_of("notebooks")
    words = [
        f"--ServerApp.root_dir={folder.parent}",
        f"--LabApp.default_url=/lab/tree/{folder.name}",
    ]
    configs = [*filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")]), str(_SETTINGS)]
    environment = {_ROOT: str(folder.parent), "JUPYTER_CONFIG_PATH": os.pathsep.join(configs)}
    become(["jupyterlab", *words, *arguments], **environment)


def lab_link(path: Path) -> str | None:
    """Return the address, on JupyterLab's own, of a file that it serves; None if it does not."""
    root = os.environ.get(_ROOT)
    if root is None or not path.resolve().is_relative_to(Path(root).resolve()):
        return None
    return f"/files/{quote(path.resolve().relative_to(Path(root).resolve()).as_posix())}"


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
