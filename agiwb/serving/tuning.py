"""Which batching lets a server answer most within a latency budget, found by trying."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from agiwb.errors import InputError
from agiwb.runtimes.runtime import Tensors
from agiwb.serving.batching import BatchingParameters
from agiwb.serving.load_test import LoadTest, load_test
from agiwb.serving.servables.servable import Servable

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_ENOUGH_OF_THE_BEST = 0.9
_SAME_THROUGHPUT = 0.97
_TIMED_S = 0.1
_FEWEST_RUNS = 3


class LoadedServer(Protocol):
    """A running server, such as an Endpoint."""

    @property
    def url(self) -> str:
        """Where predictions are asked for, by POST."""
        ...

    def stop(self) -> None:
        """Stop the server."""
        ...


Start = Callable[[BatchingParameters | None], LoadedServer]
"""Starts a server with this batching; None for one that makes nobody wait."""


@dataclass(frozen=True)
class BatchTiming:
    """The median time of one run of a batch by the model alone."""

    rows: int
    ms: float

    @property
    def rows_per_s(self) -> float:
        """Rows that runs of this size answer in a second."""
        return 1e3 * self.rows / self.ms


@dataclass(frozen=True)
class Trial:
    """A setting and what the server did with it under load; ``batching`` None is without."""

    batching: BatchingParameters | None
    load: LoadTest

    def within(self, budget_ms: float) -> bool:
        """Return whether every request was answered, 99 of 100 within the budget."""
        return not self.load.failed and self.load.p99_ms <= budget_ms

    def __str__(self) -> str:
        if self.batching is None:
            return "without waiting"
        wait = self.batching.batch_timeout_micros / 1e3
        return f"up to {self.batching.max_batch_size} rows, {wait:g} ms"


@dataclass(frozen=True)
class Tuning:
    """What was measured, and what is best.

    Attributes:
        budget_ms: The 99th percentile of latency that was asked for.
        timings: The model alone, by batch size.
        trials: The server, by setting.
        best: The trial with the most throughput within the budget; if none is within, the one with
            the lowest 99th percentile.
        within_budget: Whether the best is.
    """

    budget_ms: float
    timings: tuple[BatchTiming, ...]
    trials: tuple[Trial, ...]
    best: Trial
    within_budget: bool

    def __str__(self) -> str:
        rows = [f"{'batching':<28}{'req/s':>8}{'p50 ms':>9}{'p99 ms':>9}  failed"]
        for trial in self.trials:
            load = trial.load
            mark = "  <- best" if trial is self.best else ""
            rows.append(
                f"{trial!s:<28}{load.requests_per_s:>8.0f}{load.p50_ms:>9.2f}{load.p99_ms:>9.2f}"
                f"  {load.failed:>6}{mark}"
            )
        if not self.within_budget:
            rows.append(
                f"Nothing kept to {self.budget_ms:g} ms; ask for less at once, or allow more."
            )
        return "\n".join(rows)


def time_batches(
    servable: Servable, row: Tensors, sizes: Sequence[int] = BATCH_SIZES
) -> tuple[BatchTiming, ...]:
    """Return how long the model alone takes for batches of ``sizes``.

    Sizes that the model does not take, for a fixed batch dimension, are left out.

    Args:
        servable: The model.
        row: Inputs by name with a first dimension of 1; repeated to each size.
        sizes: Rows of the batches.
    """
    timings = []
    for size in sizes:
        batch = {name: np.repeat(array, size, axis=0) for name, array in row.items()}
        try:
            servable.run(batch)
        except InputError:
            continue
        taken: list[float] = []
        end = time.perf_counter() + _TIMED_S
        while len(taken) < _FEWEST_RUNS or time.perf_counter() < end:
            begun = time.perf_counter()
            servable.run(batch)
            taken.append(time.perf_counter() - begun)
        timings.append(BatchTiming(size, 1e3 * statistics.median(taken)))
    return tuple(timings)


def candidates(
    timings: Sequence[BatchTiming], budget_ms: float, concurrency: int
) -> tuple[BatchingParameters | None, ...]:
    """Return the settings worth trying: without, and batches up to the size that pays.

    Larger batches pay until the rows per second are near their best; a batch may take half the
    budget, since a request may have to wait for the one before its own; and no batch fills beyond
    the clients there are. Requests wait not at all, or as long as a batch runs.
    """
    fitting = [
        timing for timing in timings
        if timing.ms <= budget_ms / 2 and timing.rows <= max(concurrency, 1)
    ]  # fmt: skip
    if not fitting:
        return (None,)
    most = max(timing.rows_per_s for timing in fitting)
    paying = next(t for t in fitting if t.rows_per_s >= _ENOUGH_OF_THE_BEST * most)
    settings: list[BatchingParameters | None] = [None]
    for timing in dict.fromkeys((paying, fitting[-1])):
        if timing.rows == 1:
            continue
        spare = budget_ms - 2 * timing.ms
        waits = (0.0, min(timing.ms, spare / 2))
        settings += [
            BatchingParameters(max_batch_size=timing.rows, batch_timeout_micros=wait)
            for wait in dict.fromkeys(round(1e3 * ms) for ms in waits)
        ]
    return tuple(settings)


def tune(
    start: Start,
    body: bytes,
    budget_ms: float,
    *,
    timings: Sequence[BatchTiming],
    concurrency: int = 16,
    seconds: float = 2.0,
    settings: Sequence[BatchingParameters | None] | None = None,
    on_trial: Callable[[Trial], None] | None = None,
) -> Tuning:
    """Return the batching with most requests per second within the budget, and all it tried.

    Each setting is a server of its own under a closed loop of ``concurrency`` clients. Settings
    within 3 % of the best throughput count as equal: the first wins, and the first is without
    batching.

    Args:
        start: Starts a server with a setting.
        body: The request, usually of one row.
        budget_ms: What the 99th percentile of latency may be, in milliseconds.
        timings: Of ``time_batches``.
        concurrency: Clients that ask at once.
        seconds: Of load for each setting.
        settings: What to try; None for ``candidates``.
        on_trial: Told of each trial when it is done.

    Raises:
        InputError: The budget is not positive, or there is nothing to try.
        ServingError: A server does not start, or nobody answers.
    """
    if budget_ms <= 0:
        raise InputError(f"A latency budget of {budget_ms:g} ms is none.", "Give more than 0.")
    chosen = candidates(timings, budget_ms, concurrency) if settings is None else settings
    if not chosen:
        raise InputError("There is no batching setting to try.", "Give at least one, or None.")
    trials = []
    for batching in chosen:
        server = start(batching)
        try:
            load = load_test(server.url, body, concurrency=concurrency, seconds=seconds)
        finally:
            server.stop()
        trials.append(Trial(batching, load))
        if on_trial is not None:
            on_trial(trials[-1])
    best = _best(trials, budget_ms)
    return Tuning(budget_ms, tuple(timings), tuple(trials), best, best.within(budget_ms))


def _best(trials: Sequence[Trial], budget_ms: float) -> Trial:
    within = [trial for trial in trials if trial.within(budget_ms)]
    if within:
        most = max(trial.load.requests_per_s for trial in within)
        return next(t for t in within if t.load.requests_per_s >= _SAME_THROUGHPUT * most)
    # One that answered nothing has no percentile.
    return min(trials, key=lambda t: (t.load.failed > 0, np.nan_to_num(t.load.p99_ms, nan=np.inf)))
