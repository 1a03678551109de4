"""The thread that asks shadow versions what clients asked, once those have their answer."""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from agiwb.runtimes.runtime import Tensors
from agiwb.serving.exchange import ModelSpec
from agiwb.serving.rollout.comparison import Comparison, difference
from agiwb.serving.servables.servable import Servable
from agiwb.serving.status import Code, Refusal

_log = logging.getLogger(__name__)

MAX_WAITING = 64
MAX_WAITING_BYTES = 64 << 20


class AskedVersion(Protocol):
    """What a shadow needs of a loaded version."""

    @property
    def name(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def servable(self) -> Servable: ...
    @property
    def classes(self) -> tuple[str, ...]: ...


Lease = Callable[[ModelSpec], AbstractContextManager[AskedVersion]]
Compared = Callable[[str, int, int, int], None]
"""Told of model, shadow version, rows compared and rows disagreeing."""


@dataclass(frozen=True, slots=True)
class ShadowTask:
    """One request that was answered, to be answered once more."""

    model: str
    champion: int
    signature_name: str
    inputs: Tensors
    outputs: Tensors
    comparison: Comparison
    bytes: int


class ShadowRunner:
    """A bounded queue and the one thread that works it off. ``offer`` may be called by any thread.

    Attributes:
        dropped: Requests that found the queue full.
        skipped: Requests whose shadow version was not loaded, or replaced, when their turn came.
    """

    def __init__(self, lease: Lease, compared: Compared) -> None:
        self._lease = lease
        self._compared = compared
        self._tasks: queue.SimpleQueue[ShadowTask | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = self._waiting_bytes = 0
        self._thread: threading.Thread | None = None
        self.dropped = self.skipped = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the thread after the request it is at; what waits is let go."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        while True:
            try:
                self._tasks.get_nowait()
            except queue.Empty:
                break
        self._tasks.put(None)
        thread.join(timeout_s)

    def offer(
        self,
        share: float,
        comparison: Comparison,
        version: AskedVersion,
        signature_name: str,
        inputs: Tensors,
        outputs: Tensors,
    ) -> None:
        """Take a ``share`` of what is offered, while there is room; never wait."""
        if share < 1.0 and random.random() >= share:  # noqa: S311  a sample, not a secret
            return
        size = sum(a.nbytes for a in inputs.values()) + sum(a.nbytes for a in outputs.values())
        with self._lock:
            if self._waiting >= MAX_WAITING or self._waiting_bytes + size > MAX_WAITING_BYTES:
                self.dropped += 1
                return
            self._waiting += 1
            self._waiting_bytes += size
        self._tasks.put(
            ShadowTask(
                version.name, version.number, signature_name, inputs, outputs, comparison, size
            )
        )

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                self._ask(task)
            except Exception:  # noqa: BLE001  nobody waits for it
                _log.exception("A shadow request to %s could not be compared.", task.model)
            finally:
                with self._lock:
                    self._waiting -= 1
                    self._waiting_bytes -= task.bytes

    def _ask(self, task: ShadowTask) -> None:
        comparison = task.comparison
        try:
            lease = self._lease(ModelSpec(task.model, version=comparison.version))
            with lease as version:
                self._compare(task, version)
        except Refusal as refusal:
            if refusal.code != Code.NOT_FOUND:
                raise
            self.skipped += 1

    def _compare(self, task: ShadowTask, version: AskedVersion) -> None:
        comparison = task.comparison
        champion_s = self._time_champion(task) if comparison.requests % 2 else None
        begun = time.perf_counter()
        try:
            given = version.servable.run(task.inputs, task.signature_name, tuple(task.outputs))
        except Exception as error:  # noqa: BLE001  a shadow may fail in any way it likes
            rows = max((a.shape[0] for a in task.outputs.values() if a.ndim), default=1)
            comparison.add_failure(rows, error)
            self._compared(task.model, comparison.version, rows, rows)
            return
        seconds = time.perf_counter() - begun
        if champion_s is None:
            champion_s = self._time_champion(task)
        found = difference(task.outputs, given, version.classes)
        comparison.add(found, champion_s, seconds)
        self._compared(task.model, comparison.version, found.rows, found.disagreeing)

    def _time_champion(self, task: ShadowTask) -> float:
        """Return how long the champion takes here, seconds.

        What the client waited for is no measure: it may have shared a batch, or queued. Here both
        run alone, in turns first, so that a processor busy with other things is unfair to neither.
        """
        with self._lease(ModelSpec(task.model, version=task.champion)) as champion:
            begun = time.perf_counter()
            champion.servable.run(task.inputs, task.signature_name, tuple(task.outputs))
            return time.perf_counter() - begun
