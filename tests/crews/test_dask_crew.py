"""A crew of real Dask workers: killed, cancelled, deserted, and pinned to one kind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme

from agiwb.crews.crew import Ending, Returned
from agiwb.crews.dask_crew import DaskCluster
from agiwb.errors import ConfigError, WorkError
from tests.crews.dask_cluster import Cluster, running_cluster
from tests.crews.pieces import Piece, answer, get_ready, say_and_end, work

pytestmark = pytest.mark.slow

_PROMPT_S = 30


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster"), "one") as made:
        made.add_worker("two", "--resources", "edge=1")
        yield made


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes.txt"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that pieces of work wait for."""
    return tmp_path / "gate"


def lines(notes: Path, word: str) -> list[list[str]]:
    """Return the notes that begin so, split into words."""
    text = notes.read_text().splitlines() if notes.is_file() else []
    return [line.split() for line in text if line.startswith(word)]


def wait_until(holds: Callable[[], Any], longest_s: float = 90) -> None:
    until = time.monotonic() + longest_s
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def carried(crew: DaskCluster, pieces: list[Piece], meanwhile: Callable[[], Any]) -> list[Ending]:
    """Return how the pieces ended."""
    endings: list[Ending] = []
    for number, piece in enumerate(pieces):
        crew.start(number, work, piece)
    while len(endings) < len(pieces):
        endings += crew.wait(answer, meanwhile)
    return sorted(endings, key=lambda ending: ending.number)


def wait_for_workers(crew: DaskCluster, count: int) -> None:
    wait_until(lambda: crew.size() == count)


def test_each_worker_has_its_share_and_a_workspace_of_its_own(
    cluster: Cluster, notes: Path, gate: Path
):
    crew = DaskCluster(cluster.address, None, get_ready)
    try:
        wait_for_workers(crew, 2)

        def open_gate() -> None:
            if len(lines(notes, "begin")) == 2:
                gate.touch()

        endings = carried(crew, [Piece(name, notes, gate) for name in "ab"], open_gate)
    finally:
        crew.close()
    assert {ending.value for ending in endings if isinstance(ending, Returned)} == {
        str(cluster.workspace("one")),
        str(cluster.workspace("two")),
    }


def test_all_that_work_says_is_heard_before_its_end(cluster: Cluster, notes: Path):
    crew = DaskCluster(cluster.address, 1, get_ready)
    heard: list[object] = []
    try:
        for number in range(5):
            crew.start(number, say_and_end, Piece(f"{number}", notes))
            while not (endings := crew.wait(lambda _, what: heard.append(what), lambda: None)):
                pass
            assert endings == [Returned(number, f"{number}")]
            assert heard[-2:] == [number, f"{number}"]
    finally:
        crew.close()


def test_work_is_pinned_to_one_kind_of_worker(cluster: Cluster, notes: Path):
    crew = DaskCluster(cluster.address, None, get_ready, kind="edge")
    try:
        wait_for_workers(crew, 1)
        endings = carried(crew, [Piece(name, notes) for name in "abc"], lambda: None)
    finally:
        crew.close()
    assert [ending.value for ending in endings if isinstance(ending, Returned)] == 3 * [
        str(cluster.workspace("two"))
    ]
    with pytest.raises(ConfigError, match=r"no worker with the resource 'gpu'.*gpu=1"):
        DaskCluster(cluster.address, None, get_ready, kind="gpu")


