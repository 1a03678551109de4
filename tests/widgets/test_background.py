"""Work in a thread: one at a time, waited for, and its failure shown."""

from __future__ import annotations

import threading

import pytest

from agiwb.errors import InputError
from widgets.background import BusyState


def test_one_thing_is_done_at_a_time_and_waited_for() -> None:
    state, may_end = BusyState(), threading.Event()
    done: list[object] = []
    state.begin("counting", lambda: done.append(may_end.wait(10)))
    assert state.busy == "counting"
    state.begin("something else", lambda: done.append("never"))
    assert state.error == "Wait a moment: counting."
    may_end.set()
    state.settle(10)
    assert (state.busy, done) == ("", [True])


def test_it_can_be_waited_for_while_it_begins() -> None:
    state = BusyState()
    done: list[int] = []
    for number in range(200):
        beginner = threading.Thread(
            target=state.begin, args=["counting", lambda number=number: done.append(number)]
        )
        beginner.start()
        state.settle(10)  # whether it has begun by now or not
        beginner.join()
        state.settle(10)
    assert done == list(range(200))
    assert state.error == ""


def test_what_goes_wrong_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise InputError("It is wrong.", "Give another.")

    state = BusyState()
    state.begin("trying", fail)
    state.settle(10)
    assert state.error.startswith("It is wrong.")
    state.begin("trying again", lambda: None)
    state.settle(10)
    assert state.error == ""
