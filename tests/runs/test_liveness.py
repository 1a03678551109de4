"""Whether a run is alive, by its process here and by its heartbeat elsewhere."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from agiwb.errors import CancelledError, InputError
from agiwb.runs import liveness
from agiwb.runs.liveness import CancelRequest, RunFolder, job_folders, new_status


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "jobs" / "abc")
    made.create({}, new_status("count"))
    return made


def test_a_run_of_this_process_lives_and_a_recycled_id_does_not(folder: RunFolder) -> None:
    status = folder.look()
    assert status is not None
    assert status.state == "running"
    folder.change(process_started_at=status.process_started_at - 100)
    dead = folder.look()
    assert dead is not None
    assert dead.state == "lost"
    folder.change(detached=True)
    folder.ask_to_cancel()
    killed = folder.look()
    assert killed is not None
    assert killed.state == "killed"
    assert folder.read() == dead.model_copy(update={"state": "running", "detached": True})


def test_a_run_of_another_host_is_judged_by_its_heartbeat(folder: RunFolder) -> None:
    status = new_status("count", host="elsewhere", pid=1)
    assert not folder.has_died(status)
    folder.beat()
    assert not folder.has_died(status)
    long_ago = time.time() - 130
    os.utime(folder.path / "heartbeat", (long_ago, long_ago))
    assert folder.has_died(status)
    assert not folder.has_died(status.model_copy(update={"state": "finished"}))


def test_the_heart_beats_while_the_block_runs(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "_HEARTBEAT_S", 0.01)
    heartbeat = folder.path / "heartbeat"
    with folder.beating():
        for _ in range(2):
            while not heartbeat.exists():
                time.sleep(0.001)
            heartbeat.unlink()
    while any(thread.name == "agiwb-heartbeat" for thread in threading.enumerate()):
        time.sleep(0.001)


def test_the_first_end_of_a_run_stays(folder: RunFolder) -> None:
    folder.close_after(CancelledError("Enough."))
    folder.close("finished", 0)
    status = folder.read()
    assert status is not None
    assert (status.state, status.exit_code) == ("cancelled", 130)
    folder.change(state="lost")  # as another host believed
    folder.close_after(InputError("Wrong.", "Mend it."))
    status = folder.read()
    assert status is not None
    assert (status.state, status.exit_code, status.error) == ("failed", 2, "Wrong. Mend it.")
    assert "InputError" in folder.traceback.read_text()


def test_a_request_to_cancel_is_seen_soon_and_looked_for_seldom(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = CancelRequest(folder)
    looks: list[bool] = []
    look = folder.is_asked_to_cancel
    monkeypatch.setattr(folder, "is_asked_to_cancel", lambda: looks.append(True) or look())
    assert not any(asked() for _ in range(1000))
    assert len(looks) < 100
    folder.ask_to_cancel()
    while not asked():
        time.sleep(0.001)


def test_a_folder_of_two_names_is_one(folder: RunFolder) -> None:
    folder.path.with_name("def").symlink_to(folder.path.name)
    (folder.path.parent / ".place-0").touch()
    assert [found.path.name for found in job_folders(folder.path.parents[1])] == ["abc"]


def test_a_status_of_a_former_version_is_read(folder: RunFolder) -> None:
    (folder.path / "status.json").write_text(
        '{"run_id": "1", "step": "train", "state": "finished", "host": "h", "pid": 1,'
        ' "process_started_at": 0}'
    )
    status = folder.look()
    assert status is not None
    assert (status.state, status.detached) == ("finished", False)
