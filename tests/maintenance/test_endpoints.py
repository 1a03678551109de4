"""One way to decide: endpoints go by the ledger, and the ledger by what a server was told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agiwb.errors import InputError
from agiwb.maintenance.deciding import PromoteConfig, promote_model
from agiwb.maintenance.endpoints import ByLedger, endpoint_of, serve
from agiwb.maintenance.following import follow
from agiwb.maintenance.gate import gate
from agiwb.maintenance.gate_config import GateConfig
from agiwb.maintenance.history import history
from agiwb.maintenance.ledger import ledger_of
from agiwb.maintenance.maintain import maintain
from agiwb.maintenance.maintain_config import MaintainConfig
from agiwb.runs.store import open_store
from agiwb.serving.detached import DetachedServer, serve_detached
from agiwb.serving.endpoint import Endpoint
from agiwb.serving.serve import ServeConfig
from tests.maintenance.versions import MODEL
from tests.serving.onnx_models import make_artifact

pytestmark = pytest.mark.slow


@pytest.fixture
def server(undecided: Path) -> Iterator[DetachedServer]:
    """A server of version 4, about which nothing was decided."""
    config = ServeConfig(model=f"{MODEL}/4", model_name=MODEL, rest_api_port=0, grpc=False)
    started = serve_detached(config)
    try:
        started.wait_until_ready()
        yield started
    finally:
        started.stop()


@pytest.fixture
def endpoint(server: DetachedServer) -> Iterator[Endpoint]:
    """How a person asks that server, whose version is the champion."""
    promote_model(PromoteConfig(model=MODEL, version=4, server=server.id))
    found = endpoint_of(server)
    yield found
    found.disconnect()


def answering(endpoint: Endpoint) -> int:
    return int(endpoint.rollout()["champion"])


def champion() -> int:
    standing = ledger_of(MODEL).standing().champion
    assert standing is not None
    return standing.version


def told() -> list[tuple[str, str, str]]:
    return [(event.where, event.action, event.version) for event in history(MODEL)]


def test_a_person_promotes_through_the_gate_and_maintain_leaves_it(
    server: DetachedServer, endpoint: Endpoint
) -> None:
    number = endpoint.canary(f"{MODEL}/3", 0.5)
    with pytest.raises(InputError, match="The gate has not compared version 3 of linear"):
        endpoint.promote()
    with pytest.raises(InputError, match="needs a reason"):
        endpoint.promote(ungated=True)
    assert (champion(), answering(endpoint)) == (4, 1)
    assert gate(GateConfig(model=MODEL, challenger=3, max_latency_ratio=None)).verdict == "promote"
    assert endpoint.promote(why="it passed") == number
    assert (champion(), answering(endpoint)) == (3, number)

    looked = maintain(MaintainConfig(model=MODEL, server=server.id))
    assert looked.stands.champion is not None
    assert (looked.stands.champion.version, answering(endpoint)) == (3, number)
    assert open_store().aliased_version(MODEL, "champion") == "3"

    endpoint.roll_back("complaints")
    assert (champion(), answering(endpoint)) == (4, 1)
    assert told() == [
        ("ledger", "promote", "4"),
        ("server", "canary", str(number)),
        ("ledger", "promote", "3"),
        ("ledger", "roll_back", "3"),
    ]
    assert [event.why for event in history(MODEL)][2:] == ["it passed", "complaints"]


def test_what_its_operator_decided_on_the_server_is_taken_over_once(
    server: DetachedServer, endpoint: Endpoint
) -> None:
    number = endpoint.load(f"{MODEL}/3")
    body = {"version": number, "why": "an emergency"}
    endpoint.administer("POST", "promote", body)
    assert (champion(), answering(endpoint)) == (4, number)
    looked = maintain(MaintainConfig(model=MODEL, server=server.id))
    assert "The ledger has taken over" in looked.looks[0].sentence
    assert (champion(), answering(endpoint)) == (3, number)
    assert follow(MODEL, endpoint, open_store()) == ""
    assert told() == [("ledger", "promote", "4"), ("ledger", "promote", "3")]
    assert "an emergency" in history(MODEL)[-1].why

    endpoint.administer("POST", "rollback", {"why": "it is over"})
    assert "version 4 is the champion" in follow(MODEL, endpoint, open_store())
    last = ledger_of(MODEL).decisions()[-1]
    assert (last.action, last.subject.version, last.stands.previous) == ("roll_back", 3, None)


def test_a_server_that_was_left_behind_follows(endpoint: Endpoint) -> None:
    number = endpoint.load(f"{MODEL}/3")
    endpoint.administer("POST", "promote", {"version": number, "decision": 1})
    told = follow(MODEL, endpoint, open_store())
    assert told == "The server was told again that version 4 is the champion."
    assert (champion(), answering(endpoint)) == (4, 1)


def test_a_version_nobody_registered_is_left_and_told(
    endpoint: Endpoint, undecided: Path, tmp_path: Path
) -> None:
    number = endpoint.load(str(make_artifact(tmp_path / "other")))
    with pytest.raises(InputError, match="is no registered version of linear"):
        endpoint.promote(number, ungated=True, why="a whim")
    endpoint.administer("POST", "promote", {"version": number})
    assert "It is left as it is" in follow(MODEL, endpoint, open_store())
    assert (champion(), answering(endpoint)) == (4, number)


def test_without_a_ledger_the_server_decides(undecided: Path) -> None:
    config = ServeConfig(model=f"{MODEL}/4", model_name=MODEL, rest_api_port=0, grpc=False)
    with serve(config) as endpoint:
        assert isinstance(endpoint.decider, ByLedger)
        number = endpoint.canary(f"{MODEL}/3", 0.5)
        assert endpoint.promote(why="a try") == number
        endpoint.roll_back()
        assert answering(endpoint) == 1
    assert ledger_of(MODEL).decisions() == []
    assert {where for where, _, _ in told()} == {"server"}
