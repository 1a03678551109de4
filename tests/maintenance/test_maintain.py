"""The loop, live: a served model under load whose inputs change, and nobody but the policy acts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agiwb import ConvertConfig, TrainConfig, convert, rotate, train
from agiwb.cli import main
from agiwb.errors import CancelledError
from agiwb.maintenance.deciding import PromoteConfig, promote_model
from agiwb.maintenance.guarding import ChampionGuard
from agiwb.maintenance.history import history
from agiwb.maintenance.ledger import ledger_of
from agiwb.maintenance.maintain import maintain
from agiwb.maintenance.maintain_config import MaintainConfig
from agiwb.serving.detached import DetachedServer, serve_detached
from agiwb.serving.serve import ServeConfig
from tests.maintenance.clients import Clients

pytestmark = pytest.mark.slow

MODEL = "digits-served"
POLICY: dict[str, Any] = {
    "cooldown_h": 0.0, "min_labels": 200, "last_rows": 300, "every_s": 0.3, "watch": True,
    "margin": 0.05, "slice_margin": 0.1, "slices": ("origin",), "shadow_requests": 30,
    "canary_shares": (0.5, 1.0), "canary_requests": 100, "max_latency_ratio": None,
}  # fmt: skip


@pytest.fixture
def server(workspace: Path) -> Iterator[DetachedServer]:
    """A server of a small model, which is the champion."""
    made = train(TrainConfig(architecture="mlp", units=32, epochs=8, name=MODEL))
    convert(ConvertConfig(model=made.run.id, formats=("onnx",)))
    config = ServeConfig(model=MODEL, model_name=MODEL, rest_api_port=0, grpc=False)
    started = serve_detached(config)
    try:
        started.wait_until_ready()
        promote_model(PromoteConfig(model=MODEL, version=1, server=started.id))
        yield started
    finally:
        started.stop()


def until_champion(version: int, seconds: float) -> Any:
    """Return what says that the loop is to end: a version is the champion, or time is up."""
    end = time.monotonic() + seconds

    def is_over() -> bool:
        champion = ledger_of(MODEL).standing().champion
        assert champion is not None
        return champion.version == version or time.monotonic() > end

    return is_over


def test_a_drift_is_noticed_learnt_and_promoted_and_no_request_fails(
    server: DetachedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = MaintainConfig(model=MODEL, server=server.id, **POLICY)
    clients = Clients(server.endpoint().url, MODEL)
    told = threading.Event()

    def tell() -> None:
        while not told.wait(1.0):
            clients.tell_labels(tmp_path)

    with clients.asking():
        time.sleep(2)
        clients.change = lambda image: rotate(image, 40.0)
        time.sleep(6)
        drifted = np.mean(clients.right[-100:])
        clients.tell_labels(tmp_path)
        teller = threading.Thread(target=tell)
        teller.start()
        try:
            with pytest.raises(CancelledError):
                maintain(config, cancelled=until_champion(2, seconds=180))
        finally:
            told.set()
            teller.join()
        time.sleep(1)
        count = len(clients.right)
        time.sleep(2)
        recovered = np.mean(clients.right[count:])
    assert clients.failures == []
    actions = [one.action for one in ledger_of(MODEL).decisions()]
    assert actions[:2] == ["promote", "challenge"]
    assert "shadow" in actions
    assert actions[-3:] == ["canary", "canary", "promote"]
    assert ledger_of(MODEL).decisions()[-1].evidence
    assert recovered > drifted + 0.2
    assert {"shadow", "canary", "promote"} <= {
        event.action for event in history(MODEL) if event.where == "server"
    }
    before = len(ledger_of(MODEL).decisions())
    assert main(["rollback", MODEL, "--server", server.id, "--why", "to see it"]) == 0
    endpoint = server.endpoint()
    assert endpoint.rollout()["champion"] == 1
    endpoint.disconnect()
    assert len(ledger_of(MODEL).decisions()) == before + 1
    capsys.readouterr()


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
