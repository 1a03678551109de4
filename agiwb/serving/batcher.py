"""Merging requests into batches: on the event loop without a timer, or in threads with one.

Both give each request what it would have got alone.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

import numpy as np

from agiwb.runtimes.runtime import Tensors
from agiwb.serving.batching import BatchingParameters
from agiwb.serving.merging import Outcome, Run, run_merged
from agiwb.serving.metrics.metrics import Metrics
from agiwb.serving.status import Code, Refusal

_POOL = "batch_threads"
"""TensorFlow Serving's name, for its metrics, of a pool without a name."""
_LONE_TURNS = 8
_LONG_RUN_S = 0.0005
_TURNS_TO_ANSWER = 1
"""Of the loop, after the one that wakes who waits."""
_LOOK_EVERY = 32
_LOOKS = 2
"""Two requests in a row: at least one of them is not the last of its turn, if there are others."""

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
Settle = Callable[[Sequence[Answer | BaseException]], None]
Conclude = Callable[[Sequence[Asked], Sequence[Outcome], Settle[Answer]], None]


class TickBatcher(Generic[Asked, Answer]):
    """Merges the requests that one turn of the event loop has brought; nobody waits for a timer.

    Thread safety: for the loop's thread only.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, conclude: Conclude[Asked, Answer]) -> None:
        """``conclude`` makes the answers of what the runs of those who asked came to.

        It hands them to the function that it is given, on the loop's thread, at once or later.
        """
        self._loop = loop
        self._conclude = conclude
        self._waiting: dict[Hashable, list[_Ask[Asked, Answer]]] = {}
        self._is_due = False
        self._lone_turns = 0
        self._asked = 0

    def expects_company(self, run_s: float = 0.0) -> bool:
        """Return whether others may share a run with the request at hand; asked once for each.

        To wait for the end of the turn costs a lone request of a small model a third of all its
        time. After some that nobody joined, only two in 32 wait, to see whether that is still so.
        Beside a run of ``run_s`` seconds that is as long as ten such waits it costs little: those
        always wait, for each request that comes meanwhile would have a run of its own.
        """
        if self._waiting or self._lone_turns < _LONE_TURNS or run_s >= _LONG_RUN_S:
            return True
        self._asked += 1
        return self._asked % _LOOK_EVERY < _LOOKS

    def submit(
        self, key: Hashable, run: Run, inputs: Tensors, rows: int, most: int, asked: Asked
    ) -> asyncio.Future[Answer]:
        """Return what will be the answer.

        Requests of the same ``key`` may share a batch of at most ``most`` rows; a request of more
        runs alone.
        """
        future: asyncio.Future[Answer] = self._loop.create_future()
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._flush)
        self._waiting.setdefault(key, []).append(_Ask(run, inputs, rows, most, asked, future))
        return future

    def _flush(self) -> None:
        """Run one batch, and leave what it has no room for until its answers were sent."""
        key = next(iter(self._waiting))
        asks = [ask for ask in self._waiting.pop(key) if not ask.future.done()]
        group = _first_batch(asks)
        if left := asks[len(group) :]:
            self._waiting[key] = left  # behind the other keys: all have their turn
        self._lone_turns = self._lone_turns + 1 if len(asks) <= 1 else 0
        try:
            if group:
                self._run(group)
        finally:
            self._loop.call_soon(self._go_on, _TURNS_TO_ANSWER)

    def _go_on(self, turns: int) -> None:
        """Run the next batch after some turns, in which the loop also reads what has come.

        A turn wakes those who wait for their answers, and another one sends them: they would wait
        for a whole run more if that came in between.
        """
        if turns:
            self._loop.call_soon(self._go_on, turns - 1)
        elif self._waiting:
            self._flush()
        else:
            self._is_due = False

    def _run(self, group: list[_Ask[Asked, Answer]]) -> None:
        rows = [ask.rows for ask in group]
        outcomes = run_merged(group[0].run, [ask.inputs for ask in group], rows, sum(rows))
        settle = partial(_settle, [ask.future for ask in group])
        try:
            self._conclude([ask.asked for ask in group], outcomes, settle)
        except Exception as error:  # noqa: BLE001  nobody may wait for ever
            settle([error] * len(group))


@dataclass(slots=True)
class _Ask(Generic[Asked, Answer]):
    run: Run
    inputs: Tensors
    rows: int
    most: int
    asked: Asked
    future: asyncio.Future[Answer]


def _settle(
    futures: Sequence[asyncio.Future[Answer]], answers: Sequence[Answer | BaseException]
) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if future.done():  # nobody waits any more
            continue
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)


class QueueBatcher:
    """Gathers requests of any thread into batches that threads of its own run.

    A batch is run when it is full or its first request has waited ``batch_timeout_micros``.
    Thread safety: ``submit`` may be called from any thread; the future is set by another.
    """

    def __init__(self, parameters: BatchingParameters, metrics: Metrics | None = None) -> None:
        """Start the threads; ``metrics`` learn of each batch and how long its requests waited."""
        self._parameters = parameters
        self._metrics = metrics
        self._timeout_s = parameters.batch_timeout_micros / 1e6
        self._changed = threading.Condition()
        self._open: dict[Hashable, _Batch] = {}
        self._ready: deque[_Batch] = deque()
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._work, name=f"batch-{number}", daemon=True)
            for number in range(parameters.num_batch_threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(
        self, key: Hashable, run: Run, inputs: Tensors, rows: int, deadline: float | None = None
    ) -> Future[Tensors]:
        """Return what will be the answer.

        Raises:
            Refusal: UNAVAILABLE, the queue is full or stopped; INVALID_ARGUMENT, the request has
                more rows than a batch holds and may not be split.
        """
        future: Future[Tensors] = Future()
        task = _Task(inputs, rows, deadline, future, time.monotonic())
        limit = self._parameters.max_batch_size
        if rows > limit and not self._parameters.enable_large_batch_splitting:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"Task size {rows} is larger than maximum input batch size {limit}",
            )
        with self._changed:
            if self._stopped:
                raise Refusal(Code.UNAVAILABLE, "The server is stopping.", "Ask another.")
            batch = self._open.get(key)
            if batch is not None and batch.rows + rows > limit:
                self._close(key)
                batch = None
            if batch is None:
                if len(self._ready) + len(self._open) >= self._parameters.max_enqueued_batches:
                    raise Refusal(
                        Code.UNAVAILABLE,
                        "The batch scheduling queue to which this task was submitted is full",
                        retry_after_s=1,
                    )
                batch = self._open[key] = _Batch(run, time.monotonic() + self._timeout_s)
            batch.tasks.append(task)
            batch.rows += rows
            if batch.rows >= limit:
                self._close(key)
            self._changed.notify()
        return future

    def stop(self) -> None:
        """Run what waits, then end the threads."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _close(self, key: Hashable) -> None:
        self._ready.append(self._open.pop(key))

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            try:
                self._answer(batch)
            except Exception as error:  # noqa: BLE001  nobody may wait for ever
                for task in batch.tasks:
                    if not task.future.done():
                        task.future.set_exception(error)

    def _next(self) -> _Batch | None:
        """Wait for a batch that may run; None once stopped and empty."""
        with self._changed:
            while True:
                now = time.monotonic()
                for key, batch in list(self._open.items()):
                    if self._stopped or batch.due <= now:
                        self._close(key)
                if self._ready:
                    batch = self._ready.popleft()
                    if self._ready:  # one request may have closed two batches
                        self._changed.notify()
                    return batch
                if self._stopped:
                    return None
                first = min((batch.due for batch in self._open.values()), default=None)
                self._changed.wait(None if first is None else first - now)

    def _answer(self, batch: _Batch) -> None:
        now = time.monotonic()
        live = []
        for task in batch.tasks:
            if not task.future.set_running_or_notify_cancel():
                continue
            if task.deadline is not None and task.deadline < now:
                refusal = Refusal(Code.DEADLINE_EXCEEDED, "The deadline passed in the batch queue")
                task.future.set_exception(refusal)
            else:
                live.append(task)
        if not live:
            return
        if self._metrics is not None:
            self._metrics.ran_batch(_POOL, [now - task.since for task in live])
        rows = [task.rows for task in live]
        total = sum(rows)
        if total > self._parameters.max_batch_size:  # one large request, alone in its batch
            outcomes = [self._split(batch.run, live[0])]
        else:
            outcomes = run_merged(
                batch.run,
                [task.inputs for task in live],
                rows,
                self._parameters.padded_size(total),
                evens_out=self._parameters.pad_variable_length_inputs,
            )
        for task, outcome in zip(live, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                task.future.set_exception(outcome)
            else:
                task.future.set_result(outcome)

    def _split(self, run: Run, task: _Task) -> Outcome:
        size = self._parameters.max_batch_size
        pieces = []
        for start in range(0, task.rows, size):
            piece = {name: array[start : start + size] for name, array in task.inputs.items()}
            rows = min(size, task.rows - start)
            (outcome,) = run_merged(run, [piece], [rows], self._parameters.padded_size(rows))
            if isinstance(outcome, BaseException):
                return outcome
            pieces.append(outcome)
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


@dataclass(slots=True)
class _Task:
    inputs: Tensors
    rows: int
    deadline: float | None
    future: Future[Tensors]
    since: float


@dataclass(slots=True)
class _Batch:
    run: Run
    due: float
    tasks: list[_Task] = field(default_factory=list)
    rows: int = 0


def _first_batch(asks: list[_Ask[Asked, Answer]]) -> list[_Ask[Asked, Answer]]:
    """Return the first requests, as many as have the rows that one batch may have."""
    rows = 0
    for place, ask in enumerate(asks):
        rows += ask.rows
        if place and rows > ask.most:
            return asks[:place]
    return asks
