"""The guard on the champion, on counters as a server tells them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agiwb.maintenance.decision import ModelVersion, Standing
from agiwb.maintenance.guarding import ChampionGuard, GuardTerms
from agiwb.serving.rollout.comparison import Comparison, Difference


class Counters(SimpleNamespace):
    """An endpoint's counters, as its ``/metrics`` says them."""

    model_name = "m"
    good = 0
    failed = 0
    refused = 0
    shadow: dict[str, Any] | None = None
    comparison = Comparison(1)

    def rollout(self) -> dict[str, Any]:
        told = self.comparison.describe() if self.shadow else None
        return {"shadow": self.shadow, "canary": None, "comparison": told}

    def administer(self, method: str, action: str, body: dict[str, Any]) -> None:
        assert (method, action) == ("PUT", "shadow")
        self.shadow = body if body["share"] else None

    def metrics(self) -> str:
        counts = {"OK": self.good, "INTERNAL": self.failed, "INVALID_ARGUMENT": self.refused}
        line = 'agiwb_requests_total{{model="m",version="{}",code="{}"}} {}\n'
        usual = {"OK": 9000.0, "INVALID_ARGUMENT": 1000.0}  # of version 1, its predecessor
        return "".join(
            line.format(version, code, float(count))
            for version, its in ((1, usual), (2, counts))
            for code, count in its.items()
        )


@pytest.mark.parametrize(("what", "usual"), [("failed", 0.01), ("refused", 0.11)])
def test_the_guard_tells_a_broken_champion_from_bad_luck(what: str, usual: float) -> None:
    counters = Counters()
    guard = ChampionGuard(counters, 2, 1, GuardTerms(0.01))  # type: ignore[arg-type]
    counters.good = 1000
    setattr(counters, what, int(1.3 * usual * 1000))
    assert guard.broken(Standing()) == ""
    setattr(counters, what, 1000)
    assert f"{what} 1000 of its newest 2000 requests" in guard.broken(Standing())


@pytest.mark.parametrize(
    ("terms", "apart", "times", "why"),
    [
        (GuardTerms(0.01, max_disagreement=0.3), 0.3, 9.0, ""),
        (
            GuardTerms(0.01, max_disagreement=0.3),
            0.6,
            9.0,
            "disagrees with version 1 on 120 of 200",
        ),
        (GuardTerms(0.01, max_latency_ratio=3.0), 0.9, 3.0, ""),
        (GuardTerms(0.01, max_latency_ratio=3.0), 0.9, 6.0, "times as long as version 1"),
    ],
)
def test_the_guard_compares_the_champion_with_its_predecessor(
    terms: GuardTerms, apart: float, times: float, why: str
) -> None:
    server = Counters(comparison=Comparison(1))
    guard = ChampionGuard(server, 2, 1, terms)  # type: ignore[arg-type]
    tried = Standing(challenger=ModelVersion(version=3, run_id="r"))
    assert guard.broken(tried) == ""
    assert server.shadow is None  # the place is the challenger's
    assert guard.broken(Standing()) == ""
    assert (server.shadow["version"], server.shadow["share"]) == (1, 0.1)
    draw = np.random.default_rng(0)
    for place in range(200):
        took, its = 0.001 * np.exp(draw.normal(0, 0.3, 2))
        server.comparison.add(Difference(1, int(place < 200 * apart)), took * times, its)
    found = guard.broken(Standing())
    assert why in found
    assert bool(found) == bool(why)
    for _ in range(2_000 if not why else 0):
        server.comparison.add(Difference(1, 0), 0.001, 0.001)
    assert guard.broken(Standing()) == found
    assert (server.shadow is None) == (not why)  # compared enough
