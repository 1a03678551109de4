"""Promotion and roll-back with a real server under load, and two who decide at once."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from agiwb.cli import main
from agiwb.errors import InputError, NotFoundError, ServingError
from agiwb.maintenance.deciding import PromoteConfig, promote_model
from agiwb.maintenance.gate import gate
from agiwb.maintenance.gate_config import GateConfig
from agiwb.maintenance.history import history
from agiwb.maintenance.ledger import SupersededError, ledger_of
from agiwb.maintenance.promotion import challenge, find_version, promote, reject, roll_back
from agiwb.runs.store import open_store
from agiwb.serving.endpoint import Endpoint
from agiwb.serving.serve import ServeConfig, serve
from tests.maintenance.at_once import let_go
from tests.maintenance.versions import MODEL

pytestmark = pytest.mark.slow

IMAGE = np.zeros((1, 8, 8), np.float32)


@contextmanager
def serving_version(number: int) -> Iterator[Endpoint]:
    config = ServeConfig(model=f"{MODEL}/{number}", model_name=MODEL, rest_api_port=0, grpc=False)
    with serve(config) as endpoint:
        yield endpoint


@contextmanager
def load(endpoint: Endpoint) -> Iterator[list[BaseException | int]]:
    """Ask without a pause from two threads; the list has what came, a failure or the rows."""
    came: list[BaseException | int] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            try:
                came.append(len(endpoint.predict(IMAGE)))
            except Exception as error:  # noqa: BLE001  the test looks at it
                came.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield came
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def answering(endpoint: Endpoint) -> int:
    return int(endpoint.rollout()["champion"])


def test_promoted_and_rolled_back_under_load_no_request_fails(undecided: Path) -> None:
    store = open_store()
    first, second = (find_version(MODEL, number, store) for number in (1, 2))
    with serving_version(1) as endpoint, load(endpoint) as came:
        promote(MODEL, first, store, who="ann", endpoint=endpoint)
        before = endpoint.predict(IMAGE)
        standing = promote(MODEL, second, store, who="ann", why="better", endpoint=endpoint)
        assert not np.allclose(before, endpoint.predict(IMAGE))
        assert standing.champion is not None
        assert answering(endpoint) == standing.champion.served
        roll_back(MODEL, who="bob", why="worse after all", endpoint=endpoint)
        assert np.allclose(before, endpoint.predict(IMAGE))
    assert len(came) > 20
    assert set(came) == {1}
    assert [one.action for one in ledger_of(MODEL).decisions()] == [
        "promote", "promote", "roll_back",
    ]  # fmt: skip
    told = [(event.where, event.action) for event in history(MODEL)]
    assert told == [("ledger", "promote"), ("ledger", "promote"), ("ledger", "roll_back")]
    with pytest.raises(InputError, match="no promotion of linear to undo"):
        roll_back(MODEL, who="bob")


PROMOTES = """
import sys, time
from agiwb.maintenance.promotion import find_version, promote
from agiwb.runs.store import open_store

store = open_store()
version = find_version("linear", int(sys.argv[1]), store)
print("ready", flush=True)
sys.stdin.readline()
promote("linear", version, store, who=sys.argv[2], expected=1)
"""


def test_two_promote_at_once_one_wins_and_the_other_is_told(undecided: Path) -> None:
    store = open_store()
    promote(MODEL, find_version(MODEL, 1, store), store, who="ann")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROMOTES, str(number), who],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number, who in ((2, "bob"), (3, "eve"))
    ]  # fmt: skip
    let_go(processes)
    errors = [process.communicate()[1] for process in processes]
    assert sorted(bool(error) for error in errors) == [False, True]
    loser = next(error for error in errors if error)
    winner = ledger_of(MODEL).decisions()[-1]
    assert "SupersededError" in loser
    assert f"{winner.who} decided at" in loser
    assert ledger_of(MODEL).standing().revision == 2
    assert store.aliased_version(MODEL, "champion") == str(winner.subject.version)


def test_a_server_that_is_gone_leaves_what_stood(undecided: Path) -> None:
    store = open_store()
    with serving_version(1) as endpoint:
        promote(MODEL, find_version(MODEL, 1, store), store, who="ann", endpoint=endpoint)
        second = find_version(MODEL, 2, store)
        second = second.model_copy(update={"served": endpoint.load(f"{MODEL}/2")})
    with pytest.raises(ServingError):
        promote(MODEL, second, store, who="ann", endpoint=endpoint)
    standing = ledger_of(MODEL).standing()
    assert standing.champion is not None
    assert standing.champion.version == 1


def test_the_gate_stands_before_every_promotion_but_the_first(
    undecided: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["promote", MODEL, "--version", "3"]) == 0
    assert main(["promote", MODEL, "--version", "2"]) == 2
    assert "The gate has not compared version 2" in capsys.readouterr().err
    bad = gate(GateConfig(model=MODEL, challenger=1, max_latency_ratio=None))
    assert bad.verdict == "reject"
    assert main(["promote", MODEL, "--version", "1"]) == 2
    assert "does not let version 1 of linear pass: reject" in capsys.readouterr().err
    assert main(["promote", MODEL, "--version", "1", "--ungated"]) == 2
    good = gate(GateConfig(model=MODEL, challenger=2))
    assert good.verdict == "promote", good.sentences
    capsys.readouterr()
    assert main(["promote", MODEL, "--version", "2", "--who", "ann"]) == 0
    assert main(["rollback", MODEL, "--why", "a whim", "--json"]) == 0
    assert main(["history", MODEL, "--json"]) == 0
    printed = capsys.readouterr().out
    events = json.loads(printed[printed.index("[") :])
    assert [event["action"] for event in events] == ["promote", "promote", "roll_back"]
    assert events[1]["who"] == "ann"
    assert len(events[1]["evidence"]) == 64


def test_aliases_follow_and_name_models(undecided: Path) -> None:
    store = open_store()
    standing = promote_model(PromoteConfig(model=MODEL, version=1))
    challenger = find_version(MODEL, 3, store)
    challenge(MODEL, challenger, store, who="retrain")
    assert store.aliased_version(MODEL, "champion") == "1"
    assert store.aliased_version(MODEL, "challenger") == "3"
    with serving_named(f"{MODEL}@champion") as endpoint:
        assert endpoint.version == 1
    with pytest.raises(SupersededError):
        promote(MODEL, challenger, store, who="ann", expected=standing.revision)
    reject(MODEL, store, who="gate", why="worse")
    with pytest.raises(NotFoundError, match="No version of 'linear' is its challenger"):
        store.aliased_version(MODEL, "challenger")
    with pytest.raises(InputError, match="is the champion already"):
        promote_model(PromoteConfig(model=MODEL, version=1))


@contextmanager
def serving_named(reference: str) -> Iterator[Endpoint]:
    with serve(ServeConfig(model=reference, rest_api_port=0, grpc=False)) as endpoint:
        yield endpoint
