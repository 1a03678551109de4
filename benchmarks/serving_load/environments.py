"""Environments of their own for the servers that ours is compared with."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PEERS = Path(__file__).parents[1] / "serving_peers"
"""The peers' programs, and for each the versions that it is installed with."""
_INSTALL_TIMEOUT_S = 600


class MissingError(Exception):
    """A peer cannot be measured here; the message says why."""


def python_of(peer: str) -> Path:
    """Return the interpreter of a peer's environment, which is made the first time.

    It is kept below the folder for temporary files, under a name that changes with the pins.

    Raises:
        MissingError: It cannot be installed.
    """
    pins = PEERS / f"{peer}.txt"
    digest = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / "agiwb-serving-peers" / f"{peer}-{digest}"
    python = folder / "bin" / "python"
    finished = folder / "installed"
    if finished.exists():
        return python
    print(f"Installing {peer} into {folder} ...", file=sys.stderr, flush=True)
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is not None:
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(pins)])
    else:
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", "-r", str(pins)])
    finished.touch()
    return python


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"it was not installed within {_INSTALL_TIMEOUT_S} s") from error
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no reason given"]
        raise MissingError(f"it could not be installed: {last[0].strip()}")
