"""The workers of a Dask cluster as a crew. Only this module knows Dask.

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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agiwb.crews.crew import Asked, Died, Ending, Said, Told, Work
from agiwb.crews.nursery import Nursery
from agiwb.errors import AgiwbError, ConfigError, WorkError

if TYPE_CHECKING:
    from distributed import Client, Future

_CONNECT_S = 20
_PAUSE_S = 0.02
_LOOK_S = 0.5
_ANSWER_S = 120

_one_at_a_time = threading.Lock()
"""A worker's threads take turns: a piece of work may have all its cores."""

_nurseries: dict[Callable[[], None], Nursery] = {}
"""The worker's, which stay: starting one takes seconds."""


@dataclass(frozen=True)
class Luggage:
    """An argument on its way to a worker; a subclass brings along what the worker may lack."""

    argument: Any

    def arrive(self, folder: Path, threads: int) -> Any:
        """Return the argument as the work takes it on a worker.

        Args:
            folder: The worker's own, kept as long as it lives.
            threads: How many threads the worker has.
        """
        return self.argument

    def send_back(self, argument: Any) -> Any:
        """Return what the work has left on the worker and shall come back, however it ended."""

    def unpack(self, brought: Any) -> None:
        """Take in what came back."""


@dataclass(frozen=True)
class _Order:
    number: int
    work: Work
    luggage: Luggage
    ready: Callable[[], None]
    timeout_s: float | None
    grace_s: float


class DaskCluster:
    """Carries out work on the workers of a Dask cluster.

    Each worker needs this version of agiwb. Work whose worker is lost is begun again by Dask on
    another one.
    """

    def __init__(
        self,
        address: str,
        at_once: int | None,
        ready: Callable[[], None],
        pack: Callable[[Any], Luggage] = Luggage,
        timeout_s: float | None = None,
        grace_s: float = 0.0,
    ) -> None:
        """Connect to the scheduler at ``address``.

        Args:
            address: The scheduler's.
            at_once: Pieces of work at once; None for as many as there are workers.
            ready: See ``Nursery``; so are ``timeout_s`` and ``grace_s``.
            pack: Makes an argument ready to travel.
            timeout_s: Seconds after which a piece of work is killed.
            grace_s: Seconds that work has to end by itself when the crew is closed.

        Raises:
            ConfigError: No scheduler answers there, or it has no workers.
        """
        from distributed import Event, Queue

        self._client = connect(address)
        self._at_once = at_once
        self._ready, self._pack = ready, pack
        self._timeout_s, self._grace_s = timeout_s, grace_s
        self._channel = f"agiwb-{uuid.uuid4().hex}"
        self._heard = Queue(self._channel, client=self._client)
        self._over = Event(self._channel, client=self._client)
        self._futures: dict[int, tuple[Future[Any], Luggage]] = {}

    def size(self) -> int:
        if self._at_once is not None:
            return self._at_once
        return max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))

    def start(self, number: int, work: Work, argument: Any) -> None:
        luggage = self._pack(argument)
        order = _Order(number, work, luggage, self._ready, self._timeout_s, self._grace_s)
        future = self._client.submit(
            carry_out, order, self._channel, key=f"{self._channel}-{number}", pure=False
        )
        self._futures[number] = (future, luggage)

    def wait(self, told: Told, tick: Callable[[], None]) -> list[Ending]:
        tick()
        # All there is: a get that waits and times out is an error in the scheduler's log.
        reports = [pickle.loads(each) for each in self._heard.get(batch=True)]  # noqa: S301  ours
        for report in reports:
            answer = told(report.number, report.what)
            if isinstance(report, Asked):
                self._answer(report.number, answer)
        ended = [number for number, (future, _) in self._futures.items() if future.done()]
        if not reports and not ended:
            time.sleep(_PAUSE_S)
        return [self._ending(number) for number in ended]

    def close(self) -> None:
        with contextlib.suppress(Exception):  # whatever a lost scheduler raises
            self._over.set()
            for number, (future, _) in self._futures.items():
                future.cancel()
                self._answer(number, None)  # it may wait for one, and looks up then
        self._client.close()

    def _answer(self, number: int, answer: Any) -> None:
        from distributed import Queue

        name = _answers_name(self._channel, number)
        Queue(name, client=self._client).put(pickle.dumps(answer))

    def _ending(self, number: int) -> Ending:
        """Return how the work of a future that is done has ended; a lost worker is one way."""
        from distributed.scheduler import KilledWorker

        future, luggage = self._futures.pop(number)
        try:
            ending, brought = future.result()
        except KilledWorker:
            return Died(number, "Each Dask worker that tried it died, perhaps for lack of memory.")
        except AgiwbError:
            raise
        except Exception as error:
            raise WorkError(
                f"The Dask cluster could not carry out its work: {type(error).__name__}: "
                f"{str(error).partition(chr(10))[0]}",
                "Install the same agiwb on all workers.",
            ) from error
        luggage.unpack(brought)
        made: Ending = ending
        return made


def connect(address: str) -> Client:
    """Return a client of the scheduler at ``address``, whose cluster has a worker at least.

    Raises:
        ConfigError: No scheduler answers there, or it has no workers.
    """
    from distributed import Client

    try:
        client = Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"No Dask scheduler answers at {address}: {str(error).partition(chr(10))[0]}",
            "Start one with `dask scheduler`, and workers with `dask worker ADDRESS`.",
        ) from None
    try:
        client.wait_for_workers(1, timeout=_CONNECT_S)
    except TimeoutError:
        client.close()
        raise ConfigError(
            f"The Dask cluster at {address} has no workers.",
            f"Start some with `dask worker {address}`.",
        ) from None
    return client


def carry_out(order: _Order, channel: str) -> tuple[Ending, Any]:
    """Return how the work ended and what comes back with it; a Dask worker calls this."""
    from distributed import Event, Queue, get_worker

    over, heard = Event(channel), Queue(channel)
    answers = Queue(_answers_name(channel, order.number))
    worker = get_worker()
    folder = Path(worker.local_directory) / "agiwb"
    with _one_at_a_time:
        argument = order.luggage.arrive(folder, worker.state.nthreads)
        if order.ready not in _nurseries:
            _nurseries[order.ready] = Nursery(order.ready, folder / "logs")
        nursery = _nurseries[order.ready]
        nursery.timeout_s, nursery.grace_s = order.timeout_s, order.grace_s
        nursery.start(order.number, order.work, argument)
        try:
            while not over.is_set():
                for report in nursery.wait(_LOOK_S):
                    if not isinstance(report, Said | Asked):
                        return report, order.luggage.send_back(argument)
                    heard.put(pickle.dumps(report))
                    if isinstance(report, Asked):
                        nursery.answer(report.number, _answered(answers))
        finally:
            nursery.kill()
    return Died(order.number, "The work is over."), None


def _answered(answers: Any) -> Any:
    try:
        return pickle.loads(answers.get(timeout=_ANSWER_S))  # noqa: S301  from who gave the work
    except TimeoutError:
        raise WorkError("The process that gave the work does not answer any more.") from None


def _answers_name(channel: str, number: int) -> str:
    return f"{channel}-{number}"
