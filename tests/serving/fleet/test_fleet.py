"""What the servers of a fleet agree upon: catalogues in one process, one folder between them."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time

import pytest

from agiwb.errors import ConfigError, WorkspaceError
from agiwb.serving.exchange import ModelSpec
from agiwb.serving.fleet.fleet import Fleet
from agiwb.serving.fleet.folder import FleetFolder
from agiwb.serving.fleet.timetable import Switch, Timetable
from agiwb.serving.servables.catalogue import Catalogue, ModelConfig
from agiwb.serving.servables.policy import All, Latest, Specific
from agiwb.serving.settings import ServerSettings
from tests.serving.servables.watched import WatchedLoader, add_version, answer, eventually
from tests.serving.served import asking

LATEST = ModelSpec("m")
LEAD_S = 0.5


@contextlib.contextmanager
def serving(base_path, folder, load=None, policy=Latest()):  # noqa: B008  immutable
    """Yield a fleet's member: its catalogue and itself."""
    member = Fleet(folder, LEAD_S)
    catalogue = Catalogue(load or WatchedLoader(), poll_s=0.02, retries=0, admissions=member)
    catalogue.configure([ModelConfig("m", base_path, policy)])
    member.start(catalogue)
    catalogue.start()
    try:
        yield catalogue, member
    finally:
        catalogue.stop(2)
        member.stop()


@pytest.fixture
def base_path(tmp_path):
    path = tmp_path / "m"
    path.mkdir()
    add_version(path, 1)
    return path


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "fleet"


def ready(catalogue, number):
    return eventually(lambda: catalogue.available("m") == (number,))


def test_the_first_version_answers_at_once_and_the_next_at_one_moment(base_path, folder):
    with serving(base_path, folder) as (a, _), serving(base_path, folder) as (b, _):
        assert a.wait_until_ready(60)
        assert b.wait_until_ready(60)
        add_version(base_path, 2)
        seen, previous = [], 1
        ends = time.monotonic() + 60
        while previous == 1 and time.monotonic() < ends:
            for catalogue in (a, b):  # one after the other: never 2, then 1
                number, _ = answer(catalogue, LATEST)
                assert number >= previous
                previous = number
                seen.append(number)
        assert set(seen) == {1, 2}
        assert ready(a, 2)  # the first is unloaded, in both
        assert ready(b, 2)
    assert FleetFolder(folder).members() == []


def test_a_version_that_one_server_cannot_load_is_held_back_by_all(base_path, folder):
    class Damaged(WatchedLoader):
        def __call__(self, name, version):
            if version.number == 2:
                raise ValueError("Its file is damaged.")
            return super().__call__(name, version)

    with serving(base_path, folder) as (a, _), serving(base_path, folder, Damaged()) as (b, _):
        assert a.wait_until_ready(60)
        assert b.wait_until_ready(60)
        add_version(base_path, 2)

        def told():
            return [one.message for one in a.status(LATEST) if one.version == 2]

        assert eventually(lambda: told() and "Its file is damaged." in told()[0])
        assert answer(a, LATEST)[0] == answer(b, LATEST)[0] == 1
        add_version(base_path, 3)
        assert eventually(lambda: answer(a, LATEST)[0] == answer(b, LATEST)[0] == 3)


def test_a_withdrawn_version_goes_on_answering_until_all_have_the_former(base_path, folder):
    add_version(base_path, 2)
    slow = WatchedLoader()
    with serving(base_path, folder) as (a, _), serving(base_path, folder, slow) as (b, _):
        assert a.wait_until_ready(60)
        assert b.wait_until_ready(60)
        slow.gate.clear()
        shutil.rmtree(base_path / "2")
        assert eventually(lambda: 1 in {one.version for one in a.status(LATEST)})
        time.sleep(2 * LEAD_S)
        assert answer(a, LATEST)[0] == answer(b, LATEST)[0] == 2
        slow.gate.set()
        assert ready(a, 1)
        assert ready(b, 1)


def test_a_newcomer_is_not_ready_before_it_has_what_the_others_answer_with(base_path, folder):
    slow = WatchedLoader()
    with serving(base_path, folder) as (a, member):
        assert a.wait_until_ready(60)
        assert eventually(lambda: not member.hindrance())
        slow.gate.clear()
        with serving(base_path, folder, slow) as (b, newcomer):
            assert eventually(lambda: "version 1 of m" in newcomer.hindrance())
            slow.gate.set()
            assert b.wait_until_ready(60)
            newcomer.join()
            assert newcomer.hindrance() == ""


