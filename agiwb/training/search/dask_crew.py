"""Trials on a Dask cluster. Only this module knows Dask."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agiwb.errors import AgiwbError, ConfigError, WorkError
from agiwb.training.search.crew import limit_threads
from agiwb.training.search.objective import Assignment, Outcome, Report, Told, run_trial

if TYPE_CHECKING:
    from distributed import Client, Future

_CONNECT_S = 20
_PAUSE_S = 0.02
_ANSWER_S = 120

_one_at_a_time = threading.Lock()
"""Keras' seeds belong to the process, so that a worker's threads take turns."""


class DaskCluster:
    """Carries out trials on the workers of a Dask cluster.

    Each worker needs this version of agiwb and the data set under the same name or path. A trial
    whose worker is lost is begun again by Dask on another one.
    """

    def __init__(self, address: str, at_once: int | None) -> None:
        from distributed import Queue

        self._client = connect(address)
        self._at_once = at_once
        self._futures: dict[int, Future[Any]] = {}
        self._channel = f"agiwb-{uuid.uuid4().hex}"
        self._reports = Queue(self._channel, client=self._client)

    def size(self) -> int:
        if self._at_once is not None:
            return self._at_once
        return max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))

    def start(self, job: Assignment) -> None:
        self._futures[job.number] = self._client.submit(
            carry_out, job, self._channel, key=f"{self._channel}-{job.number}", pure=False
        )

    def wait(self, told: Told, tick: Callable[[], None]) -> list[Outcome]:
        tick()
        # All there are: a get that waits and times out is an error in the scheduler's log.
        reports = [Report(**fields) for fields in self._reports.get(batch=True)]
        for report in reports:
            self._answers(report.number).put(told(report))
        ended = [number for number, future in self._futures.items() if future.done()]
        if not reports and not ended:
            time.sleep(_PAUSE_S)
        return [_outcome(number, self._futures.pop(number)) for number in ended]

    def close(self) -> None:
        with contextlib.suppress(Exception):  # whatever a lost scheduler raises
            for number, future in self._futures.items():
                future.cancel()
                self._answers(number).put(True)  # one that already runs ends at its next epoch
        self._client.close()

    def _answers(self, number: int) -> Any:
        from distributed import Queue

        return Queue(_answers_name(self._channel, number), client=self._client)


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


def carry_out(job: Assignment, channel: str) -> Outcome:
    """Return the outcome of a trial; a Dask worker calls this."""
    from distributed import Queue, get_worker

    reports, answers = Queue(channel), Queue(_answers_name(channel, job.number))

    def told(report: Report) -> bool:
        reports.put(dataclasses.asdict(report))
        try:
            return bool(answers.get(timeout=_ANSWER_S))
        except TimeoutError:
            raise WorkError("The process of the search does not answer any more.") from None

    with _one_at_a_time:
        limit_threads(get_worker().state.nthreads)
        return run_trial(job, told)


def _outcome(number: int, future: Future[Any]) -> Outcome:
    """Return the outcome of a future that is done; a lost worker is one as well."""
    from distributed.scheduler import KilledWorker

    try:
        outcome: Outcome = future.result()
    except AgiwbError:
        raise
    except KilledWorker:
        reason = "Each Dask worker that tried it died, perhaps for lack of memory."
        return Outcome(number, "failed", reason=reason)
    except Exception as error:
        raise WorkError(
            f"The Dask cluster could not carry out trial {number}: "
            f"{type(error).__name__}: {str(error).partition(chr(10))[0]}",
            "Install the same agiwb on all workers.",
        ) from error
    return outcome


def _answers_name(channel: str, number: int) -> str:
    return f"{channel}-{number}"
