"""The loop, live: a served model under load whose inputs change, and nobody but the policy acts.

A real Prometheus looks at the server and at what monitoring finds, and a real Alertmanager tells a
webhook. The order of the stages is read from the audit, not from the test's own clock.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from agiwb import ConvertConfig, TrainConfig, blur, convert, rotate, train
from agiwb.artifacts.resolve import resolve_artifact
from agiwb.cli import main
from agiwb.errors import CancelledError
from agiwb.history.entries import read_history
from agiwb.history.trail import trail_of
from agiwb.importing.import_model import ImportConfig, import_model
from agiwb.maintenance.deciding import PromoteConfig, promote_model
from agiwb.maintenance.guarding import WHO as GUARD
from agiwb.maintenance.history import history
from agiwb.maintenance.ledger import ledger_of
from agiwb.maintenance.maintain import maintain
from agiwb.maintenance.maintain_config import MaintainConfig
from agiwb.runs.store import open_store
from agiwb.serving.detached import DetachedServer, serve_detached
from agiwb.serving.rollout.store import RolloutStore
from agiwb.serving.serve import ServeConfig
from tests.maintenance.clients import Clients
from tests.maintenance.versions import sabotage
from tests.monitoring.alerting import Alerting, alerting, exporter, require_programs, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

MODEL = "digits-served"
POLICY: dict[str, Any] = {
    "cooldown_h": 0.0, "min_labels": 200, "last_rows": 300, "every_s": 1.0,
    "margin": 0.05, "slice_margin": 0.1, "slices": ("origin",), "shadow_requests": 30,
    "canary_shares": (0.5, 1.0), "canary_requests": 100, "max_latency_ratio": None,
}  # fmt: skip


@pytest.fixture
def server(workspace: Path) -> Iterator[DetachedServer]:
    """A server of a small model, which is the champion."""
    require_programs()
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


@pytest.fixture
def seen(server: DetachedServer, tmp_path: Path) -> Iterator[Alerting]:
    """Prometheus and Alertmanager, which look at that server and at what is found about it."""
    endpoint = server.endpoint()
    served_at = urlsplit(endpoint.url).port or 0
    endpoint.disconnect()
    with exporter() as told_at:
        targets = {"agiwb": served_at, "agiwb-monitor": told_at}
        with alerting(tmp_path / "alerting", MODEL, targets) as running:
            yield running


def maintained(server: DetachedServer, is_over: Callable[[], bool], **more: Any) -> None:
    """Look after the model until it is over, ten minutes at most."""
    end = time.monotonic() + 600  # a gate that is unsure waits for ever more labels
    config = MaintainConfig(model=MODEL, server=server.id, watch=True, **{**POLICY, **more})
    with pytest.raises(CancelledError):
        maintain(config, cancelled=lambda: is_over() or time.monotonic() > end)
    assert is_over(), "\n".join(f"{one.action}: {one.why}" for one in ledger_of(MODEL).decisions())


def champion() -> int:
    standing = ledger_of(MODEL).standing().champion
    assert standing is not None
    return standing.version


@contextlib.contextmanager
def telling(clients: Clients, folder: Path) -> Iterator[None]:
    """Tell every two seconds what was right, until the block ends."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(2.0):
            clients.tell_labels(folder)

    teller = threading.Thread(target=tell)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def accuracy_of_the_next(clients: Clients, seconds: float) -> float:
    count = len(clients.right)
    time.sleep(seconds)
    return float(np.mean(clients.right[count:]))


def rotated_and_blurred(image: NDArray[Any]) -> NDArray[Any]:
    return blur(rotate(image, 40.0), 0.5)


def with_a_bright_corner(image: NDArray[Any]) -> NDArray[Any]:
    """Return the changed image as the sabotaged version fails on it."""
    changed = rotated_and_blurred(image)
    changed[:, 0, 0] = 16
    return changed


def register_sabotaged(version: int, folder: Path) -> int:
    """Register a copy of a version that fails on bright corners, and return its number."""
    found = resolve_artifact(f"{MODEL}/{version}", "onnx", open_store())
    model = onnx.load(found.folder / "model.onnx")
    sabotage(model)
    folder.mkdir()
    onnx.save(model, folder / "model.onnx")
    path, data = folder / "model.onnx", found.artifact.dataset
    import_model(ImportConfig(path=path, model_name=MODEL, dataset=data))
    return max(open_store().registered_versions(MODEL))


