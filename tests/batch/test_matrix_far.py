"""Matrices on Dask workers that share no folder with whoever asks for them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml

from agiwb import MatrixConfig, MatrixRecord, run_matrix
from agiwb.runs.liveness import job_folders
from agiwb.runs.record import ENDED
from agiwb.runs.store import open_store
from tests.crews.dask_cluster import Cluster, running_cluster

pytestmark = pytest.mark.slow

_LONGEST_S = 240


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, empty_history: Path) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with running_cluster(folder, "one", "two", history=empty_history) as made:
        yield made


def write_notebook(path: Path, *cells: str) -> Path:
    sources = [nbformat.v4.new_code_cell(source) for source in cells]
    sources[0].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=sources), path)
    return path


def write_counting(folder: Path) -> Path:
    """Write a notebook that notes when it begins, and takes a while."""
    log = str(folder / "log.txt")
    return write_notebook(
        folder / "n.ipynb",
        "n = 0\nseconds = 0.0",
        f"import time\nwith open({log!r}, 'a') as log:\n    log.write(f'{{n}}\\n')",
        "time.sleep(seconds)",
    )


def begun(folder: Path) -> list[str]:
    log = folder / "log.txt"
    return log.read_text().split() if log.is_file() else []


def wait_until(holds: Callable[[], Any], process: subprocess.Popen[str] | None = None) -> None:
    until = time.monotonic() + _LONGEST_S
    while not holds():
        assert time.monotonic() < until
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.05)


def test_notebooks_run_there_and_their_runs_come_back(
    cluster: Cluster, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AGIWB_SCHEDULER", cluster.address)
    path = write_notebook(
        tmp_path / "n.ipynb",
        "n = 1",
        "import os\nos.environ['AGIWB_WORKSPACE']",
        "if n == 2:\n    raise ValueError(n)",
    )
    config = MatrixConfig(matrix={"notebook": str(path), "n": [1, 2]})
    record = run_matrix(config)
    assert record.config.scheduler == cluster.address
    passed, failed = record.entries
    assert (passed.outcome, failed.outcome) == ("passed", "failed")
    assert failed.cell is not None
    assert failed.cell.message == "2"
    assert failed.cell.notebook == str(path)
    assert all(entry.page and record.file(entry.page).is_file() for entry in record.entries)
    assert passed.run_id
    brought = open_store().get(passed.run_id)
    assert brought.run.folder.is_relative_to(workspace)
    page = brought.file("executed.ipynb").read_text("utf-8")
    assert any(str(cluster.workspace(name)) in page for name in ("one", "two")), page
    again = run_matrix(config)
    assert [entry.reused for entry in again.entries] == [True, False]


def test_a_cancelled_matrix_ends_its_notebooks_on_the_workers(
    cluster: Cluster, workspace: Path, tmp_path: Path
):
    path = write_counting(tmp_path)
    matrix = {"notebook": str(path), "n": [1], "seconds": 600}
    with command(tmp_path, matrix, "--scheduler", cluster.address) as process:
        wait_until(lambda: begun(tmp_path) == ["1"], process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130

    def states() -> set[str]:
        folders = [f for name in ("one", "two") for f in job_folders(cluster.workspace(name))]
        return {status.state for folder in folders if (status := folder.look())}

    wait_until(lambda: states() <= set(ENDED))
    assert "cancelled" in states()


def test_a_lost_scheduler_is_told_of_and_resuming_repeats_nothing(
    cluster: Cluster, workspace: Path, tmp_path: Path
):
    path = write_counting(tmp_path)
    rows = [{"notebook": str(path), "n": 1}, {"notebook": str(path), "n": 2, "seconds": 5}]
    matrix = {"include": rows}
    words = ("--scheduler", cluster.address, "--workers", "1", "--no-cache")
    with command(tmp_path, matrix, *words) as process:
        wait_until(lambda: begun(tmp_path) == ["1", "2"], process)
        cluster.kill_scheduler()
        _, told = process.communicate(timeout=60)
        assert process.returncode == 1
    last = told.strip().splitlines()[-1]
    assert f"The Dask scheduler at {cluster.address} does not answer any more." in last
    assert "Traceback" not in told
    cluster.start_scheduler()
    cluster.add_worker("another")
    with command(tmp_path, matrix, *words, "--resume") as process:
        assert process.wait(_LONGEST_S) == 0
    assert begun(tmp_path) == ["1", "2", "2"]
    record = open_store().get(open_store().summaries("matrix")[0].id)
    assert isinstance(record, MatrixRecord)
    assert [entry.reused for entry in record.entries] == [True, False]


def command(folder: Path, matrix: dict[str, Any], *words: str) -> subprocess.Popen[str]:
    file = folder / "m.yaml"
    file.write_text(yaml.safe_dump({"matrix": matrix}))
    return subprocess.Popen(
        [sys.executable, "-m", "agiwb", "matrix", str(file), *words],
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
