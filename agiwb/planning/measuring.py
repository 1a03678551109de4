"""What a request costs the real server on this machine: processor time, memory, bytes of log."""

from __future__ import annotations

import re
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agiwb.artifacts.resolve import ArtifactSource
from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.errors import InputError, WorkError
from agiwb.planning.payload import Encoding, Payload, payload
from agiwb.planning.queueing import Pace, Service
from agiwb.planning.usage import Use, cpu_s, memory_mib
from agiwb.serving.address import Ready
from agiwb.serving.engine import rows_together
from agiwb.serving.launch import start_server, stop_server
from agiwb.serving.load_test import LoadTest, load_test
from agiwb.serving.publish import publish
from agiwb.serving.row_wise import find_row_wise
from agiwb.serving.servables.loader import load_servable
from agiwb.serving.servables.warm_up import zero_batch
from agiwb.serving.serve import as_flags
from agiwb.serving.settings import ServerSettings
from agiwb.serving.tuning import BatchTiming, time_batches

CONCURRENCIES = (1, 4, 16, 64)
_MODEL = "planned"
_WARM_UP_S = 0.3
_LATENCY_POINTS = 200
_EVEN_PARTS, _LONGEST_PARTS = 1000, 500
"""Of a pace that are kept: parts of equal work, and those that took longest."""
_IDLING_LOAD, _OVERLOAD = 0.5, 1.5
"""Of what the server answered at most: so often it is asked at random, to idle or to never idle."""
_KEPT_BUSY = 0.85
"""Share of its workers' time that a server uses if the generator sends more than it can answer."""

Progress = Callable[[str, int, int], None]
"""Told of a phase, how much of it is done, and of how much."""


class LoadPoint(BaseModel):
    """What the server did for a number of clients that ask again as soon as they are answered."""

    model_config = ConfigDict(frozen=True)

    concurrency: int
    requests_per_s: float
    cpu_us_per_request: float
    requests_per_run: float
    """Requests that the model answered together, on average."""