def learn_the_change(
    server: DetachedServer, clients: Clients, folder: Path
) -> tuple[float, float, float]:
    """Change what clients send; return the accuracy before, then, and once it is learnt."""
    calm = accuracy_of_the_next(clients, 2)
    clients.change = rotated_and_blurred
    drifted = accuracy_of_the_next(clients, 6)
    clients.tell_labels(folder)
    with telling(clients, folder):
        maintained(server, lambda: champion() == 2)
    time.sleep(1)
    return calm, drifted, accuracy_of_the_next(clients, 2)


def check_the_alert(server: DetachedServer, seen: Alerting) -> None:
    """Assert that it was told before anything was done, and ends with a look at version 2."""
    alert = wait_for(lambda: seen.told("AgiwbDrift", version="1"), 120, "alert")
    assert "features" in alert["annotations"]["changed"]
    decisions = ledger_of(MODEL).decisions()
    actions = [one.action for one in decisions]
    assert actions[:2] == ["promote", "challenge"]
    assert "shadow" in actions
    assert actions[-3:] == ["canary", "canary", "promote"]
    assert decisions[-1].evidence
    assert datetime.fromisoformat(alert["startsAt"]) < datetime.fromisoformat(decisions[1].time)
    maintain(MaintainConfig(model=MODEL, server=server.id, **{**POLICY, "cooldown_h": 24.0}))
    wait_for(lambda: seen.told("AgiwbDrift", "resolved", version="1"), 120, "end of the alert")


def break_the_champion(server: DetachedServer, clients: Clients, folder: Path) -> int:
    """Have a sabotaged copy of version 2 promoted, and fail; return its number, rolled back."""
    broken = register_sabotaged(2, folder / "sabotaged")
    words = ["promote", MODEL, "--version", str(broken), "--server", server.id]
    assert main([*words, "--ungated", "--why", "an attack"]) == 0
    assert champion() == broken
    timer = threading.Timer(3, setattr, (clients, "change", with_a_bright_corner))
    timer.start()
    maintained(server, lambda: champion() == 2, cooldown_h=24.0)
    timer.join()
    return broken


def test_drift_is_told_learnt_and_promoted_and_a_sabotage_is_rolled_back(
    server: DetachedServer,
    seen: Alerting,
    workspace: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clients = Clients(server.endpoint().url, MODEL, pause_s=0.03)
    with clients.asking():
        calm, drifted, recovered = learn_the_change(server, clients, tmp_path)
        check_the_alert(server, seen)
        assert clients.failures == []
        assert drifted < calm - 0.2
        assert recovered > drifted + 0.2

        broken = break_the_champion(server, clients, tmp_path)
        time.sleep(0.5)
        failures = len(clients.failures)
        assert accuracy_of_the_next(clients, 2) > drifted + 0.2
        assert 0 < failures == len(clients.failures)

    events = history(MODEL)
    decision = next(event for event in events if event.action == "roll_back")
    assert (decision.who, decision.version) == (GUARD, str(broken))
    assert decision.why.startswith(f"Version {broken} ")
    assert {event.where for event in events} == {"ledger"}  # which all changes carried out
    carried_out = RolloutStore(workspace / "serving" / MODEL).ledger(last=1_000)
    assert {"shadow", "canary", "promote"} <= {change.action for change in carried_out}
    flip = next(change for change in carried_out if change.why == decision.why)
    took = datetime.fromisoformat(flip.time) - datetime.fromisoformat(decision.time)
    assert took.total_seconds() >= 0
    with capsys.disabled():
        print(
            f"\naccuracy {calm:.1%}, drifted {drifted:.1%}, recovered {recovered:.1%}; "
            f"{len(clients.right)} requests were answered, {failures} failed, all by the sabotaged "
            f"version; it was rolled back {took.total_seconds() * 1000:.0f} ms after the decision"
        )
    trail = trail_of(MODEL, read_history())
    steps = {one.entry.step for one in trail}
    assert {"train", "convert", "monitor", "retrain", "gate", "import_model"} <= steps
    assert not any(one.damaged for one in trail)
