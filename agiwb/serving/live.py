"""The state of a running server in a few figures, from two readings of its metrics."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

_LINE = re.compile(r"^(agiwb_\w+?)(?:\{(.*)\})? ([-+\w.]+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Series = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Reading:
    """One reading of ``/metrics``: the values by family and labels, and when it was taken."""

    at: float
    values: Mapping[str, Mapping[Series, float]] = field(repr=False)


@dataclass(frozen=True)
class Figures:
    """What happened between two readings; None where nothing did.

    Attributes:
        requests_per_s: Requests answered or refused per second.
        p50_ms: Median of their milliseconds, linear within a bucket as Prometheus'
            ``histogram_quantile`` is.
        p99_ms: Their 99th percentile.
        errors: How many were not answered with OK, since the server started.
        requests: How many there were, since the server started.
        versions: The state of each version, and the share of the requests it gets.
        disagreement: Share of the rows that a shadow answered otherwise, since it began.
    """

    requests_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    errors: int
    requests: int
    versions: Mapping[str, tuple[str, float | None]]
    disagreement: float | None


def read_metrics(text: str, at: float | None = None) -> Reading:
    """Return what a server's own exposition says."""
    values: dict[str, dict[Series, float]] = {}
    for line in text.splitlines():
        if (match := _LINE.match(line)) is not None:
            name, labels, value = match.groups()
            key = tuple(sorted(_LABEL.findall(labels or "")))
            values.setdefault(name, {})[key] = float(value)
    return Reading(time.monotonic() if at is None else at, values)


def figures(before: Reading, after: Reading) -> Figures:
    """Return what happened from one reading to a later one of the same server."""
    seconds = max(after.at - before.at, 1e-9)
    requests = _grown("agiwb_requests_total", before, after)
    total = after.values.get("agiwb_requests_total", {})
    buckets = _buckets(before, after)
    return Figures(
        requests_per_s=sum(requests.values()) / seconds,
        p50_ms=_quantile(buckets, 0.5),
        p99_ms=_quantile(buckets, 0.99),
        errors=int(sum(n for key, n in total.items() if dict(key).get("code") != "OK")),
        requests=int(sum(total.values())),
        versions=_versions(after),
        disagreement=_disagreement(after),
    )


def _grown(family: str, before: Reading, after: Reading) -> dict[Series, float]:
    """Return by how much each counter of a family has grown; one that began anew, from zero."""
    earlier = before.values.get(family, {})
    grown = {}
    for key, value in after.values.get(family, {}).items():
        former = earlier.get(key, 0.0)
        grown[key] = value - former if value >= former else value
    return grown


def _buckets(before: Reading, after: Reading) -> list[tuple[float, float]]:
    """Return bounds in seconds and how many requests took at most that."""
    counts: dict[float, float] = {}
    for key, count in _grown("agiwb_request_seconds_bucket", before, after).items():
        bound = float(dict(key)["le"])
        counts[bound] = counts.get(bound, 0.0) + count
    return sorted(counts.items())


def _quantile(buckets: list[tuple[float, float]], share: float) -> float | None:
    """Return a quantile in milliseconds; None without requests."""
    if not buckets or buckets[-1][1] <= 0:
        return None
    wanted = share * buckets[-1][1]
    low, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= wanted:
            if math.isinf(bound):
                return 1e3 * low
            inside = max(count - below, 1e-12)
            return 1e3 * (low + (bound - low) * (wanted - below) / inside)
        low, below = bound, count
    return 1e3 * low


def _versions(reading: Reading) -> dict[str, tuple[str, float | None]]:
    states = {
        dict(key)["version"]: dict(key)["state"]
        for key, value in reading.values.get("agiwb_model_version_state", {}).items()
        if value == 1
    }
    shares = {
        dict(key)["version"]: value
        for key, value in reading.values.get("agiwb_rollout_share", {}).items()
    }
    return {version: (state, shares.get(version)) for version, state in sorted(states.items())}


def _disagreement(reading: Reading) -> float | None:
    compared = sum(reading.values.get("agiwb_shadow_compared_total", {}).values())
    apart = sum(reading.values.get("agiwb_shadow_disagreements_total", {}).values())
    return apart / compared if compared else None
