"""Whether a challenger keeps to its guards, judged so that chance alone hardly ever breaks one.

Every test is exact and one-sided, with a false alarm in a million looks at most for a challenger
that is right at the limit, and there is one look in ``LOOK_EVERY`` requests. By the union bound a
guard therefore breaks by chance less than once in 25 million requests, however long it watches;
this takes requests as independent of each other.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from agiwb.serving.rollout.comparison import Comparison
from agiwb.serving.rollout.significance import (
    quantile_ranks,
    rate_upper_bound,
    tail_probability,
    wilson_interval,
)
from agiwb.serving.rollout.state import Canary, GuardName
from agiwb.serving.status import Code

FALSE_ALARM = 1e-6
LOOK_EVERY = 25
_QUANTILES = (0.5, 0.95)
_NEARLY_ALWAYS = 0.95
_PARTS = 2
"""Each guard asks at most two questions of at most two samples, and divides its alarms by them."""

FAULTS = frozenset(
    {
        Code.UNKNOWN,
        Code.DEADLINE_EXCEEDED,
        Code.INTERNAL,
        Code.UNAVAILABLE,
        Code.DATA_LOSS,
        Code.UNIMPLEMENTED,
    }
)
"""Failures that are the version's, unless the champion has them as well."""
REFUSALS = frozenset({Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION, Code.OUT_OF_RANGE})
"""What a client may be to blame for, or a version that takes other inputs."""


@dataclass(frozen=True)
class Broken:
    """A guard that was broken: which, in a sentence, and the numbers it was judged by."""

    guard: GuardName
    problem: str
    evidence: dict[str, Any]


class _Seen(NamedTuple):
    fault: bool
    refusal: bool
    seconds: float
    late: bool


@dataclass
class _Window:
    """The newest requests to one version."""

    size: int
    total: int = 0
    seen: deque[_Seen] = field(init=False)

    def __post_init__(self) -> None:
        self.seen = deque(maxlen=self.size)

    def add(self, seen: _Seen) -> None:
        self.seen.append(seen)
        self.total += 1


