"""Matrices carried out for real: kernels, failures, interruptions, a Dask cluster, the reports."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import psutil
import pytest
import yaml

from agiwb import MatrixConfig, MatrixRecord, run_matrix
from agiwb.batch.matrix_cache import NotebookCache
from agiwb.batch.matrix_config import Entry
from agiwb.batch.nbformat_quickly import import_nbformat
from agiwb.batch.notebook import RunConfig, run_notebook
from agiwb.cli import main
from agiwb.errors import ConfigError
from agiwb.runs.store import open_store

nbformat = import_nbformat()

pytestmark = pytest.mark.slow


def write_notebook(path: Path, *cells: str) -> Path:
    sources = [nbformat.v4.new_code_cell(source) for source in cells]
    sources[0].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=sources), path)
    return path


def write_logging(path: Path) -> Path:
    """Write a notebook that notes its beginning and its end in ``log.txt``, and takes a while."""
    log = str(path.with_name("log.txt"))
    return write_notebook(
        path,
        "n = 0\nseconds = 0.0",
        f"import time\nwith open({log!r}, 'a') as log:\n    log.write(f'begin {{n}}\\n')",
        f"time.sleep(seconds)\nwith open({log!r}, 'a') as log:\n    log.write(f'end {{n}}\\n')",
    )


def logged(path: Path) -> list[str]:
    log = path.with_name("log.txt")
    return log.read_text().splitlines() if log.is_file() else []


def wait_for(line: str, path: Path, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 120
    while line not in logged(path):
        assert time.monotonic() < until
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def kernels_of(workspace: Path) -> list[int]:
    """Return the living kernels of a workspace's notebooks."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            ours = process.environ().get("AGIWB_WORKSPACE") == str(workspace)
        except psutil.Error:
            continue
        if ours and any("ipykernel" in word for word in words):
            found.append(process.pid)
    return found


def are_gone(workspace: Path) -> bool:
    until = time.monotonic() + 60
    while kernels_of(workspace) and time.monotonic() < until:
        time.sleep(0.1)
    return not kernels_of(workspace)


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, empty_history: Path
) -> Iterator[tuple[Path, int, str, MatrixRecord]]:
    """A matrix of the command line: one entry fails, one passes at its second attempt."""
    folder = tmp_path_factory.mktemp("matrix")
    (folder / "workspace").mkdir()
    shutil.copy(empty_history, folder / "workspace")
    marker = str(folder / "tried")
    write_notebook(
        folder / "square.ipynb",
        "n = 1\nhow = 'well'",
        "print('n', 'is', n, '<&>', chr(7))",
        "from pathlib import Path\n"
        "if how == 'badly':\n    1 / 0  # |pipe|\n"
        f"if how == 'late' and not Path({marker!r}).exists():\n"
        f"    Path({marker!r}).touch()\n    raise OSError('not yet')\n"
        "n * n",
    )
    config = {
        "name": "squares <nightly>",
        "matrix": {
            "notebook": ["square.ipynb"],
            "n": [12],
            "how": ["well", "badly"],
            "include": [{"notebook": "square.ipynb", "how": "late"}],
        },
        "retries": 1,
        "output": "out",
    }
    (folder / "m.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGIWB_WORKSPACE", str(folder / "workspace"))
        patch.setenv("GITHUB_ACTIONS", "true")
        patch.setenv("GITHUB_WORKSPACE", str(folder))
        patch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))
        patch.chdir(folder)
        words = [sys.executable, "-m", "agiwb", "matrix", "m.yaml", "--workers", "2"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
        record = open_store().get(open_store().summaries("matrix")[0].id)
        assert isinstance(record, MatrixRecord), done.stderr
        yield folder, done.returncode, done.stdout + done.stderr, record


Made = tuple[Path, int, str, MatrixRecord]


def test_each_entry_ends_in_its_own_way_and_is_a_run(made: Made) -> None:
    _, code, said, record = made
    assert code == 1
    ends = {entry.parameters["how"]: entry for entry in record.entries}
    assert {how: (e.outcome, e.attempts) for how, e in ends.items()} == {
        "well": ("passed", 1),
        "badly": ("failed", 2),
        "late": ("passed", 2),
    }
    runs = open_store().summaries("run")
    assert sorted(run.state for run in runs) == ["failed"] * 3 + ["finished"] * 2
    run_id = ends["well"].run_id
    assert run_id is not None
    assert open_store().get(run_id).run.provenance.parents == {"caller": record.run.id}
    assert "square    12  well   passed" in said
    assert "2 passed, 1 failed" in said
    assert len(record.problems) == 1


def test_a_failed_cell_is_digested_for_people_and_for_github(made: Made) -> None:
    folder, _, said, record = made
    cell = record.entries[1].cell
    assert cell is not None
    assert (cell.exception, cell.source) == ("ZeroDivisionError", "1 / 0  # |pipe|")
    assert cell.line == 3
    assert cell.log == ("n is 12 <&> \x07",)
    assert cell.command == "agiwb run square.ipynb -p n 12 -p how badly"
    assert f"again: {cell.command}" in said
    (line,) = (line for line in said.splitlines() if line.startswith("::error"))
    assert f"file=square.ipynb,line={cell.file_line}," in line
    source = (folder / "square.ipynb").read_text().splitlines()[(cell.file_line or 0) - 1]
    assert "1 / 0" in source


def test_the_reports_say_the_same_and_lie_where_ci_finds_them(made: Made) -> None:
    folder, _, _, record = made
    suite = ET.parse(folder / "out" / "junit.xml").getroot().find("testsuite")  # noqa: S314  ours
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "0")
    cases = {case.get("name", ""): case for case in suite.findall("testcase")}
    failure = cases["square (n=12, how=badly)"].find("failure")
    assert failure is not None
    assert failure.get("type") == "ZeroDivisionError"
    assert [name for name, case in cases.items() if case.find("failure") is None] == [
        "square (n=12, how=well)",
        "square (how=late)",
    ]
    summary = (folder / "summary.md").read_text()
    assert summary.strip() == record.file("summary.md").read_text().strip()
    assert "## squares \\<nightly\\>: 2 passed, 1 failed" in summary
    assert "| square | 12 | well | ✅ passed |" in summary
    assert "1 / 0 \\# \\|pipe\\|" in summary
    index = (folder / "out" / "index.html").read_text()
    assert "squares &lt;nightly&gt;" in index
    for entry in record.entries:
        assert entry.page is not None
        assert (folder / "out" / entry.page).is_file()
        assert entry.page in index.replace("%3D", "=")
    assert "144" in (folder / "out" / str(record.entries[0].page)).read_text()


