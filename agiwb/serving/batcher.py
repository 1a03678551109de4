"""Merging requests into batches: on the event loop without a timer, or in threads with one.

Both give each request exactly what it would have got alone: if a merged batch fails, its requests
are run one by one, so that one bad request spoils no other.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from agiwb.runtimes.runtime import Tensors
from agiwb.serving.batching import BatchingParameters
from agiwb.serving.status import Code, Refusal

Run = Callable[[Tensors], Tensors]
Outcome = Tensors | BaseException


def run_merged(
    run: Run, parts: Sequence[Tensors], rows: Sequence[int], padded: int
) -> list[Outcome]:
    """Return what ``run`` answers to each of ``parts``, asked all at once.

    Args:
        run: Answers a batch; each row independently of the others.
        parts: Inputs with the same names, dtypes and shapes but for the first dimension.
        rows: Rows of each part.
        padded: Rows of the batch, at least ``sum(rows)``; what is missing repeats the first row.
    """
    total = sum(rows)
    if len(parts) == 1 and padded == total:
        return [_attempt(run, parts[0])]
    try:
        outputs = run({name: _join([part[name] for part in parts], padded) for name in parts[0]})
        if any(len(array) != padded for array in outputs.values()):
            return [_attempt(run, part) for part in parts]
    except Exception:  # noqa: BLE001  whose request it was shows when each is run alone
        return [_attempt(run, part) for part in parts]
    ends = np.cumsum(rows).tolist()
    return [
        {name: array[end - size : end] for name, array in outputs.items()}
        for size, end in zip(rows, ends, strict=True)
    ]


class TickBatcher:
    """Merges the requests that one turn of the event loop has brought; nobody waits for a timer.

    Thread safety: for the loop's thread only.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[Hashable, list[_Ask]] = {}

    def submit(
        self, key: Hashable, run: Run, inputs: Tensors, rows: int, most: int
    ) -> asyncio.Future[Tensors]:
        """Return what will be the answer.

        Requests of the same ``key`` may share a batch of at most ``most`` rows; a request of more
        runs alone.
        """
        future: asyncio.Future[Tensors] = self._loop.create_future()
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.setdefault(key, []).append(_Ask(run, inputs, rows, most, future))
        return future

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for asks in waiting.values():
            for group in _pack(asks):
                rows = [ask.rows for ask in group]
                outcomes = run_merged(group[0].run, [ask.inputs for ask in group], rows, sum(rows))
                for ask, outcome in zip(group, outcomes, strict=True):
                    if ask.future.done():  # its client is gone
                        continue
                    if isinstance(outcome, BaseException):
                        ask.future.set_exception(outcome)
                    else:
                        ask.future.set_result(outcome)


@dataclass(slots=True)
class _Ask:
    run: Run
    inputs: Tensors
    rows: int
    most: int
    future: asyncio.Future[Tensors]


class QueueBatcher:
    """Gathers requests of any thread into batches that threads of its own run.

    A batch is run when it is full or its first request has waited ``batch_timeout_micros``.
    Thread safety: ``submit`` may be called from any thread; the future is set by another.
    """

    def __init__(self, parameters: BatchingParameters) -> None:
        self._parameters = parameters
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
            Refusal: UNAVAILABLE, the queue is full; INVALID_ARGUMENT, the request has more rows
                than a batch holds and may not be split.
        """
        future: Future[Tensors] = Future()
        task = _Task(inputs, rows, deadline, future)
        limit = self._parameters.max_batch_size
        if rows > limit and not self._parameters.enable_large_batch_splitting:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"Task size {rows} is larger than maximum input batch size {limit}",
            )
        with self._changed:
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
            self._answer(batch)

    def _next(self) -> _Batch | None:
        """Wait for a batch that may run; None once stopped and empty."""
        with self._changed:
            while True:
                now = time.monotonic()
                for key, batch in list(self._open.items()):
                    if self._stopped or batch.due <= now:
                        self._close(key)
                if self._ready:
                    return self._ready.popleft()
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
        rows = [task.rows for task in live]
        total = sum(rows)
        if total > self._parameters.max_batch_size:  # one large request, alone in its batch
            outcomes = [self._split(batch.run, live[0])]
        else:
            parts = [task.inputs for task in live]
            if self._parameters.pad_variable_length_inputs:
                parts = _even_out(parts)
            outcomes = run_merged(batch.run, parts, rows, self._parameters.padded_size(total))
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
            outcome = _attempt(run, piece)
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


@dataclass(slots=True)
class _Batch:
    run: Run
    due: float
    tasks: list[_Task] = field(default_factory=list)
    rows: int = 0


def _attempt(run: Run, inputs: Tensors) -> Outcome:
    try:
        return run(inputs)
    except Exception as error:  # noqa: BLE001  it is the answer of the request that caused it
        return error


def _pack(asks: list[_Ask]) -> list[list[_Ask]]:
    """Return the requests in order, in groups of as many rows as one batch may have."""
    groups: list[list[_Ask]] = []
    rows = 0
    for ask in asks:
        if not groups or rows + ask.rows > ask.most:
            groups.append([])
            rows = 0
        groups[-1].append(ask)
        rows += ask.rows
    return groups


def _join(arrays: list[np.ndarray], padded: int) -> np.ndarray:
    joined = np.concatenate(arrays) if len(arrays) > 1 else arrays[0]
    missing = padded - len(joined)
    if not missing:
        return joined
    return np.concatenate([joined, np.repeat(joined[:1], missing, axis=0)])


def _even_out(parts: list[Tensors]) -> list[Tensors]:
    """Return the parts with every shape but the first dimension padded to the largest.

    TensorFlow Serving pads with the first element of the tensor, and so does this.
    """
    evened: list[Tensors] = [{} for _ in parts]
    for name in parts[0]:
        arrays = [part[name] for part in parts]
        largest = np.max([array.shape[1:] for array in arrays], axis=0, initial=0)
        for part, array in zip(evened, arrays, strict=True):
            widths = [
                (0, 0),
                *((0, int(m - s)) for m, s in zip(largest, array.shape[1:], strict=True)),
            ]
            filler = array.flat[0] if array.size else 0
            part[name] = np.pad(array, widths, constant_values=filler)
    return evened