class Measurement(BaseModel):
    """What was measured of one server with ``workers`` processes.

    Attributes:
        workers: Processes that answered.
        points: Under load, of clients that never let it idle.
        per_run_us: Processor time of a run of the model that does not grow with what is in it.
        per_request_us: Processor time of each request besides.
        slowness: Seconds that pass for each of those of processor time while the server has more
            to do than it can: what else delays it on this machine. At least 1.
        pause_us: Processor time that a run takes more after the server had nothing to do: caches
            are cold then.
        pace_s: Seconds for which it had more to do than it can.
        pace: Shares of the requests that were answered then, and when each was, as shares of those
            seconds.
        lone_ms: Latencies of a client that is alone: quantiles, evenly spaced from 0 to 1.
        rows_together: Most rows that the server runs together by itself.
        merges: Whether requests may share a run of the model at all.
        timings_ms: Milliseconds that the model alone takes, by rows.
        memory_mib: Proportional set size of all processes after the load.
        log_bytes: Of the prediction log, of one request, as it is written; 0 without one.
        parquet_bytes: Of the same once it is compacted; all requests were equal, which helps it.
        body_bytes: Of one request.
        others_busy: Share of this machine's processors that other processes used meanwhile.
    """

    model_config = ConfigDict(frozen=True)

    workers: int
    points: tuple[LoadPoint, ...]
    per_run_us: float
    per_request_us: float
    slowness: float
    pause_us: float
    pace_s: float
    pace: tuple[tuple[float, float], ...]
    lone_ms: tuple[float, ...]
    rows_together: int
    merges: bool
    timings_ms: dict[int, float]
    memory_mib: float
    log_bytes: float
    parquet_bytes: float
    body_bytes: int
    others_busy: float

    def service(self, rows: int) -> Service:
        """Return the service of one worker for requests of ``rows`` rows, at the pace seen."""
        most = max(1, self.rows_together // rows) if self.merges else 1
        scale = self.slowness / 1e6
        return Service(
            self.per_run_us * scale,
            self.per_request_us * scale,
            most,
            self.pause_us * scale,
            Pace(self.pace_s, *zip(*self.pace, strict=True)),
        )


@dataclass(frozen=True)
class _Reading:
    """What a server had used and done at one moment."""

    cpu_s: float
    runs: float


def measure(
    source: ArtifactSource,
    *,
    workers: int,
    rows: int,
    encoding: Encoding,
    logs: bool,
    seconds: float,
    progress: Progress = lambda *_: None,
) -> Measurement:
    """Return what requests of ``rows`` rows cost a server of ``source`` with ``workers``.

    Args:
        source: A standalone artifact.
        workers: Processes of the server.
        rows: Examples of one request.
        encoding: Of the requests.
        logs: Whether the server keeps a prediction log meanwhile.
        seconds: Of load for each number of clients.
        progress: Told what is done.

    Raises:
        InputError: The artifact has no ``serving_default``.
        WorkError: The server did not answer the requests.
        ServingError: It did not start.
    """
    with tempfile.TemporaryDirectory(prefix="agiwb-plan-") as scratch:
        place = Path(scratch)
        base_path = place / _MODEL
        version = publish(source, base_path)
        servable = load_servable(_MODEL, version, 1)
        try:
            if SIGNATURE_NAME not in servable.signatures:
                raise InputError(
                    f"The model {source.artifact.name} has no signature {SIGNATURE_NAME}.",
                    "Plan for a model that has.",
                )
            signature = servable.signatures[SIGNATURE_NAME].signature
            timings = time_batches(servable, zero_batch(signature))
            merges = SIGNATURE_NAME in find_row_wise(servable)
            together = rows_together(rows, servable.run_time) if servable.inline else 0
        finally:
            servable.close()
        asked = payload(_MODEL, signature, rows, encoding)
        settings = ServerSettings(
            model_name=_MODEL,
            model_base_path=base_path,
            workers=workers,
            rest_api_port=0,
            grpc=False,
            **({"log_folder": place / "log"} if logs else {}),
        )
        loaded = _load(settings, asked, place / "server.log", seconds, progress)
        written, parquet = _log_bytes(place / "log" / _MODEL) if logs else (0.0, 0.0)
        model = _Model(timings, merges, together)
        return _summarise(loaded, asked, model, written, parquet)


@dataclass(frozen=True)
class _Model:
    """What is so of the model alone."""

    timings: Sequence[BatchTiming]
    merges: bool
    rows_together: int


@dataclass(frozen=True)
class _Loaded:
    workers: int
    points: tuple[LoadPoint, ...]
    now_and_then: LoadPoint
    overloaded: LoadPoint
    lone: LoadTest
    overload: LoadTest
    memory_mib: float
    others_busy: float


def _load(
    settings: ServerSettings, asked: Payload, log_file: Path, seconds: float, progress: Progress
) -> _Loaded:
    """Return what a server did under load; it is stopped afterwards."""
    process, ready = start_server(as_flags(settings), log_file)
    points, tests = [], []
    try:
        begun = Use.now(process.pid)
        for done, clients in enumerate(CONCURRENCIES):
            progress("load", done, len(CONCURRENCIES) + 2)
            count = max(clients, settings.workers)
            point, test = _ask(process.pid, ready, asked, count, seconds)
            points.append(point)
            tests.append(test)
        rate = max(point.requests_per_s for point in points)
        count = max(CONCURRENCIES[-1], settings.workers)
        progress("load", len(CONCURRENCIES), len(CONCURRENCIES) + 2)
        now_and_then, _ = _ask(process.pid, ready, asked, count, seconds, _IDLING_LOAD * rate)
        progress("load", len(CONCURRENCIES) + 1, len(CONCURRENCIES) + 2)
        overloaded, overload = _ask(process.pid, ready, asked, count, seconds, _OVERLOAD * rate)
        others = Use.now(process.pid).others_since(begun)
        memory = memory_mib(process.pid)
        return _Loaded(
            settings.workers,
            tuple(points),
            now_and_then,
            overloaded,
            tests[0],
            overload,
            memory,
            others,
        )
    finally:
        stop_server(process)


def _ask(
    pid: int, ready: Ready, asked: Payload, count: int, seconds: float, rate: float | None = None
) -> tuple[LoadPoint, LoadTest]:
    """Return what ``count`` clients found who ask at once again, or at random at ``rate``."""
    url = ready.address + asked.path

    def load(seconds: float) -> LoadTest:
        return load_test(
            url,
            asked.body,
            headers=asked.headers,
            concurrency=count,
            seconds=seconds,
            rate=rate,
            poisson=rate is not None,
            warm_up_s=0.0,
        )

    load(_WARM_UP_S)
    before = _read(pid, ready)
    test = load(seconds)
    after = _read(pid, ready)
    answered = len(test.latencies_ms)
    if test.failed or not answered:
        raise WorkError(
            f"The server did not answer all requests: {test}.",
            "Does the model take that many rows? Its log is shown by `agiwb serve`.",
        )
    point = LoadPoint(
        concurrency=count,
        requests_per_s=test.requests_per_s,
        cpu_us_per_request=1e6 * (after.cpu_s - before.cpu_s) / answered,
        requests_per_run=answered / max(after.runs - before.runs, 1.0),
    )
    return point, test


def fit_service(points: Sequence[LoadPoint]) -> tuple[float, float]:
    """Return the microseconds of a run and of a request that explain the processor time best.

    By least squares over ``cpu = per_run / requests_per_run + per_request``. Where requests were
    never merged the two cannot be told apart, and all of it is the request's.
    """
    shares = np.array([1 / point.requests_per_run for point in points])
    times = np.array([point.cpu_us_per_request for point in points])
    if np.ptp(shares) < 0.05:
        return 0.0, float(times.mean())
    per_run, per_request = np.polyfit(shares, times, 1)
    if per_run < 0:
        return 0.0, float(times.mean())
    if per_request < 0:
        return float((times @ shares) / (shares @ shares)), 0.0
    return float(per_run), float(per_request)


def _summarise(
    loaded: _Loaded,
    asked: Payload,
    model: _Model,
    written: float,
    parquet: float,
) -> Measurement:
    per_run, per_request = fit_service(loaded.points)
    slowness, pause_us = _delays(loaded, per_run, per_request)
    quantiles = np.linspace(0, 100, _LATENCY_POINTS + 1)
    lone = np.percentile(loaded.lone.latencies_ms, quantiles)
    return Measurement(
        workers=loaded.workers,
        points=loaded.points,
        per_run_us=per_run,
        per_request_us=per_request,
        slowness=slowness,
        pause_us=pause_us,
        pace_s=float(loaded.overload.answered_s[-1]),
        pace=find_pace(loaded.overload.answered_s),
        lone_ms=tuple(lone.tolist()),
        rows_together=model.rows_together,
        merges=model.merges,
        timings_ms={timing.rows: timing.ms for timing in model.timings},
        memory_mib=loaded.memory_mib,
        log_bytes=written,
        parquet_bytes=parquet,
        body_bytes=len(asked.body),
        others_busy=loaded.others_busy,
    )


def _delays(loaded: _Loaded, per_run: float, per_request: float) -> tuple[float, float]:
    """Return the slowness, and the microseconds of processor time that a pause costs."""

    def explained(point: LoadPoint) -> float:
        return per_run / point.requests_per_run + per_request

    busy, seen = loaded.overloaded, loaded.now_and_then
    slowness = busy.cpu_us_per_request / explained(busy)
    us_per_request = 1e6 * loaded.workers / busy.requests_per_s
    if busy.cpu_us_per_request > _KEPT_BUSY * us_per_request:
        slowness = us_per_request / explained(busy)
    more_us = seen.cpu_us_per_request / busy.cpu_us_per_request * explained(busy) - explained(seen)
    idle = 1 - seen.cpu_us_per_request * seen.requests_per_s / (1e6 * loaded.workers)
    # As many requests find a server idle as it is idle of the time: Poisson arrivals see averages.
    return max(1.0, slowness), max(0.0, more_us) / max(idle, 1 - _KEPT_BUSY)


def find_pace(answered_s: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """Return shares of the requests, and when each was answered, as shares of the time of all.

    Where the server stood still is told exactly, the rest in a thousand parts.

    Args:
        answered_s: Seconds at which each was, in that order; shape ``(requests,)``, not empty.
    """
    times = np.concatenate([[0.0], answered_s])
    longest = np.argsort(np.diff(times))[-_LONGEST_PARTS:]
    evenly = np.linspace(0, len(answered_s), _EVEN_PARTS + 1).round().astype(int)
    kept = np.unique(np.concatenate([evenly, longest, longest + 1]))
    done, reached = kept / len(answered_s), times[kept] / answered_s[-1]
    return tuple(zip(done.round(7).tolist(), reached.round(7).tolist(), strict=True))


def _read(pid: int, ready: Ready) -> _Reading:
    with urllib.request.urlopen(f"{ready.address}/metrics") as response:  # noqa: S310  it is ours
        text = response.read().decode()

    def total(name: str) -> float:
        return sum(map(float, re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)))

    return _Reading(cpu_s(pid), total("agiwb_batch_rows_count"))


def _log_bytes(folder: Path) -> tuple[float, float]:
    """Return the bytes a request takes in the log as it is written, and compacted."""
    from agiwb.serving.prediction_log.compaction import compact
    from agiwb.serving.prediction_log.places import segments_in

    written = sum(segment.stat().st_size for segment in segments_in(folder))
    done = compact(folder)
    kept = sum(part.stat().st_size for part in done.parts)
    return written / max(done.rows, 1), kept / max(done.rows, 1)
