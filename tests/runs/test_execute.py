"""A step of the tests' own, carried out on a real MLflow store."""

from __future__ import annotations

import contextlib
import io
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from agiwb.config import Config
from agiwb.errors import (
    CancelledError,
    DatasetError,
    NotFoundError,
    WorkError,
    WorkspaceError,
)
from agiwb.runs import registry
from agiwb.runs.context import Context
from agiwb.runs.events import Console, Event
from agiwb.runs.mlflow_client import open_client
from agiwb.runs.mlflow_store import MlflowStore
from agiwb.runs.record import Record
from agiwb.runs.registry import StepEntry
from agiwb.runs.step import Step, step
from agiwb.runs.store import open_store
from agiwb.runs.tracking_address import tracking_address

pytestmark = pytest.mark.slow


class CountConfig(Config):
    upto: int = 3
    fail: str = ""


class CountRecord(Record):
    config: CountConfig
    counted: tuple[int, ...]


@step("count")
def count(config: CountConfig, context: Context) -> CountRecord:
    """Return the numbers from one, one file for each."""
    for number in range(1, config.upto + 1):
        (context.files / f"{number}.txt").write_text(str(number))
        context.log_metric("count", number, number)
        context.progress("counting", number, config.upto)
    if config.fail == "input":
        raise DatasetError("The data is wrong.")
    if config.fail == "bug":
        raise ZeroDivisionError("a bug")
    if config.fail == "interrupt":
        raise KeyboardInterrupt
    if config.fail == "disk":
        raise OSError(28, "No space left on device")
    numbers = tuple(range(1, config.upto + 1))
    total = math.nan if config.fail == "nan" else config.upto
    return CountRecord(
        run=context.run,
        config=config,
        counted=numbers,
        metrics={"test_count": total},
    )


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch, workspace: Path) -> None:
    monkeypatch.setitem(registry.STEPS, "count", StepEntry(f"{__name__}:count", "Count."))


def quiet(event: Event) -> None:
    """Listen to nothing."""


def test_a_record_comes_back_from_the_store_as_it_was() -> None:
    record = count(CountConfig(), listener=quiet)
    stored = open_store().get(record.run.id)
    assert stored == record
    assert isinstance(stored, CountRecord)
    assert [file.path for file in record.run.files] == ["1.txt", "2.txt", "3.txt"]
    assert record.file("2.txt").read_text() == "2"
    assert record.run.provenance.packages["tensorflow"] == "2.21.0"
    assert record.run.duration_s is not None


def test_a_run_is_found_by_the_first_letters_of_its_id() -> None:
    record = count(CountConfig(), listener=quiet)
    assert open_store().get(record.run.id[:8]) == record
    with pytest.raises(NotFoundError, match="no run 'ffffff'"):
        open_store().get("ffffff")


def test_an_unchanged_run_is_used_again_and_says_so() -> None:
    first = count(CountConfig(), listener=quiet)
    heard: list[Event] = []
    second = count(CountConfig(), listener=heard.append)
    assert second.run.id == first.run.id
    assert second.reused
    assert "nothing has changed" in heard[0].message
    assert not count(CountConfig(), reuse=False, listener=quiet).reused
    assert not count(CountConfig(upto=4), listener=quiet).reused


def test_a_damaged_result_is_not_used_again() -> None:
    first = count(CountConfig(), listener=quiet)
    first.file("2.txt").write_text("changed")
    assert count(CountConfig(), listener=quiet).run.id != first.run.id


def test_a_record_of_another_version_is_named_and_not_used_again() -> None:
    first = count(CountConfig(), listener=quiet)
    path = first.file("record.json")
    path.write_text(path.read_text().replace('"counted"', '"numbered"'))
    with pytest.raises(NotFoundError, match="Another version of agiwb"):
        open_store().get(first.run.id)
    assert count(CountConfig(), listener=quiet).run.id != first.run.id


