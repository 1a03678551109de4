"""Candidates made by the workers of a Dask cluster. Only this module of the sweep knows Dask."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import contextlib
import threading
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agiwb.compression.trials.assignment import Assignment
from agiwb.compression.trials.cache import Cache, Parcel
from agiwb.compression.trials.making import make
from agiwb.compression.trials.nursery import Died, Nursery, Report, Said
from agiwb.compression.trials.shared_data import share
from agiwb.errors import AgiwbError, WorkError
from agiwb.runs.files import sha256_of_file, write_atomic

if TYPE_CHECKING:
    from distributed import Future

_PAUSE_S = 0.05
_LOOK_S = 0.5

_one_at_a_time = threading.Lock()
"""A worker's threads take turns: a candidate has the threads that the sweep gives it."""

_nurseries: dict[Path, Nursery] = {}
"""The worker's, which stays: starting one imports TensorFlow."""


@dataclass(frozen=True)
class Order:
    """An assignment with all that its worker may lack.

    Attributes:
        job: The assignment, whose paths are the sweep's machine's.
        dataset: Name or path of the data set, which the worker must have as well.
        model: Content of the model's file.
        known: The longest part of the training that is done already.
        timeout_s: After so many seconds it is ended.
    """

    job: Assignment
    dataset: str
    model: bytes
    known: Parcel | None
    timeout_s: float | None


class DaskWorkers:
    """Makes candidates on the workers of a Dask cluster.

    Each worker needs this version of agiwb and the data set under the same name or path. What it
    has made comes back with all stages that it has trained.
    """

    def __init__(
        self, address: str, at_once: int | None, dataset: str, timeout_s: float | None
    ) -> None:
        from distributed import Event

        from agiwb.training.search.dask_crew import connect

        self._client = connect(address)
        self._at_once = at_once
        self._dataset = dataset
        self._timeout_s = timeout_s
        self._channel = f"agiwb-{uuid.uuid4().hex}"
        self._over = Event(self._channel, client=self._client)
        self._futures: dict[int, tuple[Future[Any], Assignment]] = {}

    def size(self) -> int:
        if self._at_once is not None:
            return self._at_once
        return max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))

    def start(self, number: int, job: Assignment) -> None:
        parcels = map(job.cache.pack, reversed(job.stages_keys))
        order = Order(
            job,
            self._dataset,
            job.material.model.read_bytes(),
            next((parcel for parcel in parcels if parcel), None),
            self._timeout_s,
        )
        future = self._client.submit(
            carry_out, order, self._channel, key=f"{self._channel}-{number}", pure=False
        )
        self._futures[number] = (future, job)

    def wait(self) -> list[Report]:
        ended = [number for number, (future, _) in self._futures.items() if future.done()]
        if not ended:
            time.sleep(_PAUSE_S)
        return [self._report(number) for number in ended]

    def close(self) -> None:
        with contextlib.suppress(Exception):  # whatever a lost scheduler raises
            self._over.set()
            for future, _ in self._futures.values():
                future.cancel()
        self._client.close()

    def _report(self, number: int) -> Report:
        from distributed.scheduler import KilledWorker

        future, job = self._futures.pop(number)
        try:
            report, parcels = future.result()
        except KilledWorker:
            return Died(number, "Each Dask worker that tried it died, perhaps for lack of memory.")
        except AgiwbError:
            raise
        except Exception as error:
            raise WorkError(
                f"The Dask cluster could not carry out a candidate: {type(error).__name__}: "
                f"{str(error).partition(chr(10))[0]}",
                "Install the same agiwb on all workers.",
            ) from error
        for parcel in parcels:
            job.cache.unpack(parcel)
        numbered: Report = replace(report, number=number)
        return numbered


def carry_out(order: Order, channel: str) -> tuple[Report, list[Parcel]]:
    """Return how the candidate ended and what was made; a Dask worker calls this.

    Raises:
        WorkError: This machine has other data or other code than the sweep was started with.
    """
    from distributed import Event, get_worker

    over = Event(channel)
    with _one_at_a_time:
        folder = Path(get_worker().local_directory) / "agiwb-candidates"
        job = _here(order, folder)
        if folder not in _nurseries:
            _nurseries[folder] = Nursery(folder / "logs")
        nursery = _nurseries[folder]
        nursery.timeout_s = order.timeout_s
        nursery.start(0, make, job)
        while not over.is_set():
            for report in nursery.wait(_LOOK_S):
                if not isinstance(report, Said):
                    parcels = map(job.cache.pack, (*job.stages_keys, job.key))
                    return report, [parcel for parcel in parcels if parcel]
        nursery.kill()
        return Died(0, "The sweep is over."), []


def _here(order: Order, folder: Path) -> Assignment:
    """Return the assignment with the files of this machine."""
    from agiwb.datasets.registry import load_arrays_of_classes

    material = order.job.material
    arrays = folder / f"data-{material.data_sha256[:16]}"
    if not (arrays / "complete").exists():
        data = load_arrays_of_classes(order.dataset, "A sweep")
        if data.fingerprint != material.data_sha256:
            raise WorkError(
                "A worker has another version of the data set than the sweep was started with.",
                "Give all workers the same files.",
            )
        share(data, arrays)
        (arrays / "complete").touch()
    model = folder / f"{material.model_sha256[:16]}.keras"
    if not model.is_file() or sha256_of_file(model) != material.model_sha256:
        write_atomic(model, order.model)
    cache = Cache(folder / "entries", folder / "drafts", order.job.cache.not_before)
    if order.known is not None:
        cache.unpack(order.known)
    return order.job.elsewhere(model, arrays, cache)