class Watch:
    """The challenger's and the champion's newest requests, side by side. Thread-safe.

    Of the champion's requests only as many are kept as the challenger gets, so that both windows
    are of the same minutes: a busy hour is then not taken for a slow version.
    """

    def __init__(self, champion: int | None, canary: Canary) -> None:
        self.canary = canary
        self._champion_version = champion
        self._lock = threading.Lock()
        self._challenger = _Window(canary.guards.window)
        self._champion = _Window(canary.guards.window)
        self._looked = (-1, -1)

    def observe(self, version: int, code: Code, seconds: float) -> bool:
        """Count one request; return whether it is time to judge."""
        late = code == Code.DEADLINE_EXCEEDED
        seen = _Seen(code in FAULTS, code in REFUSALS, seconds, late)
        if version == self.canary.version:
            with self._lock:
                self._challenger.add(seen)
                past = self._challenger.total - self.canary.guards.min_requests
            return past >= 0 and past % LOOK_EVERY == 0
        if version == self._champion_version:
            with self._lock:
                if self._champion.total <= self._challenger.total:
                    self._champion.add(seen)
        return False

    def judge(self, comparison: Comparison | None = None) -> Broken | None:
        """Return the guard that is broken, if one is; asked too early, nothing is looked at.

        Args:
            comparison: Of the challenger as a shadow.
        """
        requests = (self._challenger.total - self.canary.guards.min_requests) // LOOK_EVERY
        compared = comparison.requests // LOOK_EVERY if comparison else 0
        former, self._looked = self._looked, (requests, compared)
        if requests > former[0] and requests >= 0:
            challenger, champion = self._samples()
            broken = self._judge_errors(challenger, champion)
            broken = broken or self._judge_latency(challenger, champion)
            if broken is not None:
                return broken
        return self._judge_disagreement(comparison) if compared > former[1] else None

    def describe(self) -> dict[str, Any]:
        """Return both windows in numbers, as JSON can say them."""
        challenger, champion = self._samples()
        return {"challenger": _describe(challenger), "champion": _describe(champion)}

    def _samples(self) -> tuple[list[_Seen], list[_Seen]]:
        with self._lock:
            return list(self._challenger.seen), list(self._champion.seen)

    def _judge_errors(self, challenger: list[_Seen], champion: list[_Seen]) -> Broken | None:
        """Test both kinds of failure by the exact binomial test.

        Both are tested against the limit plus all that the champion's own rate may be, so that a
        full disk or a full queue, which no version is to blame for, is not held against one. Faults
        are, however, where the champion has none: then nothing but the version explains them, and
        a challenger that gets nearly all requests is not safe for want of a comparison.
        """
        limit = self.canary.guards.max_error_rate
        if limit is None:
            return None
        alpha, n = FALSE_ALARM / _PARTS, len(challenger)
        patience = _patience(champion)
        faults = sum(_is_fault(seen, patience) for seen in challenger)
        usual_faults = sum(_is_fault(seen, patience) for seen in champion)
        usual = (
            rate_upper_bound(usual_faults, len(champion), alpha / _PARTS) if usual_faults else 0.0
        )
        chance = tail_probability(faults, n, min(1.0, limit + usual))
        if chance <= alpha / _PARTS:
            more = f" more than the champion's {usual:.3g} at most" if usual else ""
            return self._broken(
                "max_error_rate",
                f"{faults} of its newest {n} requests failed; the limit is {limit:g}{more}.",
                {"limit": limit, "failed": faults, "champion_at_most": usual, "p_value": chance},
            )
        refused = sum(seen.refusal for seen in challenger)
        usual = rate_upper_bound(sum(s.refusal for s in champion), len(champion), alpha / _PARTS)
        chance = tail_probability(refused, n, min(1.0, limit + usual))
        if chance <= alpha / _PARTS:
            return self._broken(
                "max_error_rate",
                f"It refused {refused} of its newest {n} requests, and the champion at most a "
                f"share of {usual:.3g}; the limit is {limit:g} more.",
                {"limit": limit, "refused": refused, "champion_at_most": usual, "p_value": chance},
            )
        return None

    def _judge_latency(self, challenger: list[_Seen], champion: list[_Seen]) -> Broken | None:
        """Compare quantiles by the bounds that order statistics give them."""
        limit = self.canary.guards.max_latency_ratio
        if limit is None:
            return None
        alpha = FALSE_ALARM / (_PARTS * len(_QUANTILES))
        slow, fast = _latencies(challenger), _latencies(champion)
        for quantile in _QUANTILES:
            lower, _ = quantile_ranks(len(slow), quantile, alpha)
            _, upper = quantile_ranks(len(fast), quantile, alpha)
            if lower is None or upper is None or fast[upper] <= 0:
                continue
            ratio = slow[lower] / fast[upper]
            if ratio > limit:
                return self._broken(
                    "max_latency_ratio",
                    f"Its p{quantile * 100:g} of latency is at least {ratio:.3g} times the "
                    f"champion's; the limit is {limit:g}.",
                    {
                        "limit": limit,
                        "quantile": quantile,
                        "ratio_at_least": ratio,
                        "ratio": slow[int(quantile * len(slow))] / fast[int(quantile * len(fast))],
                    },
                )
        return None

    def _judge_disagreement(self, comparison: Comparison | None) -> Broken | None:
        limit = self.canary.guards.max_disagreement
        if limit is None or comparison is None or comparison.version != self.canary.version:
            return None
        rows, apart = comparison.recent()
        if rows < self.canary.guards.min_requests:
            return None
        chance = tail_probability(apart, rows, limit)
        if chance > FALSE_ALARM:
            return None
        return self._broken(
            "max_disagreement",
            f"It disagrees with the champion on {apart} of the newest {rows} rows compared; the "
            f"limit is {limit:g}.",
            {"limit": limit, "rows": rows, "disagreeing": apart, "p_value": chance},
        )

    def _broken(self, guard: GuardName, problem: str, evidence: dict[str, Any]) -> Broken:
        return Broken(guard, problem, {**evidence, **self.describe()})


def _patience(champion: list[_Seen]) -> float:
    """Return the seconds within which the champion answers nearly always; 0 if that is unknown."""
    answered = _latencies(champion)
    return answered[int(_NEARLY_ALWAYS * len(answered))] if answered else 0.0


def _is_fault(seen: _Seen, patience: float) -> bool:
    """Return whether the version failed; not if no version could have been in time."""
    return seen.fault and not (seen.late and seen.seconds < patience)


def _latencies(sample: list[_Seen]) -> list[float]:
    """Return the sorted seconds of what was answered; a refusal is quick and tells nothing."""
    return sorted(seen.seconds for seen in sample if not seen.fault and not seen.refusal)


def _describe(sample: list[_Seen]) -> dict[str, Any]:
    faults, n = sum(seen.fault for seen in sample), len(sample)
    answered = _latencies(sample)
    at = {q: answered[int(q * len(answered))] * 1e3 if answered else None for q in _QUANTILES}
    return {
        "requests": n,
        "failed": faults,
        "refused": sum(seen.refusal for seen in sample),
        "error_rate": faults / n if n else None,
        "error_rate_interval": list(wilson_interval(faults, n)),
        "p50_ms": at[0.5],
        "p95_ms": at[0.95],
    }