def test_an_executed_notebook_says_where_it_comes_from(made: Made) -> None:
    folder, _, _, record = made
    for entry in record.entries:
        path = (folder / "out" / str(entry.page)).with_suffix(".ipynb")
        notebook = nbformat.read(path, as_version=4)
        about = notebook.metadata["agiwb"]["provenance"]
        assert about["config"]["parameters"] == entry.parameters
        assert about["inputs"] == {"notebook": record.run.provenance.inputs["notebook_1"]}
        assert about["packages"] == record.run.provenance.packages
        assert about["code_sha256"] == record.run.provenance.code_sha256
        assert notebook.cells[-1].source.startswith("## Provenance")
        again = folder / "again.ipynb"
        shutil.copy(path, again)
        assert (
            run_notebook.inputs(RunConfig(notebook=again), open_store())["notebook"]
            == (
                run_notebook.inputs(RunConfig(notebook=folder / "square.ipynb"), open_store())[
                    "notebook"
                ]
            )
        )


def test_what_has_passed_is_used_again_until_the_notebook_changes(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _, _, record = made
    words = ["matrix", "m.yaml", "--json", "--retries", "0"]
    assert main(words) == 1
    again = json.loads(capsys.readouterr().out)["entries"]
    assert [(e["outcome"], e["reused"]) for e in again] == [
        ("passed", True), ("failed", False), ("passed", True),
    ]  # fmt: skip
    assert again[0]["run_id"] == record.entries[0].run_id
    cache = NotebookCache(open_store())
    entries = [_absolute(entry, folder) for entry in record.config.entries()]
    assert [cache.find(entry) is not None for entry in entries] == [True, False, True]
    notebook = nbformat.read(folder / "square.ipynb", as_version=4)
    notebook.cells[-1].source += " + 0"
    nbformat.write(notebook, folder / "square.ipynb")
    assert not any(map(cache.find, entries))


def test_a_result_of_other_data_does_not_hold(workspace: Path, tmp_path: Path) -> None:
    from agiwb import TrainConfig, train

    data = tmp_path / "d.csv"
    rows = [f"{n % 7},{n % 3},{'ab'[n % 2]}" for n in range(60)]
    data.write_text("\n".join(["x,y,label", *rows]))
    trained = train(TrainConfig(dataset=str(data), architecture="auto", epochs=1))
    notebook = write_notebook(
        tmp_path / "n.ipynb",
        "run_id = ''",
        # What a step that is called in a notebook leaves behind.
        "import os\nfrom agiwb import open_store\n"
        "open_store().folder(os.environ['AGIWB_PARENT_RUN']).note_result('train', run_id)",
    )
    config = RunConfig(notebook=notebook, parameters={"run_id": trained.run.id})
    record = run_notebook(config)
    cache = NotebookCache(open_store())
    assert cache.find(config) == record
    text = nbformat.read(record.file("executed.ipynb"), as_version=4).cells[-1].source
    assert trained.run.provenance.inputs["dataset"][:12] in text
    assert f"agiwb runs reproduce {trained.run.id[:8]}" in text
    data.write_text("\n".join(["x,y,label", *rows, "1,1,a"]))
    assert cache.find(config) is None


def test_a_wrong_parameter_of_any_entry_starts_nothing(workspace: Path, tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "n.ipynb", "epochs = 1")
    with pytest.raises(ConfigError, match=r"n \(epoch=2\): .*no parameter `epoch`.*`epochs`"):
        run_matrix(MatrixConfig(matrix={"notebook": str(path), "include": [{"epoch": 2}]}))
    assert open_store().summaries() == []


def test_a_matrix_that_is_killed_repeats_nothing_that_it_finished(
    workspace: Path, tmp_path: Path
) -> None:
    path = write_logging(tmp_path / "n.ipynb")
    file = tmp_path / "m.yaml"
    matrix = {"notebook": str(path), "n": [1, 2], "seconds": 3.0}
    file.write_text(yaml.safe_dump({"matrix": matrix, "cache": False, "workers": 1}))
    words = [sys.executable, "-m", "agiwb", "matrix", str(file)]
    with subprocess.Popen(words, text=True, stderr=subprocess.PIPE) as process:
        wait_for("begin 2", path, process)
        process.kill()
    assert are_gone(workspace)
    assert logged(path) == ["begin 1", "end 1", "begin 2"]
    assert main(["matrix", str(file), "--resume"]) == 0
    assert logged(path)[3:] == ["begin 2", "end 2"]
    record = open_store().get(open_store().summaries("matrix")[0].id)
    assert isinstance(record, MatrixRecord)
    assert [entry.reused for entry in record.entries] == [True, False]
    assert [entry.outcome for entry in record.entries] == ["passed", "passed"]


def test_sigterm_closes_what_runs_and_the_same_command_goes_on(
    workspace: Path, tmp_path: Path
) -> None:
    path = write_logging(tmp_path / "n.ipynb")
    quick = write_logging(tmp_path / "q.ipynb")
    file = tmp_path / "m.yaml"
    rows = [{"notebook": str(quick)}, {"notebook": str(path), "n": 7, "seconds": 600}]
    file.write_text(
        yaml.safe_dump({"matrix": {"include": rows}, "workers": 1, "output": str(tmp_path / "out")})
    )
    words = [sys.executable, "-m", "agiwb", "matrix", str(file)]
    with subprocess.Popen(words, text=True, stderr=subprocess.PIPE) as process:
        wait_for("begin 7", path, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
    assert are_gone(workspace)
    states = {(run.step, run.state) for run in open_store().summaries()}
    assert states == {("matrix", "cancelled"), ("run", "finished"), ("run", "cancelled")}
    assert "1 passed, 1 skipped" in (tmp_path / "out" / "summary.md").read_text()
    rows[1]["seconds"] = 0
    file.write_text(yaml.safe_dump({"matrix": {"include": rows}, "workers": 1}))
    assert main(["matrix", str(file)]) == 0
    assert logged(path)[-2:] == ["begin 7", "end 7"]
    assert logged(path).count("begin 0") == 1


def test_a_notebook_that_takes_too_long_fails_and_fail_fast_skips_the_rest(
    workspace: Path, tmp_path: Path
) -> None:
    path = write_logging(tmp_path / "n.ipynb")
    matrix: dict[str, Any] = {"notebook": str(path), "n": [1, 2], "seconds": 600}
    record = run_matrix(MatrixConfig(matrix=matrix, timeout_s=6, fail_fast=True, workers=1))
    first, second = record.entries
    assert "not finished after 6 s" in first.reason
    assert (first.outcome, second.outcome) == ("failed", "skipped")
    assert "`fail_fast`" in second.reason
    assert [run.state for run in open_store().summaries("run")] in (["lost"], [])
    assert are_gone(workspace)


def test_a_dask_cluster_runs_notebooks(workspace: Path, tmp_path: Path) -> None:
    from distributed import LocalCluster

    path = write_notebook(tmp_path / "n.ipynb", "n = 1", "if n == 2:\n    raise ValueError(n)")
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None
    ) as cluster:
        record = run_matrix(
            MatrixConfig(
                matrix={"notebook": str(path), "n": [1, 2]}, scheduler=cluster.scheduler_address
            )
        )
    assert [entry.outcome for entry in record.entries] == ["passed", "failed"]
    cell = record.entries[1].cell
    assert cell is not None
    assert cell.message == "2"
    assert all(entry.page and record.file(entry.page).is_file() for entry in record.entries)


def _absolute(entry: Entry, folder: Path) -> RunConfig:
    return entry.config.model_copy(update={"notebook": folder / entry.config.notebook})
