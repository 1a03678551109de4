"""What a worker of a Dask cluster does with a piece of work.

On each worker a nursery forks a process for each piece of work: one that crashes, or must end at
once, takes nothing else with it.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import contextlib
import pickle
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agiwb.crews.crew import Asked, Ending, Said, Work
from agiwb.crews.luggage import Luggage
from agiwb.crews.nursery import Nursery
from agiwb.errors import WorkError

_PAUSE_S = 0.02
_LOOK_S = 0.5
_ANSWER_S = 120
_ALIVE = {"running", "paused", "closing_gracefully"}
"""States of a worker; one is paused while it has little memory left."""

_AT_WORK = {"executing", "long-running"}

_one_at_a_time = threading.Lock()
"""A worker's threads take turns: a piece of work may have all its cores."""

_nurseries: dict[Callable[[], None], Nursery] = {}
"""The worker's, which stay: starting one takes seconds."""


@dataclass(frozen=True)
class Order:
    """A piece of work for a worker; see ``DaskCluster`` and ``Nursery``."""

    number: int
    work: Work
    luggage: Luggage
    ready: Callable[[], None]
    timeout_s: float | None
    grace_s: float


@dataclass(frozen=True)
class Heard:
    """What a worker's attempt at a piece of work says; each attempt has its own answers."""

    attempt: str
    report: Said | Asked


def carry_out(order: Order, channel: str) -> tuple[Ending, Any] | None:
    """Return how the work ended and what comes back with it; a Dask worker calls this.

    None if it was given up: nobody waits for it, or this worker is being closed.
    """
    from distributed import get_worker

    worker = get_worker()
    key = str(worker.get_current_task())
    folder = Path(worker.local_directory) / "agiwb"

    def is_wanted() -> bool:
        """Return whether somebody still waits for the work, as far as this worker knows."""
        task = worker.state.tasks.get(key)
        return worker.status.name in _ALIVE and task is not None and task.state in _AT_WORK

    with _turn(is_wanted):
        if not is_wanted():
            return None
        argument = order.luggage.arrive(folder, worker.state.nthreads)
        if order.ready not in _nurseries:
            _nurseries[order.ready] = Nursery(order.ready, folder / "logs")
        nursery = _nurseries[order.ready]
        nursery.timeout_s, nursery.grace_s = order.timeout_s, order.grace_s
        nursery.start(order.number, order.work, argument)
        line = _LineHome(channel, is_wanted)
        try:
            while is_wanted():
                for report in nursery.wait(_LOOK_S):
                    if not isinstance(report, Said | Asked):
                        return report, order.luggage.send_back(argument, report)
                    line.pass_on(report)
                    if isinstance(report, Asked):
                        nursery.answer(report.number, line.answer())
        finally:
            nursery.kill()
            line.close()
    return None


@contextlib.contextmanager
def _turn(is_wanted: Callable[[], bool]) -> Iterator[None]:
    """Wait for this thread's turn, or until the work is not wanted any more."""
    taken = False
    while not taken and is_wanted():
        taken = _one_at_a_time.acquire(timeout=_LOOK_S)
    try:
        yield
    finally:
        if taken:
            _one_at_a_time.release()


class _LineHome:
    """An attempt's line to whoever gave the work: queues of Dask's, made when they are needed.

    Each attempt has its own queue of answers: one that was meant for another, whose worker died, is
    never taken for its own.
    """

    def __init__(self, channel: str, is_wanted: Callable[[], bool]) -> None:
        self._channel = channel
        self._is_wanted = is_wanted
        self._attempt = f"{channel}-{uuid.uuid4().hex}"
        self._queues: dict[str, Any] = {}

    def pass_on(self, report: Said | Asked) -> None:
        """Pass on what the work says."""
        self._queue(self._channel).put(pickle.dumps(Heard(self._attempt, report)))

    def answer(self) -> Any:
        """Return the answer to what was asked last.

        Raises:
            WorkError: None comes.
        """
        answers = self._queue(self._attempt)
        until = time.monotonic() + _ANSWER_S
        while self._is_wanted() and time.monotonic() < until:
            if found := answers.get(batch=True):
                return pickle.loads(found[0])  # noqa: S301  from who gave the work
            time.sleep(_PAUSE_S)
        raise WorkError("The process that gave the work does not answer any more.")

    def close(self) -> None:
        """Let go of the queues."""
        with contextlib.suppress(Exception):  # whatever a lost scheduler raises
            for queue in self._queues.values():
                queue.close()

    def _queue(self, name: str) -> Any:
        from distributed import Queue

        if name not in self._queues:
            self._queues[name] = Queue(name)
        return self._queues[name]
