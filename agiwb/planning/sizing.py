"""From what a request costs to how many servers a load needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from pydantic import BaseModel, ConfigDict

from agiwb.errors import WorkError
from agiwb.planning.measuring import Measurement
from agiwb.planning.queueing import Service, run_queue
from agiwb.serving.tuning import BatchTiming, candidates

_MOST_REPLICAS = 100_000
_DAY_S = 86_400
_GB = 1e9
_LOADS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_MEMORY_KEPT_FREE = 1.3
"""The request of memory over what was measured; the limit is twice the request."""
_MEMORY_STEP_MIB = 32
_CLIENTS_TO_FILL = 1 << 20


class Prediction(BaseModel):
    """What one setting is predicted to do; times in milliseconds as a client sees them."""

    model_config = ConfigDict(frozen=True)

    replicas: int
    requests_per_s: float
    """Of all replicas together."""
    load: float
    """Requests per second over those at which queues grow for ever."""
    p50_ms: float
    p99_ms: float
    wait_ms: float
    """Mean time in the queue and in the run."""
    requests_per_run: float


class Batching(BaseModel):
    """TensorFlow Serving's batching parameters that would save replicas; predicted, not tried."""

    model_config = ConfigDict(frozen=True)

    max_batch_size: int
    batch_timeout_micros: int = 0
    num_batch_threads: int = 1
    replicas: int


class Sizing(BaseModel):
    """What a load needs.

    Attributes:
        chosen: The fewest replicas that keep to the latency and the headroom.
        by_replicas: The same for fewer and more.
        by_load: One replica at rising load.
        max_replicas: What an autoscaler may go to: twice the load.
        cores: Of all replicas: one a worker.
        cores_busy: Of those, what the load takes on average.
        cpu_request: Cores of one replica.
        memory_request_mib: Of one replica; the limit is twice that.
        log_gb_per_day: As the prediction log is written.
        parquet_gb_per_day: The same once compacted.
        mb_per_s: Of requests, in the network.
        batching: Parameters that may save replicas; None if the server's own merging does as well.
    """

    model_config = ConfigDict(frozen=True)

    chosen: Prediction
    by_replicas: tuple[Prediction, ...]
    by_load: tuple[Prediction, ...]
    max_replicas: int
    cores: int
    cores_busy: float
    cpu_request: int
    memory_request_mib: int
    log_gb_per_day: float
    parquet_gb_per_day: float
    mb_per_s: float
    batching: Batching | None


class Predictor:
    """Predicts latencies of replicas of ``workers`` processes, each with a queue of its own.

    What a client sees is the time in the queue and in the run, and beside it what a lone client saw
    beyond the run in the median: network and kernel.
    """

    def __init__(self, measured: Measurement, service: Service) -> None:
        self._workers = measured.workers
        self._service = service
        self._lone_ms = measured.lone_ms
        self._beyond_ms = max(0.0, float(np.median(measured.lone_ms)) - 1e3 * service.lone_s)

    def predict(self, requests_per_s: float, replicas: int) -> Prediction:
        """Return what ``replicas`` do with so many requests; ``load`` is below 1."""
        rate = requests_per_s / (replicas * self._workers)
        queue = run_queue(self._service, rate)
        seen = 1e3 * queue.seconds + self._beyond_ms
        return Prediction(
            replicas=replicas,
            requests_per_s=requests_per_s,
            load=self._service.busy(rate),
            p50_ms=float(np.percentile(seen, 50)),
            p99_ms=float(np.percentile(seen, 99)),
            wait_ms=1e3 * float(queue.seconds.mean()),
            requests_per_run=queue.requests_a_run,
        )

    def fewest(self, requests_per_s: float, load: float) -> int:
        """Return how few replicas keep to a load, whatever the latency."""
        capacity = self._service.capacity * self._workers
        return max(1, math.ceil(requests_per_s / (load * capacity)))

    @property
    def capacity(self) -> float:
        """Requests per second of one replica at which its queues grow for ever."""
        return self._service.capacity * self._workers

    def lone_p99_ms(self) -> float:
        """Return the 99th percentile of a request that finds nobody else."""
        return float(np.percentile(self._lone_ms, 99))