def test_closing_ends_the_work_on_the_workers(cluster: Cluster, notes: Path, gate: Path):
    crew = DaskCluster(cluster.address, 2, get_ready)
    for number, name in enumerate("ab"):
        crew.start(number, work, Piece(name, notes, gate))
    wait_until(lambda: len(lines(notes, "begin")) == 2)
    pids = [int(line[2]) for line in lines(notes, "begin")]
    assert all(map(psutil.pid_exists, pids))
    crew.close()
    wait_until(lambda: not any(map(psutil.pid_exists, pids)), _PROMPT_S)


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_the_work_of_a_killed_worker_is_done_again_once(
    tmp_path: Path, notes: Path, gate: Path, by: signal.Signals
):
    with running_cluster(tmp_path / "cluster", "one", "two") as cluster:
        crew = DaskCluster(cluster.address, None, get_ready)
        wait_for_workers(crew, 2)
        killed: list[int] = []

        def kill_halfway() -> None:
            begun = lines(notes, "begin")
            if len(begun) == 2 and not killed and cluster.children("one"):
                killed.extend(child.pid for child in cluster.children("one"))
                cluster.kill_worker("one", by)
                gate.touch()

        try:
            endings = carried(crew, [Piece(name, notes, gate) for name in "ab"], kill_halfway)
        finally:
            crew.close()
        wait_until(lambda: not any(map(psutil.pid_exists, killed)), _PROMPT_S)
    assert killed
    assert all(isinstance(ending, Returned) for ending in endings)
    assert len(lines(notes, "begin")) == 3
    assert sorted(line[1] for line in lines(notes, "end")) == ["a", "b"]


def test_a_lost_scheduler_is_told_in_a_sentence_and_no_work_is_left(
    tmp_path: Path, notes: Path, gate: Path
):
    with running_cluster(tmp_path / "cluster", "one") as cluster:
        crew = DaskCluster(cluster.address, 1, get_ready)

        def kill_it() -> None:
            if lines(notes, "begin") and cluster.is_alive:
                cluster.kill_scheduler()

        with pytest.raises(WorkError, match=r"scheduler at tcp://\S+ does not answer any more"):
            carried(crew, [Piece("a", notes, gate)], kill_it)
        crew.close()
        (pid,) = (int(line[2]) for line in lines(notes, "begin"))
        wait_until(lambda: not psutil.pid_exists(pid), _PROMPT_S)


def test_a_cluster_without_workers_is_told_of(
    tmp_path: Path, notes: Path, gate: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("agiwb.crews.dask_crew._DESERTED_S", 2.0)
    with running_cluster(tmp_path / "cluster", "one") as cluster:
        crew = DaskCluster(cluster.address, 1, get_ready)

        def kill_it() -> None:
            if lines(notes, "begin") and cluster.runs("one"):
                cluster.kill_worker("one")

        with pytest.raises(WorkError, match="has had no workers for 2 s"):
            carried(crew, [Piece("a", notes, gate)], kill_it)
        crew.close()


CLIENT = """
import sys
from pathlib import Path
from agiwb.crews.dask_crew import DaskCluster
from tests.crews.pieces import Piece, answer, get_ready, work
crew = DaskCluster(sys.argv[1], 1, get_ready)
crew.start(0, work, Piece("a", Path(sys.argv[2]), Path(sys.argv[3])))
while True:
    crew.wait(answer, lambda: None)
"""


def test_the_work_of_a_killed_client_ends(cluster: Cluster, notes: Path, gate: Path):
    words = [sys.executable, "-c", CLIENT, cluster.address, str(notes), str(gate)]
    with subprocess.Popen(words) as client:
        wait_until(lambda: lines(notes, "begin"))
        (pid,) = (int(line[2]) for line in lines(notes, "begin"))
        assert psutil.pid_exists(pid)
        client.kill()
    wait_until(lambda: not psutil.pid_exists(pid), _PROMPT_S)


def test_a_scheduler_that_wants_tls_is_reached_by_dasks_own_settings(tmp_path: Path, notes: Path):
    from dask import config

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    found = {"distributed.comm.tls.ca-file": str(tmp_path / "ca.pem")}
    for role in ("scheduler", "worker", "client"):
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / f"{role}.pem"))
        found |= {
            f"distributed.comm.tls.{role}.{part}": str(tmp_path / f"{role}.pem")
            for part in ("cert", "key")
        }
    environment = {
        f"DASK_{name.upper().replace('.', '__').replace('-', '_')}": value
        for name, value in found.items()
    }
    with running_cluster(tmp_path / "cluster", "one", security=environment) as cluster:
        assert cluster.address.startswith("tls://")
        with pytest.raises(ConfigError, match="Dask has no certificates for it here"):
            DaskCluster(cluster.address, 1, get_ready)
        with config.set(found):
            crew = DaskCluster(cluster.address, 1, get_ready)
            try:
                (ending,) = carried(crew, [Piece("a", notes)], lambda: None)
            finally:
                crew.close()
    assert isinstance(ending, Returned)
