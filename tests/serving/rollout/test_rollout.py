from __future__ import annotations

import json
import sys
import threading
import time

import numpy as np
import pytest

from agiwb.serving.rollout.rollout import Rollout
from agiwb.serving.rollout.shadowing import MAX_WAITING
from agiwb.serving.rollout.split import LATEST, Choice
from agiwb.serving.rollout.state import Decided, Guards
from agiwb.serving.rollout.store import STATE_FILE
from agiwb.serving.status import Code, Refusal
from tests.serving.rollout.versions_in_memory import VersionsInMemory, failing, inverted, scores

X = {"x": np.array([1.0, -1.0, 2.0, -2.0])}


@pytest.fixture
def versions(tmp_path):
    return VersionsInMemory(tmp_path, {1: scores, 2: inverted})


@pytest.fixture
def rollout(versions):
    rollout = Rollout(versions, tick_s=0.05)
    rollout.start()
    yield rollout
    rollout.stop()


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def offer(rollout, versions, number=1, times=1):
    for _ in range(times):
        answer = versions.functions[number](X)
        rollout.offer(versions.held(number), "serving_default", X, answer)


def test_without_a_rollout_the_highest_version_answers(rollout):
    assert rollout.choose("m", "key", "id") == LATEST
    assert rollout.choose("unknown", "key", "id") == LATEST
    assert rollout.variant_of("m", 2) == "champion"


def test_a_canary_pins_the_champion_and_is_kept_by_a_restart(rollout, versions):
    rollout.set_canary("m", 2, 1.0)
    rollout.set_canary("m", 2, 0.25, decided=Decided(who="ann", why="smaller"))
    assert (rollout.variant_of("m", 1), rollout.variant_of("m", 2)) == ("champion", "challenger")
    again = Rollout(versions)
    again.refresh()
    keys = [str(number) for number in range(400)]
    chosen = [again.choose("m", key, "") for key in keys]
    assert chosen == [rollout.choose("m", key, "") for key in keys]
    assert set(chosen) == {Choice(1, "champion"), Choice(2, "challenger")}
    newest = again.describe("m")["ledger"][-1]
    assert (newest["who"], newest["why"], newest["action"]) == ("ann", "smaller", "canary")
    assert newest["from"]["canary"]["share"] == 1.0
    assert newest["to"]["canary"]["share"] == 0.25


def test_the_request_id_stands_in_for_a_missing_key_and_chance_for_both(rollout):
    rollout.set_canary("m", 2, 0.5)
    assert rollout.choose("m", "k", "a") == rollout.choose("m", "k", "b")
    assert rollout.choose("m", "", "k") == rollout.choose("m", "k", "")
    assert len({rollout.choose("m", "", "") for _ in range(200)}) == 2


def test_promote_and_roll_back(rollout):
    rollout.set_canary("m", 2, 0.1)
    rollout.promote("m", decided=Decided(who="somebody", why="good"))
    assert rollout.choose("m", "k", "") == Choice(2, "champion")
    rollout.roll_back("m")
    assert rollout.choose("m", "k", "") == Choice(1, "champion")
    with pytest.raises(Refusal, match="no promotion to undo"):
        rollout.roll_back("m")
    rollout.unpin("m")
    assert rollout.choose("m", "k", "") == LATEST
    actions = [change["action"] for change in rollout.describe("m")["ledger"]]
    assert actions == ["canary", "promote", "roll_back", "unpin"]


def test_rolling_back_ends_a_canary_first(rollout):
    rollout.set_canary("m", 2, 1.0)
    rollout.roll_back("m", decided=Decided(who="ann"))
    assert rollout.choose("m", "k", "") == Choice(1, "champion")
    assert rollout.describe("m")["canary"] is None


def test_a_promotion_upon_an_old_revision_is_refused(rollout):
    revision = rollout.set_canary("m", 2, 0.1).revision
    rollout.promote("m", decided=Decided(who="somebody", revision=revision))
    with pytest.raises(Refusal, match="not 1") as refused:
        rollout.promote("m", 1, decided=Decided(who="somebody", revision=revision))
    assert refused.value.code is Code.ABORTED