def size(
    measured: Measurement,
    *,
    requests_per_s: float,
    p99_ms: float,
    rows: int,
    headroom: float,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Sizing:
    """Return what ``requests_per_s`` requests of ``rows`` rows need.

    Args:
        measured: On the kind of machine that will serve.
        requests_per_s: All together, at the busiest.
        p99_ms: What 99 of 100 requests may take, as a client sees it.
        rows: Examples of one request.
        headroom: Share of the capacity that is kept free.
        progress: Told what is done.

    Raises:
        WorkError: No number of replicas keeps to ``p99_ms``.
    """
    service = measured.service(rows)
    predictor = Predictor(measured, service)
    if predictor.lone_p99_ms() > p99_ms:
        raise WorkError(
            f"No number of servers answers 99 of 100 requests within {p99_ms:g} ms: one that finds "
            f"nobody else takes {predictor.lone_p99_ms():.3g} ms, "
            f"{1e3 * service.lone_s:.3g} ms of it the server's own work.",
            "Allow more, send fewer rows at once or `--payload binary`, make the model faster "
            "(`agiwb sweep`), or use a faster machine.",
        )
    progress("queue", 0, 2)
    chosen = _fewest_within(predictor, requests_per_s, p99_ms, headroom)
    progress("queue", 1, 2)
    counts = sorted({*range(max(1, chosen.replicas - 3), chosen.replicas), *_beyond(chosen)})
    stable = [count for count in counts if requests_per_s < 0.98 * count * predictor.capacity]
    memory = (
        math.ceil(measured.memory_mib * _MEMORY_KEPT_FREE / _MEMORY_STEP_MIB) * _MEMORY_STEP_MIB
    )
    per_day = requests_per_s * _DAY_S / _GB
    busy_s = service.per_request_s + service.per_run_s / chosen.requests_per_run
    return Sizing(
        chosen=chosen,
        by_replicas=tuple(predictor.predict(requests_per_s, count) for count in stable),
        by_load=tuple(predictor.predict(load * predictor.capacity, 1) for load in _LOADS),
        max_replicas=max(2 * chosen.replicas, chosen.replicas + 1),
        cores=chosen.replicas * measured.workers,
        cores_busy=requests_per_s * busy_s,
        cpu_request=measured.workers,
        memory_request_mib=memory,
        log_gb_per_day=per_day * measured.log_bytes,
        parquet_gb_per_day=per_day * measured.parquet_bytes,
        mb_per_s=requests_per_s * measured.body_bytes / 1e6,
        batching=_better_batching(measured, rows, requests_per_s, p99_ms, headroom, chosen),
    )


def unmerged_wait_ms(measured: Measurement, rows: int, prediction: Prediction) -> float:
    """Return the mean time a request would take if none were merged; infinity if overloaded."""
    service = replace(measured.service(rows), most=1)
    rate = prediction.requests_per_s / (prediction.replicas * measured.workers)
    if rate >= service.capacity:
        return math.inf
    return 1e3 * float(run_queue(service, rate).seconds.mean())


def _fewest_within(
    predictor: Predictor, requests_per_s: float, p99_ms: float, headroom: float
) -> Prediction:
    """Return the fewest replicas within both bounds, found by halving: more never wait longer."""
    low = predictor.fewest(requests_per_s, 1 - headroom)
    found = predictor.predict(requests_per_s, low)
    if found.p99_ms <= p99_ms:
        return found
    high = low
    while found.p99_ms > p99_ms:
        low, high = high, 2 * high
        if high > _MOST_REPLICAS:
            raise WorkError(
                f"More than {_MOST_REPLICAS} replicas would be needed for {p99_ms:g} ms: that is "
                f"as good as the {predictor.lone_p99_ms():.3g} ms of a request that finds nobody.",
                "Allow more.",
            )
        found = predictor.predict(requests_per_s, high)
    while high - low > 1:
        middle = (low + high) // 2
        tried = predictor.predict(requests_per_s, middle)
        if tried.p99_ms <= p99_ms:
            high, found = middle, tried
        else:
            low = middle
    return found


def _beyond(chosen: Prediction) -> list[int]:
    return [chosen.replicas + more for more in range(4)]


def _better_batching(
    measured: Measurement,
    rows: int,
    requests_per_s: float,
    p99_ms: float,
    headroom: float,
    chosen: Prediction,
) -> Batching | None:
    """Return parameters of a batching queue that need fewer replicas, by what the model takes."""
    timings = [BatchTiming(size, ms) for size, ms in sorted(measured.timings_ms.items())]
    if not measured.merges or not timings:
        return None
    best: Batching | None = None
    sizes = {one.max_batch_size for one in candidates(timings, p99_ms, _CLIENTS_TO_FILL) if one}
    for most in sorted(sizes):
        service = _batched(measured, timings, rows, most)
        predictor = Predictor(measured, service)
        if predictor.lone_p99_ms() > p99_ms:
            continue
        found = _fewest_within(predictor, requests_per_s, p99_ms, headroom)
        if found.replicas < (best.replicas if best else chosen.replicas):
            best = Batching(max_batch_size=most, replicas=found.replicas)
    return best


def _batched(
    measured: Measurement, timings: Sequence[BatchTiming], rows: int, most: int
) -> Service:
    """Return the service with batches of ``most`` rows: the model's time, and the rest as it is."""
    one = timings[0].ms
    largest = next(timing for timing in timings if timing.rows == most)
    per_row = max(0.0, (largest.ms - one) / max(largest.rows - 1, 1))
    service = measured.service(rows)
    whole_ms = service.lone_s * 1e3
    rest = max(0.0, whole_ms - one - per_row * (rows - 1))
    per_run_s, per_request_s = (one - per_row) / 1e3, (rest + per_row * rows) / 1e3
    return replace(
        service, per_run_s=per_run_s, per_request_s=per_request_s, most=max(1, most // rows)
    )
