"""A history that many share: in a real PostgreSQL, which goes away in the middle of a run."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import SecretStr

from agiwb.batch.mlflow_pages import mlflow_address, stop_mlflow
from agiwb.config import Config
from agiwb.doctor import examine
from agiwb.errors import ConfigError, InputError, NotFoundError, UnreachableError, WorkspaceError
from agiwb.history.entries import read_history
from agiwb.history.reproduction import run_again
from agiwb.history.tidying import delete, restore
from agiwb.maintenance.deciding import PromoteConfig, promote_model
from agiwb.maintenance.ledger import ledger_of
from agiwb.maintenance.promotion import find_version, promote
from agiwb.runs import registry
from agiwb.runs.context import Context
from agiwb.runs.database_url import parsed_url
from agiwb.runs.events import Event
from agiwb.runs.history_write import Discard, Registration, RunWrite
from agiwb.runs.mlflow_client import open_client
from agiwb.runs.mlflow_store import MlflowStore
from agiwb.runs.outbox import Outbox
from agiwb.runs.record import Record
from agiwb.runs.registry import StepEntry
from agiwb.runs.step import step
from agiwb.runs.store import RunStore, open_store
from agiwb.runs.tracking_address import tracking_address
from agiwb.training.search.storage import open_storage
from tests.postgres import PASSWORD, SPELT, PostgresServer
from tests.runs.test_execute import CountConfig, count, quiet

pytestmark = pytest.mark.slow

_MODEL = "shared"


class SurviveConfig(Config):
    upto: int = 3
    fail: bool = False


class SurviveRecord(Record):
    config: SurviveConfig


_meanwhile: list[Callable[[], None]] = []
"""What happens in the middle of the step below."""


def _publish(record: Record, store: RunStore) -> None:
    store.register_model(_MODEL, record)


@step("survive", publish=_publish)
def survive(config: SurviveConfig, context: Context) -> SurviveRecord:
    """Log points of a curve, while something happens in the middle."""
    for number in range(1, config.upto + 1):
        context.log_metric("loss", 1 / number, number)
        context.flush()
        context.progress("surviving", number, config.upto)
        if number == 1:
            while _meanwhile:
                _meanwhile.pop()()
    if config.fail:
        raise ZeroDivisionError("a bug")
    return SurviveRecord(run=context.run, config=config, metrics={"test_loss": 1 / config.upto})


RUNS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from agiwb.runs import registry
from tests.runs.test_execute import CountConfig, count, quiet

registry.STEPS["count"] = registry.StepEntry("tests.runs.test_execute:count", "Count.")
first, many = int(sys.argv[1]), int(sys.argv[2])
with ThreadPoolExecutor(many) as threads:
    made = threads.map(
        lambda number: count(CountConfig(upto=number), listener=quiet), range(first, first + many)
    )
    for record in made:
        print(record.run.id, record.config.upto)
"""


@dataclass
class Shared:
    """A database in which fifty runs were made at once, by processes that found it empty."""

    url: str
    workspace: Path
    made: dict[str, int]
    errors: str


@pytest.fixture(scope="module")
def shared(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    url, workspace = postgres.new_database("history"), tmp_path_factory.mktemp("fifty")
    environment = {**os.environ, "AGIWB_WORKSPACE": str(workspace), "AGIWB_TRACKING_URI": url}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RUNS, str(first), str(many)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )
        for first, many in ((1, 25), (26, 25))
    ]  # fmt: skip
    said = [process.communicate() for process in processes]
    lines = "".join(output for output, _ in said).splitlines()
    made = {run_id: int(upto) for run_id, upto in map(str.split, lines)}
    return Shared(url, workspace, made, "".join(errors for _, errors in said))


