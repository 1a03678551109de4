"""Steps that workers find by name, and a warm process for the session: a job then takes no time."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from agiwb.jobs import warm
from agiwb.runs import registry
from agiwb.runs.registry import StepEntry

HERE = Path(__file__).parent
"""Its ``sitecustomize`` names the steps in each process that starts with it on its path."""


@pytest.fixture(scope="session")
def importable_steps() -> Iterator[None]:
    """The tests' steps, here and in each Python process started from here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
        for name in ("count", "fit"):
            patch.setitem(
                registry.STEPS, name, StepEntry(f"tests.jobs.job_steps:{name}", "A test's.")
            )
        yield


@pytest.fixture(scope="session")
def warm_process(importable_steps: None) -> Iterator[psutil.Process]:
    """The session's own warm process, up and listening."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", None)
        address = warm.warm_address(os.environ)
        assert address is not None
        deadline = time.monotonic() + 120
        while not address.exists():
            assert time.monotonic() < deadline
            warm._start(address, os.environ)  # anew, once the code has changed
            time.sleep(1)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(address))
            process = psutil.Process(warm.peer_of(connection)[0])
        yield process
        with contextlib.suppress(psutil.Error):
            process.kill()


@pytest.fixture(autouse=True)
def job_workspace(
    importable_steps: None, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """An empty workspace, and an empty current folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("AGIWB_WARM", "0")
    return workspace


@pytest.fixture
def warm_jobs(warm_process: psutil.Process, monkeypatch: pytest.MonkeyPatch) -> psutil.Process:
    """Jobs come from the warm process."""
    monkeypatch.setenv("AGIWB_WARM", "1")
    return warm_process


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait for something to become true."""

    def wait(happened: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not happened():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    return wait
