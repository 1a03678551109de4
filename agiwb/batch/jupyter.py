"""JupyterLab on the notebooks, as this project wants it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from agiwb.errors import InputError
from agiwb.settings import Settings, project_root

DATA = Path(__file__).with_name("jupyter_data")
"""What Jupyter finds of ours: settings in ``labconfig``, tiles in ``labextensions``, our kernel,
Voila's template; and the notebooks and reports, as an installed agiwb brings them along."""
_START = "start.md"
_ROOT = "AGIWB_LAB_ROOT"
"""Set for kernels: the folder that JupyterLab shows, and whose files it serves."""


def open_lab(arguments: list[str]) -> NoReturn:
    """Become JupyterLab on the notebooks; ``arguments`` are its own.

    It opens on the page that leads on, and has the kernel ``agiwb``: this Python, whatever others
    are installed for this user. Its launcher has tiles for the workbench and for the reports, which
    look as ``agiwb publish`` shows them. It asks no site for news or updates, unless the user's own
    settings say so. Root, which many a container knows alone, is told what that means, and not
    refused. Outside a checkout the notebooks are copied into the current folder first.
    """
    folder = own_folder("notebooks")
    own_folder("reports")
    start = f"{folder.name}/{_START}" if (folder / _START).is_file() else folder.name
    words = [
        f"--ServerApp.root_dir={folder.parent}",
        f"--LabApp.default_url=/lab/tree/{start}",
        "--VoilaConfiguration.template=agiwb",
        "--VoilaConfiguration.classic_tree=True",
    ]
    if os.geteuid() == 0:
        print("You are root, and so is whoever has the address with its token.", file=sys.stderr)
        words.append("--ServerApp.allow_root=True")
    configs = [*filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")]), str(DATA)]
    environment = {
        _ROOT: str(folder.parent),
        "JUPYTER_CONFIG_PATH": os.pathsep.join(configs),
        "JUPYTER_PATH": jupyter_path(),
    }
    become(["jupyterlab", *words, *arguments], **environment)


def jupyter_path() -> str:
    """Return ``JUPYTER_PATH`` with what is ours before what the user has there."""
    return os.pathsep.join(filter(None, [str(DATA), os.environ.get("JUPYTER_PATH", "")]))


def lab_link(path: Path) -> str | None:
    """Return the address, on JupyterLab's own, of a file that it serves; None if it does not."""
    root = os.environ.get(_ROOT)
    if root is None or not path.resolve().is_relative_to(Path(root).resolve()):
        return None
    return f"/files/{quote(path.resolve().relative_to(Path(root).resolve()).as_posix())}"


def folder_of(name: str) -> Path:
    """Return the folder of notebooks called so: the user's own, else what agiwb brought along.

    Raises:
        InputError: This agiwb brought none along.
    """
    own, brought = project_root() / name, DATA / name
    for folder in (own, brought):
        if any(folder.glob("*.ipynb")):
            return folder
    raise InputError(
        f"There are no notebooks in {own}, and this agiwb came without any.",
        "Run this in agiwb's checkout, or install agiwb anew.",
    )


def own_folder(name: str) -> Path:
    """Return the user's own folder of notebooks called so, copied from agiwb's if there is none.

    Raises:
        InputError: The folder cannot be written, or there is nothing to copy.
    """
    own, found = project_root() / name, folder_of(name)
    if found == own:
        return own
    try:
        shutil.copytree(
            found, own, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".ipynb_checkpoints")
        )
    except OSError as error:
        raise InputError(
            f"The notebooks cannot be copied to {own}: {error.strerror}.",
            "Go to a folder that you may write.",
        ) from None
    print(f"agiwb's {name} are now in {own}: change them as you like.", file=sys.stderr)
    return own


def become(words: list[str], **environment: str) -> NoReturn:
    """Replace this process by a program of Jupyter's, which then hears Ctrl-C itself.

    In its terminals and notebooks ``agiwb`` is the one that has been started.
    """
    programs = str(Path(sys.executable).parent)
    named = {
        **os.environ,
        "AGIWB_WORKSPACE": str(Settings().workspace_path),
        "PATH": os.pathsep.join([programs, os.environ.get("PATH", os.defpath)]),
        **environment,
    }
    program = [sys.executable, "-m", "agiwb.batch.jupyter_program", *words]
    os.execve(sys.executable, program, named)  # noqa: S606
