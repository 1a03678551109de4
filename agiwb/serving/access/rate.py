"""How often somebody may do something: a token bucket for each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_MOST_BUCKETS = 10_000


class RateLimiter:
    """Token buckets by name. A bucket holds ``burst`` tokens and fills at ``rate`` a second.

    One of several processes that answer together is given its ``share`` of both; a bucket holds a
    token at least.

    Thread-safe. Buckets of at most 10,000 names are kept; beyond that the ones used longest ago
    are forgotten, which are the likeliest to be full again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, share: float = 1.0) -> None:
        self._clock = clock
        self._share = share
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}  # tokens, and when they were counted

    def take(self, name: str, rate: float, burst: float) -> float:
        """Take a token; return 0.0, or the seconds until there will be one (and take none)."""
        rate, burst = rate * self._share, max(1.0, burst * self._share)
        with self._lock:
            now = self._clock()
            tokens = self._tokens(name, rate, burst, now)
            # Moved to the end: the dict stays in the order of use.
            self._buckets.pop(name, None)
            if tokens < 1.0:
                self._buckets[name] = (tokens, now)
                return (1.0 - tokens) / rate
            self._buckets[name] = (tokens - 1.0, now)
            if len(self._buckets) > _MOST_BUCKETS:
                self._forget_some()
            return 0.0

    def wait_s(self, name: str, rate: float, burst: float) -> float:
        """Return the seconds until ``name`` has a token, without taking it."""
        rate, burst = rate * self._share, max(1.0, burst * self._share)
        with self._lock:
            tokens = self._tokens(name, rate, burst, self._clock())
        return 0.0 if tokens >= 1.0 else (1.0 - tokens) / rate

    def _tokens(self, name: str, rate: float, burst: float, now: float) -> float:
        tokens, counted_at = self._buckets.get(name, (burst, now))
        return min(burst, tokens + (now - counted_at) * rate)

    def _forget_some(self) -> None:
        for name in list(self._buckets)[: _MOST_BUCKETS // 10]:
            del self._buckets[name]