@pytest.fixture
def team(shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A workspace of the test's own, whose history is in the database."""
    monkeypatch.setitem(registry.STEPS, "count", StepEntry("tests.runs.test_execute:count", ""))
    monkeypatch.setitem(registry.STEPS, "survive", StepEntry(f"{__name__}:survive", ""))
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("AGIWB_TRACKING_URI", shared.url)
    yield tmp_path / "workspace"
    _meanwhile.clear()


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """The server; it runs again after the test, whatever that did to it."""
    yield postgres
    with contextlib.suppress(subprocess.CalledProcessError):
        postgres.start()


def points_of(url: str, run_id: str, name: str) -> list[tuple[int, float]]:
    address = tracking_address(SecretStr(url), Path())
    found = open_client(Path(), address).get_metric_history(run_id, name)
    return sorted((point.step, point.value) for point in found)


def assert_no_password_in(folder: Path, *said: str) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    for secret in (PASSWORD, SPELT):
        assert not [path for path in files if secret.encode() in path.read_bytes()]
        assert secret not in "".join(said)


def test_of_fifty_runs_at_once_none_is_lost_and_none_doubled(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(shared.made) == 50, shared.errors
    monkeypatch.setenv("AGIWB_WORKSPACE", str(shared.workspace))
    monkeypatch.setenv("AGIWB_TRACKING_URI", shared.url)
    runs = {run.id: run for run in open_store().summaries("count") if run.id in shared.made}
    assert {run.state for run in runs.values()} == {"finished"}
    assert {run.id: run.metrics["test_count"] for run in runs.values()} == shared.made
    client = open_client(shared.workspace, tracking_address(SecretStr(shared.url), Path()))
    for run_id, upto in shared.made.items():
        points = client.get_metric_history(run_id, "count")
        assert sorted(point.value for point in points) == list(range(1, upto + 1))
    assert not list(Outbox.of(shared.workspace).folder.glob("*.json"))
    assert_no_password_in(shared.workspace, shared.errors)


def test_a_history_in_postgresql_is_a_history(team: Path) -> None:
    record = count(CountConfig(upto=4), listener=quiet)
    store = open_store()
    assert store.get(record.run.id) == record
    assert count(CountConfig(upto=4), listener=quiet).reused
    store.register_model("named", record)
    store.set_alias("named", "champion", 1)
    assert "named" in store.registered_names()
    assert store.registered_run("named") == store.newest_model() == record.run.id
    assert store.aliased_version("named", "champion") == "1"
    with pytest.raises(ZeroDivisionError):
        count(CountConfig(fail="bug"), listener=quiet)
    states = {run.id: run.state for run in store.summaries("count")}
    assert states[record.run.id] == "finished"
    assert "failed" in states.values()
    store.delete(record.run.id)
    assert record.run.id not in [run.id for run in store.summaries()]
    store.restore(record.run.id)
    assert store.get(record.run.id) == record


def test_a_lost_run_is_closed_by_its_own_workspace_alone(
    team: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agiwb.runs.provenance import describe_origin

    store = open_store()
    run = store.start("count", CountConfig(), "key", describe_origin({}, {}))
    store.folder(run.id).change(process_started_at=0.0)
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path / "other"))
    assert {one.id: one.state for one in open_store().summaries()}[run.id] == "running"
    monkeypatch.setenv("AGIWB_WORKSPACE", str(team))
    assert [one.id for one in store.close_lost()] == [run.id]
    assert {one.id: one.state for one in store.summaries()}[run.id] == "lost"


def test_a_run_whose_database_goes_away_finishes_and_its_record_arrives(
    team: Path, shared: Shared, database: PostgresServer, capfd: pytest.CaptureFixture[str]
) -> None:
    heard: list[Event] = []
    _meanwhile.append(database.stop)
    record = survive(SurviveConfig(), listener=heard.append)
    assert heard[-1].message.startswith("The run history postgresql://agiwb:***@127.0.0.1")
    assert "waits in" in heard[-1].message
    status = open_store().folder(record.run.id).read()
    assert status is not None
    assert (status.state, status.exit_code) == ("finished", 0)
    assert open_store().get(record.run.id) == record
    with pytest.raises(UnreachableError, match="cannot be reached"):
        open_store().summaries()
    assert examine() == 1
    told = "".join(capfd.readouterr())
    assert "writes wait for it" in told
    assert "postgresql://agiwb:***@127.0.0.1" in told
    assert_no_password_in(team, told, *(event.message for event in heard))

    database.start()
    store = open_store()
    assert store.behind() == ""
    (run,) = [one for one in store.summaries("survive") if one.id == record.run.id]
    assert (run.state, run.metrics["test_loss"]) == ("finished", 1 / 3)
    assert record.run.duration_s is not None
    assert run.duration_s == pytest.approx(record.run.duration_s, abs=5)
    curve = points_of(shared.url, record.run.id, "loss")
    assert curve == [(number, 1 / number) for number in (1, 2, 3)]
    assert store.registered_run(_MODEL) == record.run.id
    assert survive(SurviveConfig(), listener=quiet).reused
    assert list(store.registered_versions(_MODEL).values()).count(record.run.id) == 1
    assert "Traceback" not in "".join(capfd.readouterr())


def test_what_cannot_be_repeated_deleted_or_restored_now_is_left_as_it_is(
    team: Path, database: PostgresServer
) -> None:
    run_id = count(CountConfig(upto=6), reuse=False, listener=quiet).run.id
    database.stop()
    with pytest.raises(UnreachableError, match="cannot be reached"):
        run_again(run_id)
    assert [path.name for path in team.glob("jobs/[0-9a-f]*")] == [run_id]
    with pytest.raises(UnreachableError, match="cannot be reached"):
        delete(run_id)
    assert [entry.id for entry in read_history()] == [run_id]
    assert not list(team.glob("deleted/*/*"))
    database.start()
    delete(run_id)
    database.stop()
    with pytest.raises(UnreachableError, match="cannot be reached"):
        restore(run_id)
    assert [entry.id for entry in read_history(deleted=True)] == [run_id]
    assert not list(team.glob(f"artifacts/*/{run_id}"))
    database.start()
    restore(run_id)
    assert run_id in [run.id for run in open_store().summaries("count")]
    assert open_store().get(run_id).run.id == run_id


def test_a_promotion_whose_registry_goes_away_stands_and_its_alias_follows(
    team: Path, database: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, name = open_store(), "promoted"
    store.register_model(name, survive(SurviveConfig(upto=2), listener=quiet))
    set_alias = store.set_alias

    def fall_over(*words: Any) -> None:
        database.stop()
        set_alias(*words)

    monkeypatch.setattr(store, "set_alias", fall_over)
    with pytest.raises(UnreachableError, match=r"stands in its ledger.*cannot be reached") as told:
        promote(name, find_version(name, 1, store), store, who="ann")
    assert told.value.fix.endswith(f"`agiwb promote {name} --version 1` has the name follow.")
    database.start()
    assert [one.who for one in ledger_of(name).decisions()] == ["ann"]
    with pytest.raises(NotFoundError):
        open_store().aliased_version(name, "champion")
    with pytest.raises(InputError, match="is the champion already"):
        promote_model(PromoteConfig(model=name, version=1))
    assert open_store().aliased_version(name, "champion") == "1"
    assert len(ledger_of(name).decisions()) == 1


@pytest.mark.parametrize(("fail", "error"), [(True, ZeroDivisionError), (False, UnreachableError)])
def test_a_run_that_fails_meanwhile_is_shown_as_failed(
    team: Path, database: PostgresServer, *, fail: bool, error: type[Exception]
) -> None:
    if not fail:  # a step that asks the history something cannot go on without it
        _meanwhile.append(lambda: list(open_store().find("count")))
    _meanwhile.append(database.stop)
    with pytest.raises(error):
        survive(SurviveConfig(fail=fail), reuse=False, listener=quiet)
    database.start()
    newest = open_store().summaries("survive")[0]
    assert (newest.state, error.__name__ in (newest.error or "")) == ("failed", True)


DIES = """
import os, sys
from agiwb.runs import registry
import tests.runs.test_shared_history as ours

registry.STEPS["survive"] = registry.StepEntry("tests.runs.test_shared_history:survive", "")

def die():
    print("stop", flush=True)
    sys.stdin.readline()

def publish(record, store):
    print(record.run.id, flush=True)
    os.kill(os.getpid(), 9)

object.__setattr__(ours.survive, "publish", publish)
ours._meanwhile.append(die)
ours.survive(ours.SurviveConfig(upto=5), listener=ours.quiet)
"""


def test_what_waits_survives_whoever_wrote_it(team: Path, database: PostgresServer) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DIES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "stop\n"
        database.stop()
        process.stdin.write("\n")
        process.stdin.flush()
        run_id = process.stdout.readline().strip()
    assert process.returncode == -9
    folder = open_store().folder(run_id)  # it cannot be told yet how the run ended
    assert (status := folder.read()) is not None
    assert status.state == "running"
    database.start()
    store = open_store()
    assert {one.id: one.state for one in store.summaries()}[run_id] == "finished"
    assert (status := folder.read()) is not None
    assert status.state == "finished"


def test_a_write_may_be_carried_out_twice(team: Path, shared: Shared) -> None:
    store = MlflowStore(team, SecretStr(shared.url))
    record = count(CountConfig(upto=2), reuse=False, listener=quiet)
    run_id, now = record.run.id, int(1000 * time.time())
    writes = [
        RunWrite(run_id=run_id, points=(("again", float("nan"), now, 1), ("again", 2.0, now, 2))),
        RunWrite(run_id=run_id, tags={"x": "null\0"}, status="FINISHED", ended_ms=now),
        Registration(name="twice", run_id=run_id, source="/somewhere"),
        Registration(name="twice", run_id=survive(SurviveConfig(upto=1)).run.id, source="/else"),
    ]
    outbox = Outbox.of(team)
    for write in writes:
        outbox.put(write)
    files = {path: path.read_bytes() for path in outbox.folder.glob("*.json")}
    assert len(files) == 4
    for _ in range(2):  # as if whoever delivered them had been killed before he could say so
        for path, content in files.items():
            path.write_bytes(content)
        assert store.close_lost() == []
        assert outbox.count() == 0
    assert [index for index, _ in points_of(shared.url, run_id, "again")] == [1, 2]
    assert list(store.registered_versions("twice").values()) == [
        run_id, writes[3].run_id,
    ]  # fmt: skip


def test_what_the_history_refuses_is_put_aside_and_holds_up_nothing(
    team: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = count(CountConfig(upto=2), reuse=False, listener=quiet)
    outbox = Outbox.of(team)
    outbox.put(RunWrite(run_id="f" * 32, tags={"x": "y"}))
    outbox.put(Discard(run_id=record.run.id))
    assert record.run.id not in [run.id for run in open_store().summaries()]
    assert outbox.count() == 0
    assert len(list((outbox.folder / "refused").iterdir())) == 1
    assert "The run history refuses" in caplog.text


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ((SPELT, "wrong"), WorkspaceError, "refuses: .*password authentication failed"),
        (("/history_", "/nowhere_"), WorkspaceError, 'database "nowhere_[0-9a-f]+" does not exist'),
        (("127.0.0.1:", "127.0.0.1:x"), ConfigError, "`AGIWB_TRACKING_URI`: it is not the URL"),
        (("postgresql://", "postgres://"), None, ""),
    ],
)
def test_who_is_refused_is_told_before_a_run_exists(
    team: Path,
    shared: Shared,
    change: tuple[str, str],
    error: type[Exception] | None,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AGIWB_TRACKING_URI", shared.url.replace(*change))
    if error is None:
        assert open_store().summaries()
        return
    with pytest.raises(error, match=message) as caught:
        count(CountConfig(upto=3), listener=quiet)
    assert not list(team.glob("jobs/*"))
    assert examine() == 1
    said = capsys.readouterr().out
    assert_no_password_in(team, str(caught.value), said)
    assert "wrong" not in said


def test_the_database_of_searches_is_not_taken_for_the_history(
    team: Path, shared: Shared, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.new_database("searches")
    open_storage(parsed_url(url)).remove_session()
    monkeypatch.setenv("AGIWB_TRACKING_URI", url)
    with pytest.raises(WorkspaceError, match=r"keeps searches.*a database of its own"):
        open_store().summaries()
    with pytest.raises(WorkspaceError, match="searches a database of their own"):
        open_storage(parsed_url(shared.url))


def test_mlflows_own_server_keeps_a_history_too(
    team: Path, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = mlflow_address()
    try:
        words = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
        assert any("mlflow server" in line for line in words)
        assert not any(SPELT in line or PASSWORD in line for line in words)
        monkeypatch.setenv("AGIWB_TRACKING_URI", address)
        assert mlflow_address() == address
        record = count(CountConfig(upto=5), reuse=False, listener=quiet)
        assert {run.id: run.state for run in open_store().summaries()}[record.run.id] == "finished"
        _meanwhile.append(stop_mlflow)
        survived = survive(SurviveConfig(upto=2), reuse=False, listener=quiet)
    finally:
        stop_mlflow()
    assert open_store().behind().startswith(f"The run history {address} cannot be reached")
    monkeypatch.setenv("AGIWB_TRACKING_URI", shared.url)
    runs = {run.id: run.state for run in open_store().summaries()}
    assert (runs[record.run.id], runs[survived.run.id]) == ("finished", "finished")
    assert_no_password_in(team)