def test_a_known_result_is_read_without_mlflow(workspace: Path) -> None:
    first = count(CountConfig(), listener=quiet)
    script = (
        "import sys\n"
        "from agiwb.runs import registry\n"
        "registry.STEPS['count'] = registry.StepEntry('tests.runs.test_execute:count', '')\n"
        "from tests.runs.test_execute import CountConfig, count\n"
        "record = count(CountConfig())\n"
        "print(record.run.id, record.reused, 'mlflow' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.split() == [first.run.id, "True", "False"]


def test_an_input_that_was_replaced_meanwhile_is_not_taken_for_the_first() -> None:
    record = count(CountConfig(), listener=quiet)
    provenance = record.run.provenance.model_copy(update={"inputs": {"model": "old"}})
    run = record.run.model_copy(update={"provenance": provenance})
    context = Context(run, open_store(), record.run.folder, quiet)
    context.confirm("model", "old")
    with pytest.raises(WorkError, match="What this run was started on as `model`"):
        context.confirm("model", "new")


def test_a_terminal_shows_each_phase_as_one_moving_line() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    count(CountConfig(upto=50), listener=Console(terminal))
    assert "50/50" in terminal.getvalue()
    assert terminal.getvalue().count("\n") == 1


def test_events_are_told_and_kept(workspace: Path) -> None:
    heard: list[Event] = []
    record = count(CountConfig(), listener=heard.append)
    assert [event.done for event in heard] == [1, 3]  # the first of a phase and its last
    lines = (workspace / "jobs" / record.run.id / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["done"] for line in lines] == [1, 3]


def test_wrong_input_leaves_nothing_behind(workspace: Path) -> None:
    with pytest.raises(DatasetError):
        count(CountConfig(fail="input"), listener=quiet)
    assert open_store().summaries() == []
    assert list((workspace / "jobs").iterdir()) == []


@pytest.mark.parametrize(
    ("fail", "error", "state"),
    [
        ("bug", ZeroDivisionError, "failed"),
        ("interrupt", CancelledError, "cancelled"),
        ("disk", WorkspaceError, "failed"),
    ],
)
def test_what_ends_a_run_is_its_state(fail: str, error: type[BaseException], state: str) -> None:
    with pytest.raises(error):
        count(CountConfig(fail=fail), listener=quiet)
    (summary,) = open_store().summaries("count")
    assert summary.state == state
    assert not count(CountConfig(), listener=quiet).reused


def test_a_run_stops_when_asked() -> None:
    with pytest.raises(CancelledError):
        count(CountConfig(), listener=quiet, cancelled=lambda: True)
    assert [run.state for run in open_store().summaries()] == ["cancelled"]


def test_a_killed_run_is_lost_and_nothing_else_is(workspace: Path) -> None:
    kept = count(CountConfig(), listener=quiet)
    script = (
        "import time\n"
        "from agiwb.runs.provenance import describe_origin\n"
        "from agiwb.runs.store import open_store\n"
        "from tests.runs.test_execute import CountConfig\n"
        "open_store().start('count', CountConfig(), 'key', describe_origin({}, {}))\n"
        "print('started', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        assert [run.state for run in open_store().summaries()] == ["running", "finished"]
        process.kill()
    assert [run.state for run in open_store().summaries()] == ["lost", "finished"]
    assert open_store().get(kept.run.id) == kept


def test_a_run_whose_process_died_after_the_end_has_finished() -> None:
    record = count(CountConfig(), listener=quiet)
    folder = open_store().folder(record.run.id)
    folder.change(state="running", process_started_at=0.0)
    assert open_store().summaries()[0].state == "finished"
    status = folder.read()
    assert status is not None
    assert (status.state, status.exit_code) == ("finished", 0)


@pytest.mark.parametrize(
    ("fail", "has_checkpoint", "has_files"),
    [("", False, False), ("interrupt", True, False), ("bug", True, True)],
)
def test_what_is_left_in_a_runs_folder(fail: str, has_checkpoint: bool, has_files: bool) -> None:
    with contextlib.suppress(CancelledError, ZeroDivisionError):
        count(CountConfig(fail=fail), listener=quiet)
    store = open_store()
    folder = store.folder(store.summaries()[0].id)
    assert folder.checkpoint.exists() == has_checkpoint
    assert folder.unfinished.exists() == has_files


def test_a_run_that_nobody_knows_is_not_opened_again(workspace: Path) -> None:
    with pytest.raises(NotFoundError, match="Nothing is left of run abcdef"):
        open_store().reopen("abcdef")
    with pytest.raises(CancelledError):
        count(CountConfig(fail="interrupt"), listener=quiet)
    (run,) = open_store().summaries()
    other = MlflowStore(workspace, SecretStr(f"sqlite:///{workspace / 'other.db'}"))
    with pytest.raises(NotFoundError, match="The history does not know run"):
        other.reopen(run.id)


def test_the_points_of_a_curve_reach_the_history(workspace: Path) -> None:
    record = count(CountConfig(upto=5), listener=quiet)
    client = open_client(workspace, tracking_address(None, workspace))
    points = client.get_metric_history(record.run.id, "count")
    assert [(point.step, point.value) for point in points] == [(n, n) for n in range(1, 6)]
    assert client.get_run(record.run.id).data.metrics["test_count"] == 5


def test_models_are_registered_by_name_and_version() -> None:
    store = open_store()
    assert store.newest_model() is None
    first = count(CountConfig(upto=1), listener=quiet)
    second = count(CountConfig(upto=2), listener=quiet)
    for record in (first, second, second):  # the same again makes no new version
        store.register_model("m", record)
    assert store.registered_run("m") == second.run.id
    assert store.registered_run("m", "1") == first.run.id
    for version in ("3", "x"):
        with pytest.raises(NotFoundError, match=f"no model 'm' version {version}"):
            store.registered_run("m", version)
    for name in ("other", "it's"):
        with pytest.raises(NotFoundError, match=r"no model .*Registered: m"):
            store.registered_run(name)
    store.register_model("m", first)
    assert store.registered_run("m") == store.newest_model() == first.run.id


def test_a_lost_run_that_the_history_does_not_know_stops_no_command(workspace: Path) -> None:
    record = count(CountConfig(), listener=quiet)
    folder = open_store().folder(record.run.id)
    status = folder.read()
    assert status is not None
    folder.write(status.model_copy(update={"state": "running", "process_started_at": 0.0}))
    other = MlflowStore(workspace, SecretStr(f"sqlite:///{workspace / 'other.db'}"))
    assert other.close_lost() == []
    status = folder.read()
    assert status is not None
    assert status.state == "lost"


def test_numbers_that_json_lacks_come_back() -> None:
    record = count(CountConfig(fail="nan"), listener=quiet)
    assert math.isnan(open_store().get(record.run.id).metrics["test_count"])


def test_a_workspace_that_moved_is_read_where_it_is(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = count(CountConfig(), listener=quiet)
    moved = workspace.rename(workspace.with_name("moved"))
    monkeypatch.setenv("AGIWB_WORKSPACE", str(moved))
    assert open_store().get(record.run.id).file("1.txt").read_text() == "1"


def test_a_workspace_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorkspaceError, match=r"cannot be written.*AGIWB_WORKSPACE"):
        MlflowStore(tmp_path / "file" / "workspace")


def test_a_damaged_history_is_named(workspace: Path) -> None:
    (workspace / "mlflow.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(WorkspaceError, match=r"mlflow\.db cannot be opened"):
        open_store().summaries()


def test_a_step_knows_its_types() -> None:
    assert isinstance(count, Step)
    assert (count.config_type, count.record_type) == (CountConfig, CountRecord)
    assert count.__doc__ == "Return the numbers from one, one file for each."
