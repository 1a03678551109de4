"""How a server answers under load: latencies, throughput and failures."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import InputError, ServingError
from agiwb.serving.load_client import LoadPlan

_GOOD = "200"
_START_S = 30.0
"""What a process may take to start and connect on a busy machine."""


@dataclass(frozen=True)
class LoadTest:
    """What a load test measured.

    Attributes:
        url: What was asked.
        concurrency: Requests under way at once; in an open loop at most.
        rate: Requests intended per second (open loop); None for a closed loop.
        seconds: From the first request to the last answer.
        requests: Requests sent, or due and never sent for want of a free connection.
        failures: How many were not answered with status 200, by status or by what happened.
        latencies_ms: Milliseconds of each request answered with 200, sorted. In an open loop from
            the moment it was due, so that a server that stalls is charged for the requests that
            had to wait (no "coordinated omission", as G. Tene calls it).
        generator_lag_ms: 99th percentile of how late the generator itself was (open loop). Where
            it is not small beside the latencies, the generator was the bottleneck.
        answered_s: When each of the requests answered with 200 was, in seconds from the beginning,
            in that order.
    """

    url: str
    concurrency: int
    rate: float | None
    seconds: float
    requests: int
    failures: dict[str, int]
    latencies_ms: NDArray[np.float64] = field(repr=False)
    generator_lag_ms: float = 0.0
    answered_s: NDArray[np.float64] = field(repr=False, default_factory=lambda: np.empty(0))

    @property
    def failed(self) -> int:
        """Requests that were not answered with status 200."""
        return sum(self.failures.values())

    @property
    def requests_per_s(self) -> float:
        """Requests answered with status 200 per second."""
        return len(self.latencies_ms) / self.seconds

    @property
    def p50_ms(self) -> float:
        """Median latency in milliseconds; NaN if nothing was answered."""
        return self.percentile_ms(50)

    @property
    def p90_ms(self) -> float:
        """90th percentile of latency in milliseconds."""
        return self.percentile_ms(90)

    @property
    def p99_ms(self) -> float:
        """99th percentile of latency in milliseconds."""
        return self.percentile_ms(99)

    @property
    def max_ms(self) -> float:
        """Largest latency in milliseconds."""
        return self.percentile_ms(100)

    def percentile_ms(self, percent: float) -> float:
        """Return a percentile of the latencies in milliseconds; NaN if nothing was answered."""
        if not len(self.latencies_ms):
            return float("nan")
        return float(np.percentile(self.latencies_ms, percent))

    def __str__(self) -> str:
        failed = ", ".join(f"{count} x {what}" for what, count in self.failures.items())
        return (
            f"{self.requests} requests in {self.seconds:.1f} s: {self.requests_per_s:.0f} req/s, "
            f"p50 {self.p50_ms:.2f} ms, p90 {self.p90_ms:.2f} ms, p99 {self.p99_ms:.2f} ms, "
            f"max {self.max_ms:.2f} ms; {'failed: ' + failed if failed else 'no failures'}."
        )


def load_test(
    url: str,
    body: bytes,
    *,
    concurrency: int = 8,
    seconds: float = 5.0,
    requests: int | None = None,
    rate: float | None = None,
    headers: Mapping[str, str] | None = None,
    warm_up_s: float = 0.5,
    timeout_s: float = 10.0,
    ca_file: str = "",
    certificate_file: str = "",
    poisson: bool = False,
    seed: int = 0,
) -> LoadTest:
    """Return how ``url`` answers a load of one POST request, again and again.

    Without ``rate`` the loop is closed: each of ``concurrency`` clients asks again as soon as it
    is answered, which finds the throughput. With ``rate`` it is open: requests come at that
    rate whatever becomes of them, which finds the latency under that load.

    The generator is a process of its own.

    Args:
        url: http or https.
        body: JSON text, or whatever ``headers`` say it is.
        concurrency: Connections.
        seconds: How long requests are sent.
        requests: How many are sent at most; None for as many as the seconds allow.
        rate: Requests per second; None for a closed loop.
        headers: Such as ``{"X-API-Key": ...}``.
        warm_up_s: Seconds of the same load first, which are not counted.
        timeout_s: How long after the last request its answer is waited for.
        ca_file: Certificates to trust for https; "" for the system's.
        certificate_file: The server's own certificate, to trust it alone, by whatever name.
        poisson: With ``rate``: have requests come at random, as from many independent clients,
            by a Poisson process; by default they come evenly.
        seed: Of that process.

    Raises:
        InputError: A number is out of bounds, or ``url`` is not one of http or https.
        ServingError: Nobody listens there.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError(f"{url!r} is not an address to load.", "Give one of http or https.")
    if (
        concurrency < 1
        or seconds <= 0
        or (requests is not None and requests < 1)
        or (rate is not None and rate <= 0)
    ):
        raise InputError(
            "`concurrency`, `seconds`, `requests` and `rate` of a load test must be positive.",
            "Leave out `requests` and `rate` for a closed loop of some seconds.",
        )
    plan = LoadPlan(
        url, base64.b64encode(body).decode(), dict(headers or {}), concurrency, seconds, requests,
        rate, warm_up_s, timeout_s, ca_file, certificate_file, poisson, seed,
    )  # fmt: skip
    head, (latencies, answered) = _run(plan)
    outcomes: dict[str, int] = head["outcomes"]
    return LoadTest(
        url=url,
        concurrency=concurrency,
        rate=rate,
        seconds=head["seconds"],
        requests=sum(outcomes.values()),
        failures={what: count for what, count in sorted(outcomes.items()) if what != _GOOD},
        latencies_ms=np.sort(latencies) * 1e3,
        generator_lag_ms=head["lag_p99"] * 1e3,
        answered_s=answered,
    )


def _run(plan: LoadPlan) -> tuple[dict[str, Any], NDArray[np.float64]]:
    limit = plan.warm_up_s + plan.seconds + 2 * plan.timeout_s + _START_S
    command = [sys.executable, "-m", "agiwb.serving.load_client"]
    try:
        done = subprocess.run(
            command, input=plan.json(), capture_output=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        raise ServingError(
            f"The load test of {plan.url} did not end within {limit:.0f} s.",
            "Look whether the server still answers, and ask for less.",
        ) from None
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise ServingError(
            f"The load test of {plan.url} failed: {reason[-1]}.",
            "Start the server first, and look at its log.",
        )
    head, _, measured = done.stdout.partition(b"\n")
    return json.loads(head), np.frombuffer(measured, np.float64).reshape(2, -1)
