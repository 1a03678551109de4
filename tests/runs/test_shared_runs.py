"""Runs in a real S3-compatible server: two workspaces, damage, interruptions, and no secrets."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agiwb.cli import main
from agiwb.errors import ConfigError, NotFoundError, WorkError, WorkspaceError
from agiwb.runs import registry
from agiwb.runs.events import Event
from agiwb.runs.object_store import ObjectStore
from agiwb.runs.registry import StepEntry
from agiwb.runs.shared_runs import SharedRuns
from agiwb.runs.store import open_store
from tests.object_storage import SECRET_KEY, Bucket, Server, running_server, use_bucket
from tests.runs.test_execute import CountConfig, count, quiet

pytestmark = pytest.mark.slow

_SCRIPT = """
import sys
from agiwb.runs import registry
registry.STEPS["count"] = registry.StepEntry("tests.runs.test_execute:count", "")
from tests.runs.test_execute import CountConfig, count
print(count(CountConfig(upto=int(sys.argv[1]))).run.id)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch, workspace: Path) -> None:
    entry = StepEntry("tests.runs.test_execute:count", "Count.")
    monkeypatch.setitem(registry.STEPS, "count", entry)


@pytest.fixture
def bucket(server: Server, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    return use_bucket(server, monkeypatch)


@pytest.fixture
def move(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_history: Path):
    """Go to another workspace, which has the history of the first one or one of its own."""

    def go(name: str = "elsewhere", *, same_history: bool = True) -> Path:
        place = tmp_path / name  # "workspace" is where each test begins
        if not place.is_dir():
            place.mkdir()
            shutil.copy(empty_history, place)
        monkeypatch.setenv("AGIWB_WORKSPACE", str(place))
        if same_history:
            monkeypatch.setenv("AGIWB_TRACKING_URI", f"sqlite:///{workspace / 'mlflow.db'}")
        return place

    return go


def test_what_one_workspace_made_another_has(bucket: Bucket, move) -> None:
    made = count(CountConfig(), listener=quiet)
    open_store().register_model("numbers", made)
    assert f"records/{made.run.id}.json" in bucket.all_keys()
    elsewhere = move()
    store = open_store()
    found = store.get(store.registered_run("numbers"))
    assert found.run.folder == elsewhere / "artifacts" / "count" / made.run.id / "artifacts"
    assert found.model_copy(update={"run": made.run}) == made
    assert found.file("2.txt").read_text() == "2"
    assert [one.run.id for one in store.find("count")] == [made.run.id]


def test_a_run_is_known_and_found_by_its_first_letters_without_a_common_history(
    bucket: Bucket, move
) -> None:
    made = count(CountConfig(), listener=quiet)
    move(same_history=False)
    heard: list[Event] = []
    again = count(CountConfig(), listener=heard.append)
    assert (again.run.id, again.reused) == (made.run.id, True)
    move("third", same_history=False)
    assert open_store().get(made.run.id[:8]).run.id == made.run.id
    with pytest.raises(NotFoundError, match="no run 'ffffff'"):
        open_store().get("ffffff")


def test_a_run_is_there_for_nobody_before_its_record(bucket: Bucket, move) -> None:
    made = count(CountConfig(), listener=quiet)
    content = bucket.read(f"records/{made.run.id}.json")
    bucket.client.delete_object(Bucket=bucket.name, Key=f"team/records/{made.run.id}.json")
    elsewhere = move(same_history=False)
    with pytest.raises(NotFoundError):
        open_store().get(made.run.id)
    assert not count(CountConfig(), listener=quiet).reused
    bucket.write(f"records/{made.run.id}.json", content)
    assert open_store().get(made.run.id).run.folder.is_relative_to(elsewhere)


def test_a_damaged_object_is_named_and_nothing_of_it_kept(bucket: Bucket, move, caplog) -> None:
    made = count(CountConfig(), listener=quiet)
    key = f"artifacts/count/{made.run.id}/artifacts/2.txt"
    content = bucket.read(key)
    bucket.write(key, b"3")
    elsewhere = move()
    with pytest.raises(WorkError, match=r"file 2\.txt of run \w{8} .* is damaged"):
        open_store().get(made.run.id)
    assert not list(elsewhere.rglob("*.txt"))
    assert not count(CountConfig(), listener=quiet).reused
    assert "2.txt" in caplog.text
    bucket.client.delete_object(Bucket=bucket.name, Key=f"team/{key}")
    with pytest.raises(WorkError, match=r"file 2\.txt of run \w{8} .* is not there"):
        open_store().get(made.run.id)
    bucket.write(key, content)
    assert open_store().get(made.run.id).file("2.txt").read_text() == "2"


def test_a_record_that_leads_out_of_its_folder_is_refused(bucket: Bucket, move) -> None:
    made = count(CountConfig(), listener=quiet)
    key = f"records/{made.run.id}.json"
    record = json.loads(bucket.read(key))
    for field, value in [
        ("step", "../.."),
        ("files", [{**record["run"]["files"][0], "path": "../../../escaped"}]),
    ]:
        changed = {**record, "run": {**record["run"], field: value}}
        bucket.write(key, json.dumps(changed).encode())
        move(same_history=False)
        with pytest.raises(WorkError, match="is damaged"):
            open_store().get(made.run.id)


def test_a_store_that_is_away_delays_a_run_and_loses_nothing(
    server: Server, bucket: Bucket, move
) -> None:
    server.stop()
    try:
        heard: list[Event] = []
        made = count(CountConfig(), listener=heard.append)
        said = [event.message for event in heard if "object store" in event.message]
        assert len(said) == 1
        assert f"Run {made.run.id[:8]} has finished here" in said[0]
        assert "Could not connect" in said[0]
        assert open_store().get(made.run.id) == made
        assert open_store().unshared() == [made.run.id]
        move()
        with pytest.raises(WorkspaceError, match="cannot be used"):
            open_store().get(made.run.id)
        move("workspace")
    finally:
        server.start()
    bucket.client.create_bucket(Bucket=bucket.name)  # moto forgets
    move()
    with pytest.raises(NotFoundError, match="The next command there brings them up to s3://"):
        open_store().get(made.run.id)
    move("workspace")
    later = count(CountConfig(upto=4), listener=quiet)
    assert {f"records/{run.run.id}.json" for run in (made, later)} <= set(bucket.all_keys())
    assert open_store().unshared() == []


def test_an_upload_that_is_killed_shows_nothing_and_is_finished_by_the_next_command(
    bucket: Bucket, workspace: Path, move
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, "100"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not bucket.all_keys():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    partly = bucket.all_keys()
    assert 0 < len(partly) < 100
    assert not [key for key in partly if not key.startswith("artifacts/")]
    (note,) = (workspace / "uploads").iterdir()
    move(same_history=False)
    with pytest.raises(NotFoundError):
        open_store().get(note.name)
    move("workspace")
    assert main(["runs", "list"]) == 0
    assert f"records/{note.name}.json" in bucket.all_keys()
    move(same_history=False)
    assert len(open_store().get(note.name).run.files) == 100


def test_an_upload_that_is_stopped_is_for_the_next_command(
    bucket: Bucket, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AGIWB_ARTIFACTS")
    made = count(CountConfig(), listener=quiet)
    monkeypatch.setenv("AGIWB_ARTIFACTS", bucket.url)
    shared = SharedRuns(workspace, ObjectStore(bucket.url))
    shared.note(made.run.id, "count")
    heard: list[Event] = []
    shared.upload_waiting(heard.append, lambda: True)
    assert "The upload was interrupted" in heard[0].message
    made.file("2.txt").write_text("changed")
    shared.upload_waiting(heard.append)
    assert "2.txt of run" in heard[1].message
    assert bucket.all_keys() in ([], [f"artifacts/count/{made.run.id}/artifacts/1.txt"])
    made.file("2.txt").write_text("2")
    begun = f"team/artifacts/count/{made.run.id}/artifacts/3.txt"
    bucket.client.create_multipart_upload(Bucket=bucket.name, Key=begun)
    shared.upload_waiting(heard.append)
    assert len(heard) == 2
    assert "Uploads" not in bucket.client.list_multipart_uploads(Bucket=bucket.name)
    assert f"records/{made.run.id}.json" in bucket.all_keys()
    assert shared.waiting() == []


def test_a_deleted_run_is_gone_for_all_and_comes_back(
    bucket: Bucket, move, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = count(CountConfig(), listener=quiet)
    open_store().register_model("numbers", made)
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(WorkspaceError, match="cannot be used"):
            open_store().delete(made.run.id)
    assert [run.id for run in open_store().summaries()] == [made.run.id]
    assert made.run.folder.is_dir()
    open_store().delete(made.run.id)
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(WorkspaceError, match="cannot be used"):
            open_store().restore(made.run.id)
    assert not open_store().summaries()
    assert not made.run.folder.exists()
    with pytest.raises(NotFoundError):
        open_store().get(made.run.id)
    move()
    with pytest.raises(NotFoundError):
        open_store().registered_run("numbers")
    move("workspace")
    open_store().restore(made.run.id)
    move()
    assert open_store().get(open_store().registered_run("numbers")).run.id == made.run.id


def test_secrets_reach_nothing_that_is_kept_or_shown(
    bucket: Bucket, workspace: Path, monkeypatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for address in (
        f"s3://someone:{SECRET_KEY}@bucket/prefix",
        f"s3://{SECRET_KEY}@bucket",
        f"s3://bucket/prefix?secret={SECRET_KEY}",
        f"{SECRET_KEY}://bucket",
        f"{SECRET_KEY}",
    ):
        monkeypatch.setenv("AGIWB_ARTIFACTS", address)
        assert main(["runs", "list"]) == 2
    assert capfd.readouterr().err.count("AGIWB_ARTIFACTS") == 5
    monkeypatch.setenv("AGIWB_ARTIFACTS", bucket.url)
    count(CountConfig())
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{SECRET_KEY}-changed")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://someone:{SECRET_KEY}@127.0.0.1:9")
    count(CountConfig(upto=4))
    assert main(["doctor"]) in {0, 1}
    shown = "".join(capfd.readouterr())
    assert "is not in the object store yet" in shown
    assert SECRET_KEY not in shown
    kept = [path for path in workspace.rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if SECRET_KEY.encode() in path.read_bytes()]
    assert not [key for key in bucket.all_keys() if SECRET_KEY.encode() in bucket.read(key)]


@pytest.mark.parametrize("address", ["ftp://host/x", "/folder", "s3://", "file:///", "file://a/b"])
def test_an_address_that_cannot_be_opened_says_what_would_do(address: str) -> None:
    with pytest.raises(ConfigError, match="s3://BUCKET"):
        ObjectStore(address)


def test_a_folder_serves_as_well(tmp_path: Path, monkeypatch, move) -> None:
    monkeypatch.setenv("AGIWB_ARTIFACTS", f"file://{tmp_path}/shared")
    made = count(CountConfig(), listener=quiet)
    move(same_history=False)
    assert open_store().get(made.run.id).run.id == made.run.id


def test_a_bucket_that_does_not_exist_is_named(bucket: Bucket) -> None:
    store = ObjectStore("s3://no-such-bucket-anywhere")
    with pytest.raises(WorkspaceError, match="bucket does not exist"):
        store.write("key", b"")
    assert store.read("key") is None
