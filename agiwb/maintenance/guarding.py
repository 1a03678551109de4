"""A guard on the champion: after a promotion it is watched, as a canary is.

A canary's guards are the server's own. They end with its promotion; from then on this one reads
what the server knows, several times a second, and goes by the same exact tests. It has a thread of
its own, for a retraining may take hours. What only labels tell comes later: see ``hindsight``.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter, deque
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Self

from agiwb.errors import AgiwbError
from agiwb.maintenance.ledger import ledger_of
from agiwb.maintenance.promotion import roll_back
from agiwb.serving.live import read_metrics
from agiwb.serving.rollout.guards import FALSE_ALARM, FAULTS, REFUSALS
from agiwb.serving.rollout.significance import rate_upper_bound, t_quantile, tail_probability

if TYPE_CHECKING:
    from agiwb.maintenance.decision import Standing
    from agiwb.serving.endpoint import Endpoint

_WINDOW = 40
"""Readings that are judged together."""
_FEWEST = 25
_FEWEST_COMPARED = 50
_MOST_COMPARED = 2_000
"""Requests after which the predecessor has nothing more to tell, and is left in peace."""
_REQUESTS = "agiwb_requests_total"
_LOOK_S = 0.2
_WIDER = NormalDist().inv_cdf(1 - FALSE_ALARM)
WHO = "agiwb maintain: guard"


@dataclass(frozen=True)
class GuardTerms:
    """What a champion has to keep to.

    Attributes:
        max_error_rate: Share of its requests that may fail.
        max_latency_ratio: Times its predecessor's time for the same requests; None: any.
        max_disagreement: Share of the rows that its predecessor may answer otherwise; None: any.
        compared_share: Share of the requests that its predecessor answers too, to nobody.
    """

    max_error_rate: float
    max_latency_ratio: float | None = None
    max_disagreement: float | None = None
    compared_share: float = 0.1

    @property
    def compare(self) -> bool:
        """Whether the predecessor is asked at all."""
        asked = self.max_latency_ratio is not None or self.max_disagreement is not None
        return asked and self.compared_share > 0


@dataclass(frozen=True)
class Failures:
    """Requests of a version, those that failed by its fault, and those it refused as ill-formed."""

    requests: int
    failed: int
    refused: int


class ChampionGuard:
    """Watches one version on a server.

    Failures are its own. What it refuses, clients may be to blame for: that counts only beyond the
    share that its predecessor refused on this server. How long it takes and what it answers is
    compared with the predecessor, which is the server's shadow for a while: on the same requests,
    so that a busy hour, or other requests, are not taken for a fault.

    Attributes:
        version: As it is served.
    """

    def __init__(
        self, endpoint: Endpoint, version: int, predecessor: int | None, terms: GuardTerms
    ) -> None:
        self.version = version
        self._endpoint = endpoint
        self._predecessor = predecessor
        self._terms = terms
        self._compares = terms.compare and predecessor is not None
        first = self._read(version)
        former = Failures(0, 0, 0) if predecessor is None else self._read(predecessor)
        usual = rate_upper_bound(former.refused, former.requests, FALSE_ALARM)
        limit = terms.max_error_rate
        self._limits = {"failed": limit, "refused": min(1.0, limit + usual)}
        self._readings: deque[Failures] = deque([first], maxlen=_WINDOW)

    def broken(self, standing: Standing) -> str:
        """Return what is wrong with the version, in a sentence; "" if nothing surely is.

        Args:
            standing: A challenger's trial goes before the comparison: it needs the same shadow.

        Raises:
            ServingError: The server is gone.
        """
        why = self._failing()
        if why or not self._compares or standing.challenger is not None:
            return why
        rollout = self._endpoint.rollout()
        shadow, comparison = rollout["shadow"], rollout["comparison"]
        if shadow is None and rollout["canary"] is None:
            self._set_shadow(self._terms.compared_share, standing.revision)
        elif shadow is not None and shadow["version"] == self._predecessor and comparison:
            why = self._far_from(comparison)
            if not why and comparison["requests_compared"] >= _MOST_COMPARED:
                self._compares = False
                self._set_shadow(0, standing.revision)
        return why

    def _failing(self) -> str:
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

    def _far_from(self, comparison: dict[str, Any]) -> str:
        """Return in which the version is too far from its predecessor."""
        if comparison["requests_compared"] < _FEWEST_COMPARED:
            return ""
        rows, apart = comparison["rows_compared"], comparison["rows_disagreeing"]
        limit = self._terms.max_disagreement
        # What the predecessor fails on is counted as disagreement, and no fault of this version.
        if (
            limit is not None
            and not comparison["requests_failed"]
            and tail_probability(apart, rows, limit) <= FALSE_ALARM
        ):
            return (
                f"Version {self.version} disagrees with version {self._predecessor} on {apart} of "
                f"{rows} rows; the limit is {limit:g}."
            )
        limit, least = self._terms.max_latency_ratio, _least_ratio(comparison)
        if limit is not None and least > limit:
            return (
                f"Version {self.version} takes at least {least:.3g} times as long as version "
                f"{self._predecessor} for the same requests; the limit is {limit:g}."
            )
        return ""

    def _set_shadow(self, share: float, decision: int) -> None:
        body = {
            "version": self._predecessor,
            "share": share,
            "why": "the champion is compared with its predecessor" if share else "compared enough",
            "decision": decision,
        }
        self._endpoint.administer("PUT", "shadow", body)

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


def _least_ratio(comparison: dict[str, Any]) -> float:
    """Return how many times as long as its shadow a champion takes at least; 0 if unknown.

    The server's interval of the geometric mean, of 95 %, is made as wide as the guards' level asks.
    """
    interval, compared = comparison["latency_ratio_interval"], comparison["requests_compared"]
    if interval is None:
        return 0.0
    low, high = (math.log(end) for end in interval)  # of the shadow's time over the champion's
    half = (high - low) / 2 * _WIDER / t_quantile(max(compared - 1, 3))
    return math.exp(-((low + high) / 2 + half))


class Guardian:
    """Guards whoever is champion on a server, and rolls back by itself.

    Only a champion with a predecessor is guarded. Thread safety: ``said`` may be called from any
    thread.
    """

    def __init__(self, model: str, endpoint: Endpoint, terms: GuardTerms) -> None:
        self._model = model
        self._endpoint = endpoint
        self._terms = terms
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
            return ChampionGuard(self._endpoint, champion.served, former, self._terms)
        why = guard.broken(standing)
        if not why:
            return guard
        roll_back(self._model, who=WHO, why=why, endpoint=self._endpoint)
        self._said.append(f"Rolled back. {why}")
        return None
