"""The guard on the champion, on counters as a server tells them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from agiwb.maintenance.guarding import ChampionGuard


class Counters(SimpleNamespace):
    """An endpoint's counters, as its ``/metrics`` says them."""

    model_name = "m"
    good = 0
    failed = 0
    refused = 0

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
    guard = ChampionGuard(counters, 2, 1, max_error_rate=0.01)  # type: ignore[arg-type]
    counters.good = 1000
    setattr(counters, what, int(1.3 * usual * 1000))
    assert guard.broken() == ""
    setattr(counters, what, 1000)
    assert f"{what} 1000 of its newest 2000 requests" in guard.broken()
