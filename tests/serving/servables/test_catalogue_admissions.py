"""Versions that are loaded and answer only when others say so."""

from __future__ import annotations

import shutil
from collections import defaultdict

import pytest

from agiwb.errors import ServingError
from agiwb.serving.exchange import ModelSpec
from agiwb.serving.servables.catalogue import ModelConfig, State
from agiwb.serving.servables.policy import All
from agiwb.serving.status import Refusal
from tests.serving.servables.watched import (
    WatchedLoader,
    add_version,
    answer,
    eventually,
    running,
    states,
)

LATEST = ModelSpec("m")


class Door:
    def __init__(self):
        self.is_open = False

    def close(self):
        self.is_open = False


class Doors:
    """Admissions that the test decides; they note what the catalogue says."""

    def __init__(self):
        self.by_number = defaultdict(Door)
        self.heard = []
        self.needed = ()
        self.problems = []

    def place(self, name, number):
        if self.problems:
            raise ServingError(self.problems.pop())
        return self.by_number[number]

    def want(self, name, number):
        pass

    def required(self, name):
        return self.needed

    def stand_by(self, name, number):
        self.heard.append(("stand_by", number))

    def withdraw(self, name, number):
        self.heard.append(("withdraw", number))

    def end(self, name, number):
        self.heard.append(("end", number))

    def fail(self, name, number, reason):
        self.heard.append(("fail", number))

    def hears(self, what, number):
        return eventually(lambda: (what, number) in self.heard)


@pytest.fixture
def doors():
    return Doors()


@pytest.fixture
def load():
    return WatchedLoader()


@pytest.fixture
def catalogue(tmp_path, doors, load):
    """A catalogue that answers with version 1."""
    add_version(tmp_path, 1)
    with running(load, ModelConfig("m", tmp_path), admissions=doors) as catalogue:
        assert doors.hears("stand_by", 1)
        doors.by_number[1].is_open = True
        catalogue.admit("m", 1)
        assert catalogue.wait_until_ready(60)
        yield catalogue
    assert all(servable.closed == 1 for servable in load.servables)
    assert not any(servable.used_after_close for servable in load.servables)


def test_a_loaded_version_waits_and_then_answers_before_it_is_admitted(tmp_path, catalogue, doors):
    """The door is what decides: the word of it may come later."""
    add_version(tmp_path, 2)
    assert doors.hears("stand_by", 2)
    assert answer(catalogue, LATEST)[0] == 1
    assert states(catalogue)[2] is State.LOADING
    with pytest.raises(Refusal):
        answer(catalogue, ModelSpec("m", 2))
    doors.by_number[2].is_open = True
    assert answer(catalogue, LATEST)[0] == 2
    assert answer(catalogue, ModelSpec("m", 2))[0] == 2
    assert states(catalogue)[1] is State.AVAILABLE
    catalogue.admit("m", 2)
    assert doors.hears("end", 1)
    assert not doors.by_number[1].is_open
    assert catalogue.available("m") == (2,)


def test_the_status_tells_what_holds_a_version_back(tmp_path, catalogue, doors):
    add_version(tmp_path, 2)
    assert doors.hears("stand_by", 2)
    catalogue.hold_back("m", 2, "Worker 1 cannot load it.")
    assert catalogue.status(ModelSpec("m", 2))[0].message == "Worker 1 cannot load it."
    catalogue.hold_back("m", 2, "")
    assert catalogue.status(ModelSpec("m", 2))[0].message == ""


def test_a_version_that_is_not_wanted_any_more_is_withdrawn_first(tmp_path, catalogue, doors):
    add_version(tmp_path, 2)
    assert doors.hears("stand_by", 2)
    shutil.rmtree(tmp_path / "2")
    assert doors.hears("withdraw", 2)
    assert states(catalogue)[2] is State.LOADING
    catalogue.dismiss("m", 2)
    assert doors.hears("end", 2)
    assert eventually(lambda: states(catalogue)[2] is State.END)
    assert doors.heard.count(("withdraw", 2)) == 1
    assert answer(catalogue, LATEST)[0] == 1


def test_a_load_that_fails_is_told(tmp_path, catalogue, doors):
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "model.onnx").write_bytes(b"no model")
    assert doors.hears("fail", 2)
    assert answer(catalogue, LATEST)[0] == 1


def test_a_version_without_an_answer_on_its_admission_is_tried_again(tmp_path, doors, load):
    add_version(tmp_path, 1)
    doors.problems = ["The supervisor did not answer."]
    with running(load, ModelConfig("m", tmp_path), admissions=doors) as catalogue:
        assert doors.hears("fail", 1)
        assert doors.hears("stand_by", 1)
        assert [servable.closed for servable in load.servables] == [1, 0]
        doors.by_number[1].is_open = True
        catalogue.admit("m", 1)
        assert answer(catalogue, LATEST)[0] == 1


def test_where_another_closed_the_newest_version_the_one_below_answers(tmp_path, catalogue, doors):
    catalogue.add(ModelConfig("m", tmp_path, policy=All()))
    add_version(tmp_path, 2)
    assert doors.hears("stand_by", 2)
    doors.by_number[2].is_open = True
    catalogue.admit("m", 2)
    assert answer(catalogue, LATEST)[0] == 2
    doors.by_number[2].close()
    assert answer(catalogue, LATEST)[0] == 1
    doors.by_number[1].close()
    assert answer(catalogue, LATEST)[0] == 2


def test_what_is_required_is_loaded_besides_what_the_policy_chooses(tmp_path, doors, load):
    for number in (1, 2, 3):
        add_version(tmp_path, number)
    doors.needed = (2, 7)
    doors.by_number[2].is_open = True
    with running(load, ModelConfig("m", tmp_path), admissions=doors) as catalogue:
        assert doors.hears("stand_by", 2)
        assert doors.hears("stand_by", 3)
        assert answer(catalogue, LATEST)[0] == 2
        assert ("m", 1) not in load.loads
