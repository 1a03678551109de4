"""JupyterLab on the notebooks, and Voila on the reports, as this project wants them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from agiwb.errors import InputError
from agiwb.settings import Settings, project_root

_LOOPBACK = "127.0.0.1"
_IDLE_KERNEL_S = 600


def open_lab(arguments: list[str]) -> NoReturn:
    """Become JupyterLab on the notebooks; ``arguments`` are its own."""
    folder = _folder("notebooks")
    _become(["jupyterlab", f"--ServerApp.root_dir={folder.parent}",
                 f"--LabApp.default_url=/lab/tree/{folder.name}", *arguments])  # fmt: skip


def publish_reports(arguments: list[str]) -> NoReturn:
    """Become Voila on the reports; ``arguments`` are its own (``--port``, ``--no-browser``, …).

    Sources and tracebacks stay hidden from viewers, and kernels nobody looks at are stopped.
    """
    _become(["voila", *voila_options(), *arguments, str(_folder("reports"))])


def voila_options() -> list[str]:
    """Return the options under which Voila serves the reports, on loopback only."""
    return [
        f"--Voila.ip={_LOOPBACK}",
        "--strip_sources=True",
        "--show_tracebacks=False",
        f"--MappingKernelManager.cull_idle_timeout={_IDLE_KERNEL_S}",
        "--MappingKernelManager.cull_interval=60",
    ]


def _folder(name: str) -> Path:
    folder = project_root() / name
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.", "Run this in agiwb's checkout.")
    return folder


def _become(words: list[str]) -> NoReturn:
    """Replace this process by a Python module's, which then hears Ctrl-C itself."""
    environment = {**os.environ, "AGIWB_WORKSPACE": str(Settings().workspace_path)}
    os.execve(sys.executable, [sys.executable, "-m", *words], environment)  # noqa: S606
