from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from agiwb.errors import WorkspaceError
from agiwb.serving.rollout.state import Change, RolloutState
from agiwb.serving.rollout.store import LEDGER_FILE, STATE_FILE, RolloutStore
from agiwb.serving.status import Code, Refusal


def following(state, champion=1):
    change = Change(
        revision=state.revision + 1, time="2026-01-01T00:00:00.000+00:00", who="me",
        action="promote", before={}, after={"champion": champion},
    )  # fmt: skip
    return RolloutState(revision=state.revision + 1, champion=champion, last_change=change)


def test_what_was_written_is_read_by_another(tmp_path):
    store = RolloutStore(tmp_path)
    assert store.load() == RolloutState()
    store.swap(0, following(RolloutState(), 3))
    assert RolloutStore(tmp_path).load().champion == 3
    assert [change.after for change in RolloutStore(tmp_path).ledger()] == [{"champion": 3}]


def test_a_change_upon_an_old_revision_is_refused(tmp_path):
    store = RolloutStore(tmp_path)
    store.swap(0, following(RolloutState()))
    with pytest.raises(Refusal, match="at revision 1, not 0") as refused:
        store.swap(0, following(RolloutState(), 2))
    assert refused.value.code is Code.ABORTED
    assert store.load().champion == 1
    assert len(store.ledger()) == 1


def test_of_many_changes_upon_one_revision_one_wins(tmp_path):
    outcomes = []

    def swap(champion):
        try:
            RolloutStore(tmp_path).swap(0, following(RolloutState(), champion))
            outcomes.append(champion)
        except Refusal:
            outcomes.append(None)

    threads = [threading.Thread(target=swap, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [champion for champion in outcomes if champion is not None]
    assert len(outcomes) == 8
    assert winners == [RolloutStore(tmp_path).load().champion]


def test_a_ledger_that_a_kill_left_behind_is_mended(tmp_path):
    store = RolloutStore(tmp_path)
    state = following(RolloutState())
    store.swap(0, state)
    ledger = tmp_path / LEDGER_FILE
    # Killed between the state and its entry, and in the middle of the entry.
    for left in (b"", ledger.read_bytes()[:-20]):
        ledger.write_bytes(left)
        assert [change.revision for change in store.ledger()] == [1]
    store.swap(1, following(state, 2))
    assert [change.revision for change in store.ledger()] == [1, 2]


def test_a_damaged_state_is_told(tmp_path):
    (tmp_path / STATE_FILE).write_text('{"revision": "many"}')
    with pytest.raises(WorkspaceError, match="cannot be read"):
        RolloutStore(tmp_path).load()


def test_the_stamp_changes_with_the_state(tmp_path):
    store = RolloutStore(tmp_path)
    first = store.stamp()
    store.swap(0, following(RolloutState()))
    second = store.stamp()
    store.swap(1, following(store.load(), 2))
    assert len({first, second, store.stamp()}) == 3


_WRITER = """
from pathlib import Path
from tests.serving.rollout.test_store import following
from agiwb.serving.rollout.store import RolloutStore
store = RolloutStore(Path({folder!r}))
print("ready", flush=True)
while True:
    state = store.load()
    store.swap(state.revision, following(state, state.revision))
"""


def test_kill_9_loses_neither_state_nor_ledger(tmp_path):
    code = _WRITER.format(folder=str(tmp_path))
    for pause in (0.05, 0.11, 0.23):
        writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(pause)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        store = RolloutStore(tmp_path)
        state = store.load()
        ledger = store.ledger(last=100_000)
        assert [change.revision for change in ledger] == list(range(1, state.revision + 1))
    assert state.revision > 3
