"""Guards in earnest: a version that turns bad on trial, and one that does as champion."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agiwb.errors import CancelledError
from agiwb.maintenance.deciding import PromoteConfig, promote_model
from agiwb.maintenance.ledger import ledger_of
from agiwb.maintenance.maintain import maintain
from agiwb.maintenance.maintain_config import MaintainConfig
from agiwb.maintenance.promotion import challenge, find_version
from agiwb.runs.store import open_store
from agiwb.serving.detached import DetachedServer, serve_detached
from agiwb.serving.serve import ServeConfig
from tests.maintenance.clients import Clients
from tests.maintenance.versions import MODEL

pytestmark = pytest.mark.slow

BREAKABLE = 4


@pytest.fixture
def server(undecided: Path) -> Iterator[DetachedServer]:
    """A server of version 2, the champion."""
    config = ServeConfig(model=f"{MODEL}/2", model_name=MODEL, rest_api_port=0, grpc=False)
    started = serve_detached(config)
    try:
        started.wait_until_ready()
        promote_model(PromoteConfig(model=MODEL, version=2, server=started.id))
        yield started
    finally:
        started.stop()


def breaking(image: NDArray[Any]) -> NDArray[Any]:
    """Return the image as version 4 fails on it."""
    changed = np.array(image)
    changed[:, 0, 0] = 16
    return changed


def maintained(server: DetachedServer, is_over: Callable[[], bool], **more: Any) -> None:
    """Look after the model until it is over, a minute at most."""
    end = time.monotonic() + 60
    config = MaintainConfig(
        model=MODEL, server=server.id, watch=True, every_s=0.2, slices=(), margin=0.05,
        shadow_requests=20, canary_shares=(0.5, 1.0), max_latency_ratio=None, **more,
    )  # fmt: skip
    with pytest.raises(CancelledError):
        maintain(config, cancelled=lambda: is_over() or time.monotonic() > end)


def rollout(server: DetachedServer) -> dict[str, Any]:
    endpoint = server.endpoint()
    try:
        return endpoint.rollout()
    finally:
        endpoint.disconnect()


def answering(server: DetachedServer) -> int:
    return int(rollout(server)["champion"])


def last_action() -> str:
    return ledger_of(MODEL).decisions()[-1].action


def test_a_canary_that_breaks_is_rolled_back_by_the_server_and_rejected(
    server: DetachedServer,
) -> None:
    store = open_store()
    challenge(MODEL, find_version(MODEL, BREAKABLE, store), store, who="ann")
    clients = Clients(server.endpoint().url, MODEL)
    with clients.asking():
        maintained(server, lambda: last_action() == "canary")
        assert clients.failures == []
        clients.change = breaking
        maintained(server, lambda: last_action() == "reject")
        count = len(clients.failures)
        time.sleep(0.5)
        assert len(clients.failures) <= count + 2  # those under way at that moment
    last = ledger_of(MODEL).decisions()[-1]
    assert last.action == "reject"
    assert last.why.startswith("guard max_error_rate ended the canary")
    assert last.stands.challenger is None
    assert last.stands.champion is not None
    assert last.stands.champion.version == 2
    assert rollout(server)["canary"] is None


def test_a_champion_that_breaks_is_rolled_back_by_itself(server: DetachedServer) -> None:
    before = answering(server)
    clients = Clients(server.endpoint().url, MODEL)
    with clients.asking():
        time.sleep(2)  # what its predecessor refuses is to be known: nothing
    promote_model(
        PromoteConfig(model=MODEL, version=BREAKABLE, server=server.id, ungated=True, why="a test")
    )
    assert answering(server) != before
    clients = Clients(server.endpoint().url, MODEL)

    def break_it() -> None:
        time.sleep(4)
        clients.change = breaking

    with clients.asking():
        thread = threading.Thread(target=break_it)
        thread.start()
        maintained(server, lambda: last_action() == "roll_back", cooldown_h=1000)
        thread.join()
        assert answering(server) == before
        failed = len(clients.failures)
        time.sleep(0.5)
        assert len(clients.failures) <= failed + 2
    last = ledger_of(MODEL).decisions()[-1]
    assert last.action == "roll_back"
    assert last.who == "agiwb maintain: guard"
    assert "of its newest" in last.why
    print(f"{failed} requests failed before the roll-back: {last.why}")
    assert failed > 0


def test_a_champion_that_answers_otherwise_or_worse_is_rolled_back(
    server: DetachedServer, tmp_path: Path
) -> None:
    before = answering(server)
    clients = Clients(server.endpoint().url, MODEL)
    worst = PromoteConfig(model=MODEL, version=1, server=server.id, ungated=True, why="a test")
    with clients.asking():
        promote_model(worst)
        was_rolled_back = lambda: last_action() == "roll_back"  # noqa: E731
        maintained(server, was_rolled_back, max_disagreement=0.1, compared_share=1.0)
        last = ledger_of(MODEL).decisions()[-1]
        assert (last.action, last.who) == ("roll_back", "agiwb maintain: guard")
        assert "disagrees with version" in last.why
        assert (answering(server), rollout(server)["shadow"]) == (before, None)

        clients.tell_labels(tmp_path)
        promote_model(worst)
        time.sleep(3)
        clients.tell_labels(tmp_path)
        maintained(server, was_rolled_back)
    last = ledger_of(MODEL).decisions()[-1]
    assert last.who == "agiwb maintain: labels"
    assert "labelled requests since its promotion version 1 answered" in last.why
    assert answering(server) == before
    assert clients.failures == []
