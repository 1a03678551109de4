"""A server under fire: requests that are almost right, by the ten thousand, over HTTP and gRPC.

Run it with ``python benchmarks/malformed.py``; it takes about two minutes. Each request is a valid
one of TensorFlow Serving's or the Open Inference Protocol's with some of its values, bytes, headers
or framing changed; the tests draw theirs from the same place. Each answer is judged: it may blame
the client, and may not be an error of the server's own, ill-formed, or tell of files and code.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
"""Its tests draw the hostile requests, and describe the server that they are for."""
if TYPE_CHECKING:
    from tests.serving.abuse.abused_server import Abused

REQUESTS = 10_000
WARM_UP = 3_000
"""Requests of each kind, after which the memory should not grow."""
SEED = 1


def main() -> int:
    """Print what was found, then one line of JSON; return 0 if every claim holds."""
    sys.path.insert(0, str(ROOT))
    from tests.serving.abuse.abused_server import abused

    with tempfile.TemporaryDirectory() as folder, abused(Path(folder)) as server:
        fire(server, Random(SEED), WARM_UP)  # noqa: S311  nothing here is a secret
        before_mb = server.rss_mb
        found = fire(server, Random(SEED + 1), REQUESTS)  # noqa: S311  likewise
        grown_mb = server.rss_mb - before_mb
        survived = server.process.is_running() and server.serves()
    for protocol, faults in found.items():
        for fault, times in faults.most_common(5):
            print(f"{protocol}: {times} x {fault}")
    print(f"memory  {before_mb:.0f} MB after {WARM_UP} of each, and {grown_mb:+.1f} MB at the end")
    claims = [
        at_most("HTTP answers that are the server's fault", found["HTTP"].total(), 0),
        at_most("gRPC answers that are the server's fault", found["gRPC"].total(), 0),
        at_most("growth of memory, MB", grown_mb, 20),
        at_least("serves rightly afterwards", float(survived), 1),
    ]
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()}
    print(json.dumps({"claims": claims, "machine": machine}))
    return 0 if all(claim["holds"] for claim in claims) else 1


def fire(server: Abused, random: Random, count: int) -> dict[str, Counter[str]]:
    """Return what was wrong with the answers to ``count`` requests of each protocol."""
    from tests.serving.abuse.attackers import GrpcAttacker, HttpAttacker
    from tests.serving.abuse.hostile_messages import draw_call
    from tests.serving.abuse.hostile_requests import draw_request

    with HttpAttacker(server) as http, GrpcAttacker(server) as grpc:
        return {
            "HTTP": count_faults("HTTP", count, lambda: http.faults(draw_request(random))),
            "gRPC": count_faults("gRPC", count, lambda: grpc.faults(draw_call(random))),
        }


def count_faults(protocol: str, count: int, ask: Callable[[], list[Any]]) -> Counter[str]:
    """Return how often each fault was found by asking ``count`` times."""
    faults: Counter[str] = Counter()
    start = time.perf_counter()
    for _ in range(count):
        faults.update(ask())
    seconds = time.perf_counter() - start
    print(f"{protocol:<7} {count} requests in {seconds:.0f} s, {faults.total()} faults")
    return faults


def at_least(name: str, value: float, bar: float) -> dict[str, object]:
    """Return a claim that holds if ``value`` reaches ``bar``."""
    return {"name": name, "value": round(value, 4), "bar": bar, "holds": value >= bar}


def at_most(name: str, value: float, bar: float) -> dict[str, object]:
    """Return a claim that holds if ``value`` does not exceed ``bar``."""
    return {"name": name, "value": round(value, 4), "bar": bar, "holds": value <= bar}


if __name__ == "__main__":
    sys.exit(main())
