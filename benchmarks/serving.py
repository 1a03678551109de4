"""Serving a small model: agiwb against mosec, LitServe, BentoML, MLServer and FastAPI.

Run it with ``python benchmarks/serving.py``; it takes about twelve minutes, and the first time
some more to install each peer into an environment of its own below the folder for temporary files.
It needs Debian's packages ``wrk`` and ``nghttp2-client``. ``--rounds 1 --seconds 1`` is a quick
look, and ``--only mosec,mlserver`` leaves peers out.

Every server serves the same ONNX model (64-128-10), with one worker and one thread of ONNX Runtime,
all of it on one core; the load comes from another. Servers take turns, round after round, so that
the drift of the machine meets all alike; each is started for its turn and ended after it. Medians
of the rounds are shown. Our server logs every prediction; the peers log nothing. Each turn has a
log of its own: to compact another turn's, as a server does when it starts, is no part of this one.

``onnxruntime`` is ONNX Runtime behind a bare socket, in a process of its own that checks, routes
and logs nothing: the same process layout as a server, and the limit for any that has one process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from serving_load.claims import at_least, at_most
from serving_load.environments import MissingError
from serving_load.generators import Load, load_grpc, load_http, require_generators
from serving_load.models import FEATURES, write_mlp
from serving_load.processes import MachineWatch, on_core, two_cores
from serving_load.servers import KINDS, ONNXRUNTIME, OURS, Dialect, Kind, Rows, Server, ask, url_of

from agiwb.runtimes.onnx import OnnxRuntime

BATCHES = (1, 32)
CONNECTIONS = (1, 16)
WARM_UP = 500
LARGEST_ERROR = 1e-5
TIMES_BETTER = {"mosec": 1.0, "mlserver": 4.0, "litserve": 6.0, "bentoml": 10.0}
SHARE_OF_ONNXRUNTIME = 0.5
LONGEST_COLD_START_S = 1.5
LARGEST_PSS_MB = 100.0


@dataclass(frozen=True)
class Point:
    """What is measured: a server, how it is asked, and how hard."""

    server: str
    dialect: str
    batch: int
    connections: int


@dataclass(frozen=True)
class Sample:
    """One run at a point."""

    load: Load
    cpu_us: float

    @property
    def requests_per_s(self) -> float:
        return self.load.requests / self.load.seconds


class Measurements:
    """Everything that was measured; medians of the rounds are given."""

    def __init__(self) -> None:
        self._samples: defaultdict[Point, list[Sample]] = defaultdict(list)
        self.cold_starts_s: defaultdict[str, list[float]] = defaultdict(list)
        self.pss_mb: dict[str, float] = {}
        self.missing: dict[str, str] = {}
        self.maps_tensorflow = False
        self.in_process_us: dict[int, float] = {}
        self.foreign_cores = 0.0

    def add(self, point: Point, sample: Sample) -> None:
        """Keep one run."""
        if sample.load.errors or not sample.load.requests:
            raise SystemExit(f"{point}: {sample.load.errors} of the requests failed.")
        self._samples[point].append(sample)

    def cold_start_s(self, server: str) -> float:
        """Return the median seconds from the start of a process to its first answer."""
        return statistics.median(self.cold_starts_s[server])

    def points(self) -> list[Point]:
        """Return what was measured, in the order of its first round."""
        return list(self._samples)

    def median(self, point: Point) -> dict[str, float]:
        """Return requests/s, p50 and p99 in ms, and microseconds of CPU a request."""
        samples = self._samples[point]
        middle = statistics.median
        return {
            "requests_per_s": middle(one.requests_per_s for one in samples),
            "p50_ms": middle(one.load.p50_ms for one in samples),
            "p99_ms": middle(one.load.p99_ms for one in samples),
            "cpu_us": middle(one.cpu_us for one in samples),
        }


def main() -> int:
    """Print what was measured, then one line of JSON; return 0 if every claim holds."""
    options = parse_options()
    require_generators()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Terminated."))  # the servers are ended too
    chosen = [OURS, *(kind for kind in KINDS if kind.name in options.only and kind is not OURS)]
    found = Measurements()
    with tempfile.TemporaryDirectory() as folder:
        model = write_mlp(Path(folder) / "mlp" / "1")
        time_in_process(model, found)
        watch = MachineWatch()
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
            for kind in chosen:
                if kind.name not in found.missing:
                    take_turn(kind, model, Path(folder), options.seconds, found, watch)
        found.foreign_cores = watch.foreign_cores()
    report(found)
    claims = claim_all(found, options.only)
    print(json.dumps({"claims": claims, "missing": found.missing, "machine": machine(found)}))
    return 0 if all(claim["holds"] for claim in claims) else 1


def parse_options() -> argparse.Namespace:
    """Return the flags."""
    names = [kind.name for kind in KINDS]
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument(
        "--only",
        default=",".join(names),
        help="servers to measure beside agiwb, with commas between (default: all)",
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each is asked")
    parser.add_argument("--seconds", type=int, default=3, help="of load at each point")
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = sorted(set(options.only) - set(names))
    if unknown:
        parser.error(f"--only: there is no {unknown[0]!r}; choose from {', '.join(names)}")
    return options


def take_turn(
    kind: Kind,
    model: Path,
    folder: Path,
    seconds: int,
    found: Measurements,
    watch: MachineWatch,
) -> None:
    """Start a server, load it at every point, and end it; one that does not start is missing."""
    print(f"  {kind.name}", file=sys.stderr, flush=True)
    own = Path(tempfile.mkdtemp(dir=folder))
    try:
        server = kind.start(model, own, two_cores()[0])
    except MissingError as error:
        if kind is OURS:
            raise SystemExit(f"agiwb's own server: {error}") from None
        found.missing[kind.name] = str(error)
        print(f"{kind.name} is missing: {error}", file=sys.stderr, flush=True)
        return
    try:
        found.cold_starts_s[kind.name].append(server.cold_start_s)
        check_answers(server, model)
        rows = np.zeros((1, FEATURES), np.float32)
        for dialect in server.dialects:
            ask(server, dialect, rows, WARM_UP)
        measure(server, seconds, found, watch)
        found.pss_mb[kind.name] = server.tree.pss_mb()
        if kind is OURS:
            found.maps_tensorflow |= server.tree.maps("tensorflow")
    finally:
        server.tree.stop()


def check_answers(server: Server, model: Path) -> None:
    """Raise SystemExit unless a server answers as ONNX Runtime does."""
    rows = random_rows(max(BATCHES))
    expected = OnnxRuntime(model).run({"features": rows})["probabilities"]
    for dialect in server.dialects:
        error = float(np.abs(ask(server, dialect, rows) - expected).max())
        if error > LARGEST_ERROR:
            raise SystemExit(f"{server.name} ({dialect.name}) is off by {error}.")


def measure(server: Server, seconds: int, found: Measurements, watch: MachineWatch) -> None:
    """Load a server at every point, once."""
    for dialect in server.dialects:
        for batch in BATCHES:
            rows = random_rows(batch)
            for connections in CONNECTIONS:
                before = server.tree.cpu_seconds()
                load = put_load(server, dialect, rows, connections, seconds)
                spent = server.tree.cpu_seconds() - before
                watch.explain(spent)
                point = Point(server.name, dialect.name, batch, connections)
                found.add(point, Sample(load, spent / max(load.requests, 1) * 1e6))


def put_load(server: Server, dialect: Dialect, rows: Rows, connections: int, seconds: int) -> Load:
    """Return what the load generator saw, from the other core."""
    body, headers = dialect.encode(rows)
    url = url_of(server, dialect)
    with on_core(two_cores()[1]):
        if dialect.is_grpc:
            return load_grpc(url, body, connections, seconds)
        return load_http(url, body, headers, connections, seconds)


def random_rows(count: int) -> Rows:
    """Return rows with as many digits as measured values have; shape (count, FEATURES)."""
    random = np.random.default_rng(1)
    return random.normal(size=(count, FEATURES)).round(4).astype(np.float32)


def time_in_process(model: Path, found: Measurements) -> None:
    """Take the median microseconds of one run without any server, in this process."""
    runtime = OnnxRuntime(model)
    for batch in BATCHES:
        rows, seconds = random_rows(batch), []
        for _ in range(5000):
            start = time.perf_counter()
            runtime.run({"features": rows})
            seconds.append(time.perf_counter() - start)
        found.in_process_us[batch] = statistics.median(seconds) * 1e6


def report(found: Measurements) -> None:
    """Print tables for people."""
    print(
        f"{'server':<12}{'':<8}{'batch':>6}{'conns':>7}{'requests/s':>12}"
        f"{'p50 ms':>9}{'p99 ms':>9}{'CPU us/request':>16}"
    )
    for point in found.points():
        row = found.median(point)
        print(
            f"{point.server:<12}{point.dialect:<8}{point.batch:>6}{point.connections:>7}"
            f"{row['requests_per_s']:>12,.0f}{row['p50_ms']:>9.2f}{row['p99_ms']:>9.2f}"
            f"{row['cpu_us']:>16,.0f}"
        )
    print(f"\n{'server':<12}{'PSS MB':>8}{'cold start s':>14}")
    for name, pss_mb in found.pss_mb.items():
        print(f"{name:<12}{pss_mb:>8.0f}{found.cold_start_s(name):>14.2f}")
    for name, why in found.missing.items():
        print(f"{name:<12} MISSING: {why}")
    runs = ", ".join(f"{us:.0f} us at batch {batch}" for batch, us in found.in_process_us.items())
    print(f"\nONNX Runtime in this process, without any server: {runs}")
    print("agiwb logs every prediction; the others log nothing.")
    print(f"Other load on the machine: {found.foreign_cores:.2f} cores of {os.cpu_count()}")


def claim_all(found: Measurements, asked: list[str]) -> list[dict[str, object]]:
    """Return the claims on what was asked for; those on a missing peer do not hold."""
    claims = []
    for peer, bar in TIMES_BETTER.items():
        for connections in CONNECTIONS if peer in asked else ():
            where = f"{connections} connection(s), JSON, batch 1"
            cpu = times_better(found, peer, connections, "cpu_us")
            rate = times_better(found, peer, connections, "requests_per_s")
            claims += [
                at_least(f"CPU a request, {peer} to agiwb ({where})", cpu, bar),
                at_least(f"requests/s, agiwb to {peer} ({where})", rate, bar),
            ]
    if ONNXRUNTIME.name in asked:
        claims.append(
            at_least(
                "rows/s, agiwb's binary tensors to ONNX Runtime behind a bare socket "
                "(batch 32, less favourable of 1 and 16 connections)",
                share_of_onnxruntime(found),
                SHARE_OF_ONNXRUNTIME,
            )
        )
    return [
        *claims,
        at_most("agiwb's cold start, s", found.cold_start_s(OURS.name), LONGEST_COLD_START_S),
        at_most("agiwb's memory after the load (PSS), MB", found.pss_mb[OURS.name], LARGEST_PSS_MB),
        at_most("tensorflow in agiwb's memory maps", float(found.maps_tensorflow), 0),
    ]


def times_better(found: Measurements, peer: str, connections: int, what: str) -> float | None:
    """Return how many times better ours is; None without the peer.

    One connection asks again when it is answered: most of its time goes by between processes, and
    no requests can be merged. Sixteen keep a server busy.
    """
    if peer in found.missing:
        return None
    ours = found.median(Point(OURS.name, "JSON", 1, connections))[what]
    theirs = found.median(Point(peer, "JSON", 1, connections))[what]
    return ours / theirs if what == "requests_per_s" else theirs / ours


def share_of_onnxruntime(found: Measurements) -> float | None:
    """Return our rows/s with binary tensors over those of ONNX Runtime behind a bare socket."""
    if ONNXRUNTIME.name in found.missing:
        return None
    return min(
        found.median(Point(OURS.name, "binary", 32, connections))["requests_per_s"]
        / found.median(Point(ONNXRUNTIME.name, "socket", 32, connections))["requests_per_s"]
        for connections in CONNECTIONS
    )


def machine(found: Measurements) -> str:
    """Return what it ran on, and how busy that was with other things."""
    return (
        f"{platform.machine()} {platform.system()}, {os.cpu_count()} cores, "
        f"{found.foreign_cores:.2f} of them busy with other things"
    )


if __name__ == "__main__":
    sys.exit(main())