def test_two_servers_of_one_model_follow_each_other(rollout, versions):
    other = Rollout(versions)
    other.refresh()
    other.set_canary("m", 2, 1.0)
    until(lambda: rollout.choose("m", "k", "") == Choice(2, "challenger"))
    assert rollout.promote("m").revision == 2


def test_what_is_not_loaded_is_refused(rollout, versions):
    for change in (
        lambda: rollout.set_canary("m", 9, 0.1),
        lambda: rollout.set_shadow("m", 9),
        lambda: rollout.promote("m", 9),
        lambda: rollout.promote("other"),
    ):
        with pytest.raises(Refusal) as refused:
            change()
        assert refused.value.code is Code.NOT_FOUND
    with pytest.raises(Refusal, match="No challenger"):
        rollout.promote("m")
    del versions.functions[1]
    with pytest.raises(Refusal, match="no other version"):
        rollout.set_canary("m", 2, 0.1)


def test_a_challenger_that_is_unloaded_leaves_its_clients_to_the_champion(rollout, versions):
    rollout.set_canary("m", 2, 1.0)
    function = versions.functions.pop(2)
    rollout.versions_changed()
    until(lambda: rollout.choose("m", "k", "") == Choice(1, "champion"))
    versions.functions[2] = function
    rollout.versions_changed()
    until(lambda: rollout.choose("m", "k", "") == Choice(2, "challenger"))


def test_a_damaged_state_leaves_the_highest_version_and_is_logged(versions, caplog):
    (versions.base_path / STATE_FILE).write_text("{")
    rollout = Rollout(versions)
    rollout.refresh()
    assert rollout.choose("m", "k", "") == LATEST
    assert "cannot be read" in caplog.text


def test_a_shadow_is_compared(rollout, versions):
    rollout.set_shadow("m", 2)
    offer(rollout, versions, times=10)
    until(lambda: rollout.describe("m")["comparison"]["requests_compared"] == 10)
    described = json.loads(json.dumps(rollout.describe("m")))
    assert described["comparison"]["disagreement"] == 1.0
    assert described["comparison"]["max_absolute_difference"] == 4.0
    assert described["comparison"]["latency_ratio"] > 0


def test_a_share_of_the_requests_is_shadowed(versions, rollout):
    rollout.set_shadow("m", 2, 0.3)
    for _ in range(60):
        offer(rollout, versions, times=10)
        time.sleep(0.001)
    until(lambda: rollout.describe("m")["comparison"]["requests_compared"] > 100)
    seen = rollout.describe("m")
    offered = seen["comparison"]["requests_compared"] + seen["shadow_queue"]["dropped"]
    assert 120 < offered < 250


def test_a_failing_shadow_harms_nobody(rollout, versions):
    versions.functions[2] = failing
    rollout.set_shadow("m", 2)
    offer(rollout, versions, times=3)
    until(lambda: rollout.describe("m")["comparison"]["requests_failed"] == 3)
    assert rollout.describe("m")["comparison"]["last_failure"] == "RuntimeError: out of order"


def test_a_slow_shadow_neither_blocks_nor_grows(rollout, versions):
    go_on = threading.Event()

    def slow(inputs):
        go_on.wait(60)
        return scores(inputs)

    versions.functions[2] = slow
    rollout.set_shadow("m", 2)
    offer(rollout, versions, times=MAX_WAITING + 50)
    assert rollout.describe("m")["shadow_queue"]["dropped"] == 50
    go_on.set()
    until(lambda: rollout.describe("m")["comparison"]["requests_compared"] == MAX_WAITING)
    offer(rollout, versions)
    until(lambda: rollout.describe("m")["comparison"]["requests_compared"] == MAX_WAITING + 1)


