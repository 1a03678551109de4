"""A crew of real Dask workers: killed, cancelled, deserted, and pinned to one kind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from agiwb.crews.crew import Ending, Returned
from agiwb.crews.dask_crew import DaskCluster
from agiwb.errors import ConfigError, WorkError
from tests.crews.dask_cluster import Cluster, running_cluster
from tests.crews.pieces import Piece, answer, get_ready, work

pytestmark = pytest.mark.slow

_PROMPT_S = 10


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster"), "one") as made:
        made.add_worker("two", "--resources", "edge=1")
        yield made


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes.txt"


def lines(notes: Path, word: str) -> list[list[str]]:
    """Return the notes that begin so, split into words."""
    text = notes.read_text().splitlines() if notes.is_file() else []
    return [line.split() for line in text if line.startswith(word)]


def wait_until(holds: Callable[[], Any], longest_s: float = 30) -> None:
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


def test_each_worker_has_its_share_and_a_workspace_of_its_own(cluster: Cluster, notes: Path):
    crew = DaskCluster(cluster.address, None, get_ready)
    try:
        wait_for_workers(crew, 2)
        pieces = [Piece(name, notes, 0.4) for name in ("a", "b")]
        endings = carried(crew, pieces, lambda: None)
    finally:
        crew.close()
    assert {ending.value for ending in endings if isinstance(ending, Returned)} == {
        str(cluster.workspace("one")),
        str(cluster.workspace("two")),
    }


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


def test_closing_ends_the_work_on_the_workers(cluster: Cluster, notes: Path):
    crew = DaskCluster(cluster.address, 2, get_ready)
    for number, name in enumerate("ab"):
        crew.start(number, work, Piece(name, notes, 600))
    wait_until(lambda: len(lines(notes, "begin")) == 2)
    pids = [int(line[2]) for line in lines(notes, "begin")]
    assert all(map(psutil.pid_exists, pids))
    crew.close()
    wait_until(lambda: not any(map(psutil.pid_exists, pids)), _PROMPT_S)


def test_the_work_of_a_killed_worker_is_done_again_once(tmp_path: Path, notes: Path):
    with running_cluster(tmp_path / "cluster", "one", "two") as cluster:
        crew = DaskCluster(cluster.address, 2, get_ready)
        wait_for_workers(crew, 2)
        killed: list[int] = []

        def kill_halfway() -> None:
            begun = lines(notes, "begin")
            if len(begun) == 2 and not killed and cluster.children("one"):
                killed.extend(child.pid for child in cluster.children("one"))
                cluster.kill_worker("one")

        try:
            wait_until(lambda: crew.size() == 2)
            endings = carried(crew, [Piece(n, notes, 2.0) for n in "ab"], kill_halfway)
        finally:
            crew.close()
        wait_until(lambda: not any(map(psutil.pid_exists, killed)), _PROMPT_S)
    assert killed
    assert all(isinstance(ending, Returned) for ending in endings)
    assert len(lines(notes, "begin")) == 3
    assert sorted(line[1] for line in lines(notes, "end")) == ["a", "b"]


def test_a_lost_scheduler_is_told_in_a_sentence_and_no_work_is_left(tmp_path: Path, notes: Path):
    with running_cluster(tmp_path / "cluster", "one") as cluster:
        crew = DaskCluster(cluster.address, 1, get_ready)

        def kill_it() -> None:
            if lines(notes, "begin") and cluster.is_alive:
                cluster.kill_scheduler()

        began = time.monotonic()
        with pytest.raises(WorkError, match=r"scheduler at tcp://\S+ does not answer any more"):
            carried(crew, [Piece("a", notes, 600)], kill_it)
        crew.close()
        assert time.monotonic() - began < 30
        (pid,) = (int(line[2]) for line in lines(notes, "begin"))
        wait_until(lambda: not psutil.pid_exists(pid), _PROMPT_S)
