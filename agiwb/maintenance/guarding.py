"""A guard on the champion: after a promotion its failures are watched, as a canary's are.

A canary's guards are the server's own. They end with its promotion; from then on this one reads
the server's counters, several times a second, and goes by the same exact test. It has a thread of
its own, for a retraining may take hours.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from agiwb.errors import AgiwbError
from agiwb.maintenance.ledger import ledger_of
from agiwb.maintenance.promotion import roll_back
from agiwb.serving.live import read_metrics
from agiwb.serving.rollout.guards import FALSE_ALARM, FAULTS, REFUSALS
from agiwb.serving.rollout.significance import rate_upper_bound, tail_probability

if TYPE_CHECKING:
    from agiwb.serving.endpoint import Endpoint

_WINDOW = 40
"""Readings that are judged together."""
_FEWEST = 25
_REQUESTS = "agiwb_requests_total"
_LOOK_S = 0.2
WHO = "agiwb maintain: guard"


@dataclass(frozen=True)
class Failures:
    """Requests of a version, those that failed by its fault, and those it refused as ill-formed."""

    requests: int
    failed: int
    refused: int


class ChampionGuard:
    """Watches one version on a server.

    Failures are its own. What it refuses, clients may be to blame for: that counts only beyond the
    share that its predecessor refused on this server.

    Attributes:
        version: As it is served.
    """

    def __init__(
        self, endpoint: Endpoint, version: int, predecessor: int | None, max_error_rate: float
    ) -> None:
        self.version = version
        self._endpoint = endpoint
        first = self._read(version)
        former = Failures(0, 0, 0) if predecessor is None else self._read(predecessor)
        usual = rate_upper_bound(former.refused, former.requests, FALSE_ALARM)
        self._limits = {"failed": max_error_rate, "refused": min(1.0, max_error_rate + usual)}
        self._readings: deque[Failures] = deque([first], maxlen=_WINDOW)

    def broken(self) -> str:
        """Return what is wrong with the version, in a sentence; "" if nothing surely is.

        Raises:
            ServingError: The server is gone.
        """
        self._readings.append(self._read(self.version))
        first, last = self._readings[0], self._readings[-1]
        requests = last.requests - first.requests
        if requests < _FEWEST:
            return ""
        counts = {"failed": last.failed - first.failed, "refused": last.refused - first.refused}
        for what, count in counts.items():
            limit = self._limits[what]
            if limit < 1 and tail_probability(count, requests, limit) <= FALSE_ALARM:
                return (
                    f"Version {self.version} {what} {count} of its newest {requests} requests; the "
                    f"limit is {limit:.3g}."
                )
        return ""

    def _read(self, version: int) -> Failures:
        counted: Counter[str] = Counter()
        for key, value in read_metrics(self._endpoint.metrics()).values.get(_REQUESTS, {}).items():
            labels = dict(key)
            if (labels["model"], labels["version"]) == (self._endpoint.model_name, str(version)):
                counted[labels["code"]] += int(value)
        return Failures(
            requests=counted.total(),
            failed=sum(counted[code.name] for code in FAULTS),
            refused=sum(counted[code.name] for code in REFUSALS),
        )


class Guardian:
    """Guards whoever is champion on a server, and rolls back by itself.

    Only a champion with a predecessor is guarded. Thread safety: ``said`` may be called from any
    thread.
    """

    def __init__(self, model: str, endpoint: Endpoint, max_error_rate: float) -> None:
        self._model = model
        self._endpoint = endpoint
        self._limit = max_error_rate
        self._said: deque[str] = deque()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="guardian", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def said(self) -> list[str]:
        """Return why it has rolled back, each once."""
        return [self._said.popleft() for _ in range(len(self._said))]

    def _watch(self) -> None:
        guard: ChampionGuard | None = None
        told = ""
        while not self._ended.wait(_LOOK_S):
            try:
                guard = self._look(guard)
            except AgiwbError as error:
                # The server may be back at the next look, or somebody was faster.
                guard = None
                if str(error) != told:
                    told = str(error)
                    logging.getLogger("agiwb").warning("%s is not guarded: %s", self._model, told)

    def _look(self, guard: ChampionGuard | None) -> ChampionGuard | None:
        """Return the guard of the present champion, which has not broken it."""
        standing = ledger_of(self._model).standing()
        champion = standing.champion
        if champion is None or champion.served is None or standing.previous is None:
            return None
        if guard is None or guard.version != champion.served:
            former = standing.previous.served
            return ChampionGuard(self._endpoint, champion.served, former, self._limit)
        why = guard.broken()
        if not why:
            return guard
        roll_back(self._model, who=WHO, why=why, endpoint=self._endpoint)
        self._said.append(f"Rolled back. {why}")
        return None
