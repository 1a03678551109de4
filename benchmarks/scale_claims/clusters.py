"""A Dask cluster of this machine, whose workers have one thread each."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_ONE_THREAD = {"OMP_NUM_THREADS": "1"}
_START_S = 60
_END_S = 20


@contextlib.contextmanager
def cluster(folder: Path, workers: int) -> Iterator[str]:
    """Yield the address of a scheduler once its ``workers`` are there; they share no workspace."""
    told = folder / "scheduler.json"
    processes = [_start(folder / "scheduler", "scheduler", "--port", "0", "--scheduler-file", told)]
    try:
        processes += [
            _start(
                folder / f"worker{number}", "worker", "--scheduler-file", told,
                "--nthreads", "1", "--no-nanny",
            )
            for number in range(workers)
        ]  # fmt: skip
        yield _address(told, workers)
    finally:
        for process in reversed(processes):  # a worker that both close at once may never end
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(folder: Path, *words: object) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True)
    environment = {
        **os.environ, **_ONE_THREAD,
        "AGIWB_WORKSPACE": str(folder / "workspace"),
    }  # fmt: skip
    with (folder / "log.txt").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *map(str, words), "--no-dashboard"],
            cwd=folder, env=environment, stdout=log, stderr=log,
        )  # fmt: skip


def _address(told: Path, workers: int) -> str:
    from distributed import Client

    until = time.monotonic() + _START_S
    while not told.is_file() or not told.read_text():
        if time.monotonic() > until:
            raise TimeoutError("The scheduler did not start.")
        time.sleep(0.1)
    with Client(scheduler_file=str(told)) as client:
        client.wait_for_workers(workers, timeout=_START_S)
        return str(client.scheduler.address)
