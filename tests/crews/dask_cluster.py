"""A real Dask cluster for tests: a scheduler and workers, each a process with a folder of its own.

They share no folder with the client: their current folder, workspace and scratch are their own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from agiwb.runs.provenance import PACKAGE_FOLDER

_START_S = 60


class Cluster:
    """Scheduler and workers; whoever starts a cluster stops it."""

    def __init__(
        self, folder: Path, security: dict[str, str] | None = None, history: Path | None = None
    ) -> None:
        """Start the scheduler.

        Args:
            folder: Is made, with a folder for each process.
            security: Dask's settings for TLS, as environment variables.
            history: A database without runs, for each worker a copy: making its tables takes long.
        """
        self.folder = folder
        self._history = history
        self._security = security or {}
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._port = free_port()
        self.address = f"{'tls' if security else 'tcp'}://127.0.0.1:{self._port}"
        self.start_scheduler()

    def start_scheduler(self) -> None:
        """Start the scheduler, at the same address each time."""
        words = ["scheduler", "--host", self.address, "--no-dashboard"]
        self._scheduler = self._start("scheduler", words)
        _wait_for_port(self._port, self._scheduler)

    def add_worker(self, name: str, *words: str, nanny: bool = False) -> None:
        """Start a worker with one thread."""
        if self._history is not None:
            self.workspace(name).mkdir(parents=True, exist_ok=True)
            shutil.copy(self._history, self.workspace(name))
        more = ["--nanny" if nanny else "--no-nanny", "--no-dashboard", "--nthreads", "1"]
        given = ["worker", self.address, "--name", name, *more, *words]
        self._workers[name] = self._start(name, [*given, "--local-directory", "scratch"])

    def wait_for_worker(self, name: str) -> None:
        """Return once the scheduler gives a worker tasks."""
        until = time.monotonic() + _START_S
        while "Registered to:" not in self.log(name):
            assert self.runs(name), self.log(name)
            assert time.monotonic() < until, "The worker does not register."
            time.sleep(0.05)

    def workspace(self, worker: str) -> Path:
        """Return the workspace of a worker."""
        return self.folder / worker / "workspace"

    def kill_worker(self, name: str, by: signal.Signals = signal.SIGKILL) -> None:
        """Kill a worker at once, or have it close itself."""
        self._workers[name].send_signal(by)
        self._workers[name].wait()

    def kill_scheduler(self) -> None:
        """Kill the scheduler at once."""
        self._scheduler.kill()
        self._scheduler.wait()

    @property
    def is_alive(self) -> bool:
        """Whether the scheduler runs."""
        return self._scheduler.poll() is None

    def runs(self, name: str) -> bool:
        """Return whether a worker has not ended."""
        return self._workers[name].poll() is None

    def children(self, name: str) -> list[psutil.Process]:
        """Return all processes that a worker has started."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self._workers[name].pid).children(recursive=True)
        return []

    def log(self, name: str) -> str:
        """Return what a process of the cluster has printed."""
        return (self.folder / name / "log.txt").read_text("utf-8", "replace")

    def stop(self) -> None:
        """End all processes."""
        for process in (*self._workers.values(), self._scheduler):
            # One after the other: a worker that is closed by both may never end.
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name: str, words: list[str]) -> subprocess.Popen[bytes]:
        own = self.folder / name
        own.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            **self._security,
            "AGIWB_WORKSPACE": str(self.workspace(name)),
            "PYTHONPATH": str(PACKAGE_FOLDER.parent),
            "OMP_NUM_THREADS": "1",
        }
        with (own / "log.txt").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *words],
                cwd=own,
                env=environment,
                stdout=log,
                stderr=log,
            )


@contextlib.contextmanager
def running_cluster(
    folder: Path,
    *names: str,
    security: dict[str, str] | None = None,
    history: Path | None = None,
) -> Iterator[Cluster]:
    """Yield a cluster with these workers."""
    cluster = Cluster(folder, security, history)
    try:
        for name in names:
            cluster.add_worker(name)
        yield cluster
    finally:
        cluster.stop()


def free_port() -> int:
    """Return a port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        assert process.poll() is None, "The scheduler did not start."
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError("The scheduler does not listen.")
