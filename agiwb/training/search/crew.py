"""Who carries trials out: this process, or processes of its own. Dask's are in ``dask_crew``."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from agiwb.errors import AgiwbError
from agiwb.training.search.objective import Assignment, Outcome, Told, run_trial

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

_LONGEST_WAIT_S = 0.1


class Crew(Protocol):
    """Carries out trials.

    Thread safety: one thread uses it. Ownership: whoever makes a crew closes it; that ends the
    trials that are still running.
    """

    def size(self) -> int:
        """Return how many trials it takes at once."""

    def start(self, job: Assignment) -> None:
        """Begin a trial; there must be room for it."""

    def wait(self, told: Told, tick: Callable[[], None]) -> list[Outcome]:
        """Return the trials that have ended since, after a moment if there are none.

        Args:
            told: Answers each report of the trials.
            tick: Called often; what it raises is passed on.

        Raises:
            AgiwbError: Something that no trial can be carried out with.
        """

    def close(self) -> None:
        """End all that is running, and let go of it."""


class ThisProcess:
    """Carries out one trial at a time, here."""

    def __init__(self) -> None:
        self._job: Assignment | None = None

    def size(self) -> int:
        return 1

    def start(self, job: Assignment) -> None:
        self._job = job

    def wait(self, told: Told, tick: Callable[[], None]) -> list[Outcome]:
        job, self._job = self._job, None
        return [run_trial(job, told, tick)] if job else []

    def close(self) -> None:
        self._job = None


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    job: Assignment | None = None


class LocalProcesses:
    """Carries out trials in spawned processes that share this machine's cores evenly.

    A process that dies, as for lack of memory, takes its trial with it and nothing else.
    """

    def __init__(self, count: int) -> None:
        self._threads = max(1, len(os.sched_getaffinity(0)) // count)
        self._workers = [self._hire() for _ in range(count)]

    def size(self) -> int:
        return len(self._workers)

    def start(self, job: Assignment) -> None:
        idle = next(worker for worker in self._workers if worker.job is None)
        if not idle.process.is_alive():
            self._replace(idle)
        idle.job = job
        idle.connection.send(job)

    def wait(self, told: Told, tick: Callable[[], None]) -> list[Outcome]:
        tick()
        busy = {worker.connection: worker for worker in self._workers if worker.job}
        outcomes = []
        for connection in wait(list(busy), _LONGEST_WAIT_S):
            worker = busy[connection]  # type: ignore[index]  # wait gives back what it was given
            try:
                kind, said = worker.connection.recv()
            except (EOFError, ConnectionError):
                outcomes.append(self._bury(worker))
                continue
            if kind == "report":
                answer = told(said)
                with contextlib.suppress(OSError):  # if it is gone, the next look tells
                    worker.connection.send(answer)
            elif kind == "outcome":
                worker.job = None
                outcomes.append(said)
            else:
                raise said
        return outcomes

    def close(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.connection.close()
        self._workers = []

    def _hire(self) -> _Worker:
        spawn = multiprocessing.get_context("spawn")
        ours, theirs = spawn.Pipe()
        process = spawn.Process(
            target=_serve, args=(theirs, self._threads), daemon=True, name="agiwb-trial"
        )
        with _main_module_hidden():
            process.start()
        theirs.close()
        return _Worker(process, ours)

    def _replace(self, worker: _Worker) -> None:
        worker.connection.close()
        fresh = self._hire()
        worker.process, worker.connection = fresh.process, fresh.connection

    def _bury(self, worker: _Worker) -> Outcome:
        """Return the outcome of a trial whose process is gone; the next trial gets another."""
        worker.process.join()
        code = worker.process.exitcode or 0
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        number = worker.job.number if worker.job else -1
        worker.job = None
        return Outcome(
            number,
            "failed",
            reason=f"Its process ended with {how}, perhaps for lack of memory. Try a smaller "
            "`batch_size`, or fewer `workers`.",
        )


def limit_threads(count: int) -> None:
    """Let TensorFlow use so many threads in this process, unless it has begun already."""
    from agiwb.tensorflow_quietly import import_tensorflow

    threading_config = import_tensorflow().config.threading
    with contextlib.suppress(RuntimeError):
        threading_config.set_intra_op_parallelism_threads(count)
        threading_config.set_inter_op_parallelism_threads(count)


def _serve(connection: Connection, threads: int) -> None:
    """Carry out the jobs that come, one after another, until the search's process is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the search, which ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    limit_threads(threads)

    def told(report: Any) -> bool:
        connection.send(("report", report))
        return bool(connection.recv())

    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            job: Assignment = connection.recv()
            try:
                connection.send(("outcome", run_trial(job, told)))
            except AgiwbError as error:
                connection.send(("error", error))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # a training in the middle of an epoch hears nothing else


@contextlib.contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Keep a new process from running the user's script again, which may lack the usual guard."""
    hidden = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = hidden
