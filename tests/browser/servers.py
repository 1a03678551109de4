"""Real servers for the browser: JupyterLab and Voila, as agiwb starts them."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
_START_S = 180
"""JupyterLab takes 5 s, but up to twenty times that beside other tests on two cores."""


@contextlib.contextmanager
def running(path: str, command: Callable[[int], list[str]]) -> Iterator[str]:
    """Yield the address of the server that ``command`` starts on a free port, then stop it.

    It has copies of the notebooks, which JupyterLab saves when they are run, and settings of its
    own: a test may change the theme.
    """
    with (
        tempfile.TemporaryDirectory() as scratch,
        running_in(Path(scratch), path, command) as address,
    ):
        yield address


@contextlib.contextmanager
def running_in(scratch: Path, path: str, command: Callable[[int], list[str]]) -> Iterator[str]:
    """Yield the address of a server as ``running`` does, whose copies are in ``scratch``."""
    for name in ("notebooks", "reports"):
        shutil.copytree(ROOT / name, scratch / name)
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": str(scratch / "settings")}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "agiwb", *command(port)],
        cwd=scratch,
        env=environment,
        start_new_session=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_it_answers(address + path, process)
        yield address
    finally:
        _kill_with_kernels(process)


def _kill_with_kernels(process: subprocess.Popen[bytes]) -> None:
    """End a server and its kernels at once: an orderly end waits for each of them in turn."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    process.kill()
    process.wait()


def _wait_until_it_answers(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(address, timeout=5).close()
            return
        time.sleep(0.2)
    pytest.fail(f"no answer from {address} within {_START_S} s")