def test_a_server_that_is_gone_without_a_word_is_waited_for_only_so_long(base_path, folder):
    with serving(base_path, folder) as (a, _):
        assert a.wait_until_ready(60)
        former = FleetFolder(folder).members()[0]
        FleetFolder(folder).tell(
            type(former)("killed", 7, {"m": 1}, {"m": (1,)})
        )  # of a server that was killed, and says nothing any more
        add_version(base_path, 2)
        begun = time.monotonic()
        assert ready(a, 2)
        assert time.monotonic() - begun >= 3 * LEAD_S


def test_a_server_that_cannot_look_is_not_ready(base_path, folder):
    with serving(base_path, folder) as (a, member):
        assert a.wait_until_ready(60)
        assert eventually(lambda: not member.hindrance())
        folder.rename(folder.with_name("gone"))
        folder.write_text("in the way")
        assert eventually(lambda: "cannot reach" in member.hindrance())
        assert answer(a, LATEST)[0] == 1  # who asks nevertheless is answered
        folder.unlink()
        folder.with_name("gone").rename(folder)
        assert eventually(lambda: not member.hindrance())


def test_versions_to_be_had_by_number_only_wait_for_nobody(base_path, folder):
    with serving(base_path, folder, policy=All()) as (a, _):
        assert a.wait_until_ready(60)
        add_version(base_path, 2)
        assert eventually(lambda: answer(a, LATEST)[0] == 2)
        assert eventually(lambda: a.available("m") == (1, 2))
        assert answer(a, ModelSpec("m", 1))[0] == 1


def test_a_pinned_version_is_switched_to_once_all_are_pinned(base_path, folder):
    add_version(base_path, 2)
    with serving(base_path, folder) as (a, _):
        assert a.wait_until_ready(60)
        with serving(base_path, folder, policy=Specific((1,))) as (b, newcomer):
            assert b.wait_until_ready(60)
            newcomer.join()
            assert answer(b, LATEST)[0] == 2  # as the other does
            a.configure([ModelConfig("m", base_path, Specific((1,)))])
            assert eventually(lambda: answer(a, LATEST)[0] == answer(b, LATEST)[0] == 1)


def test_of_servers_that_agree_at_once_one_wins(folder):
    shared, barrier, won = FleetFolder(folder), threading.Barrier(8), []

    def agree(version):
        barrier.wait()
        if shared.add("a/b", Switch(1, version, 5.0)):
            won.append(version)

    threads = [threading.Thread(target=agree, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert shared.switches("a/b") == [Switch(1, won[0], 5.0)]
    assert not list(folder.rglob("*.part"))


def test_a_timetable_follows_the_clock():
    table, now = Timetable(), time.time()
    assert table.answering() is None
    table.follow([Switch(1, 4, 0.0), Switch(2, 5, now + 60)])
    assert (table.answering(), table.agreed, table.required()) == (4, 5, (4, 5))
    table.follow([Switch(1, 4, 0.0)])  # an old look, heard late
    assert table.agreed == 5
    table.follow([Switch(2, 5, now + 60), Switch(3, 4, now - 1)])
    assert (table.answering(), table.required()) == (4, (4,))


def test_probes_say_that_a_server_that_drains_is_not_ready(base_path, folder):
    with asking(base_path, fleet_folder=folder) as asked:
        assert asked("GET", "/v2/health/ready").status == 200
        asked.server.drain()
        assert asked("GET", "/v2/health/ready").status == 400
        assert asked.document("GET", "/v1/healthz")["reason"] == "It is about to stop."
        assert asked("GET", "/v2/health/live").status == 200
        assert asked("POST", "/v1/models/m:predict", '{"instances": [2]}').status == 200


def test_a_folder_that_cannot_be_written_is_told_of_at_the_start(base_path, tmp_path):
    (tmp_path / "file").write_text("")
    member = Fleet(tmp_path / "file")
    with pytest.raises(WorkspaceError, match="every server of the fleet can read and write"):
        member.start(Catalogue(WatchedLoader()))


def test_a_fleet_does_not_preserve_resources(base_path, folder):
    with pytest.raises(ConfigError, match="leave out one of them"):
        ServerSettings(model_base_path=base_path, fleet_folder=folder, preserve_resources=True)