def test_only_the_champions_answers_are_compared(rollout, versions):
    versions.functions[3] = scores
    rollout.promote("m", 1)
    rollout.set_shadow("m", 3)
    rollout.set_canary("m", 2, 0.5)
    offer(rollout, versions, number=3)
    offer(rollout, versions, number=2)
    offer(rollout, versions, number=1)
    until(lambda: rollout.describe("m")["comparison"]["requests_compared"] == 1)
    assert rollout.describe("m")["comparison"]["disagreement"] == 0.0


def test_a_version_that_a_client_names_is_not_compared(rollout, versions):
    versions.functions[3] = scores
    rollout.promote("m", 2)
    rollout.set_shadow("m", 3)
    offer(rollout, versions, number=1)
    offer(rollout, versions, number=2)
    until(lambda: rollout.describe("m")["comparison"]["requests_compared"] == 1)
    assert rollout.describe("m")["comparison"]["disagreement"] == 1.0  # with 2, not with 1


def test_the_highest_version_answers_nobody_once_it_is_the_shadow(rollout, versions):
    assert rollout.describe("m")["champion"] == 2
    rollout.set_shadow("m", 2)
    assert rollout.choose("m", "k", "").version == rollout.describe("m")["champion"] == 1
    rollout.promote("m", 2)
    with pytest.raises(Refusal, match="no other version beside it"):
        rollout.set_shadow("m", 2)


def test_a_broken_guard_rolls_back_by_itself_and_leaves_evidence(versions):
    told = []
    rollout = Rollout(versions, on_rollback=lambda model, broken: told.append((model, broken)))
    rollout.start()
    try:
        rollout.set_canary("m", 2, 1.0, Guards(max_error_rate=0.01))
        for _ in range(100):
            rollout.observe("m", 2, Code.INTERNAL, 0.001)
        until(lambda: told)
    finally:
        rollout.stop()
    assert rollout.choose("m", "k", "") == Choice(1, "champion")
    assert (told[0][0], told[0][1].guard) == ("m", "max_error_rate")
    entry = rollout.describe("m")["ledger"][-1]
    assert (entry["who"], entry["action"]) == ("guard max_error_rate", "roll_back")
    assert entry["evidence"]["failed"] == 100
    assert entry["evidence"]["challenger"]["requests"] == 100


def test_disagreement_rolls_back(rollout, versions):
    with pytest.raises(Refusal, match="as a shadow"):
        rollout.set_canary("m", 2, 0.5, Guards(max_disagreement=0.05))
    rollout.set_shadow("m", 2)
    rollout.set_canary("m", 2, 0.5, Guards(max_disagreement=0.05))
    with pytest.raises(Refusal, match="needs this shadow"):
        rollout.set_shadow("m", 2, 0.0)
    for _ in range(50):
        offer(rollout, versions)
        time.sleep(0.001)
    until(lambda: rollout.describe("m")["canary"] is None)
    evidence = rollout.describe("m")["ledger"][-1]["evidence"]
    assert evidence["comparison"]["disagreement"] == 1.0


def test_a_roll_back_that_cannot_be_written_holds_nevertheless(rollout, versions, caplog):
    rollout.set_canary("m", 2, 1.0, Guards(max_error_rate=0.01))
    lock = versions.base_path / ".rollout.lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()  # no lock file can be made here
    for _ in range(100):
        rollout.observe("m", 2, Code.INTERNAL, 0.001)
    until(lambda: rollout.choose("m", "k", "") == Choice(1, "champion"))
    until(lambda: "not on disk" in caplog.text)


def test_a_larger_share_keeps_what_was_seen(rollout):
    guards = Guards(max_error_rate=0.01)
    rollout.set_canary("m", 2, 0.1, guards)
    for _ in range(60):
        rollout.observe("m", 2, Code.OK, 0.001)
    rollout.set_canary("m", 2, 0.5, guards)
    assert rollout.describe("m")["watch"]["challenger"]["requests"] == 60
    rollout.set_canary("m", 2, 0.5, Guards(max_error_rate=0.02))
    assert rollout.describe("m")["watch"]["challenger"]["requests"] == 0


def test_a_server_imports_no_scipy_for_it():
    import subprocess

    code = "import sys, agiwb.serving.rollout.rollout; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
