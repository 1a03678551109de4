"""When all workers switch to a version, whatever order their news comes in."""

from __future__ import annotations

import os

import pytest

from agiwb.serving.workers.gates import OPEN, Gate, Gates, make_gates
from agiwb.serving.workers.switchboard import Switchboard


@pytest.fixture
def gates():
    descriptor = make_gates()
    yield Gates(descriptor)
    os.close(descriptor)


@pytest.fixture
def told():
    return []


@pytest.fixture
def board(gates, told):
    return Switchboard(gates, {0, 1}, lambda *decision: told.append(decision))


def is_open(board, gates, number):
    return gates[board.place("m", number)] == OPEN


def test_no_version_answers_before_all_workers_have_it(board, gates, told):
    board.stand_by(0, "m", 1)
    assert not is_open(board, gates, 1)
    board.stand_by(1, "m", 1)
    assert is_open(board, gates, 1)
    assert [(worker, kind) for worker, kind, *_ in told if kind == "admit"] == [
        (0, "admit"),
        (1, "admit"),
    ]
    assert board.required() == {"m": [1]}


def test_a_worker_that_cannot_load_it_holds_the_switch_back_until_it_can(board, gates, told):
    board.stand_by(0, "m", 2)
    board.fail(1, "m", 2, "The file is cut off.")
    assert told[-1] == (
        0,
        "hold_back",
        "m",
        2,
        "Worker 1 cannot load it: The file is cut off.",
    )
    assert not is_open(board, gates, 2)
    board.stand_by(1, "m", 2)
    assert is_open(board, gates, 2)


def test_the_reason_is_also_told_to_who_loads_it_later(board, told):
    board.fail(1, "m", 2, "No memory.")
    board.stand_by(0, "m", 2)
    assert told[-1][:2] == (0, "hold_back")
    assert "No memory." in told[-1][4]


def test_a_worker_that_ends_is_not_waited_for(board, gates):
    board.stand_by(0, "m", 2)
    board.leave(1)
    assert is_open(board, gates, 2)


def test_a_new_worker_counts_once_it_has_what_the_others_answer_with(board, gates):
    for worker in (0, 1):
        board.stand_by(worker, "m", 1)
    board.leave(1)
    assert not board.join(1)
    board.stand_by(0, "m", 2)  # worker 1 does not answer yet, so it is not waited for
    assert is_open(board, gates, 2)
    board.stand_by(1, "m", 1)
    assert not board.join(1)
    board.stand_by(1, "m", 2)
    assert board.join(1)
    board.stand_by(0, "m", 3)
    assert not is_open(board, gates, 3)


def test_what_is_unloaded_in_one_worker_is_closed_in_all_and_may_come_back(board, gates):
    for worker in (0, 1):
        board.stand_by(worker, "m", 1)
    mine, others = (Gate(gates, board.place("m", 1)) for _ in range(2))
    mine.close()
    assert not others.is_open
    assert board.required() == {}
    board.end(0, "m", 1)
    board.end(1, "m", 1)
    board.stand_by(0, "m", 1)
    assert not is_open(board, gates, 1)
    board.stand_by(1, "m", 1)
    assert is_open(board, gates, 1)


def test_a_worker_that_ends_does_not_open_what_another_has_closed(board, gates):
    for worker in (0, 1):
        board.stand_by(worker, "m", 1)
    Gate(gates, board.place("m", 1)).close()
    board.leave(0)
    assert not is_open(board, gates, 1)


def test_a_version_is_withdrawn_unless_it_answers_already(board, told):
    board.stand_by(0, "m", 1)
    board.withdraw(0, "m", 1)
    assert told[-1] == (0, "dismiss", "m", 1, "")
    told.clear()
    for worker in (0, 1):
        board.stand_by(worker, "m", 2)
    told.clear()
    board.withdraw(0, "m", 2)
    assert told == []
    assert board.required() == {"m": [2]}


def test_slots_are_used_again(board, gates):
    for number in range(3 * len(gates)):
        board.place("m", number)
        for worker in (0, 1):
            board.stand_by(worker, "m", number)
        assert is_open(board, gates, number)
        for worker in (0, 1):
            board.end(worker, "m", number)


def test_gates_are_seen_by_another_process(gates):
    gate = Gate(gates, 7)
    child = os.fork()
    if child == 0:
        gates[7] = OPEN
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert gate.is_open
