"""Going on with what was stopped, killed or lost; and not, if its result would be another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from agiwb import list_jobs, open_job, submit
from agiwb.cli import main
from agiwb.errors import InputError
from agiwb.jobs.job import Job
from agiwb.runs import provenance
from agiwb.runs.store import open_store
from tests.jobs.job_steps import CountConfig, CountRecord

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_jobs")]

Until = Callable[[Callable[[], object]], None]


def kept_number(job: Job) -> int:
    kept = job.folder.checkpoint / "last"
    return int(kept.read_text()) if kept.exists() else 0


def killed_job(until: Until, **values: object) -> Job:
    job = submit("count", CountConfig.from_mapping({"upto": 5, "stop_at": 3, **values}))
    until(lambda: kept_number(job) == 2)
    psutil.Process(job.status.pid).kill()
    until(lambda: job.state == "lost")
    return job


def test_a_killed_job_goes_on_from_its_checkpoint(until: Until) -> None:
    job = killed_job(until)
    former = job.run_id
    assert [run.state for run in open_store().summaries()] == ["lost"]
    with job.folder.events.open("ab") as events:
        events.write(b'{"message": "half a li')
    told, offset = job.events()
    job.resume()
    assert job.state == "queued"
    assert job.wait(60) == "finished"
    record = job.record()
    assert isinstance(record, CountRecord)
    assert (record.run.id, record.resumed, record.counted) == (former, True, (3, 4, 5))
    assert [run.state for run in open_store().summaries()] == ["finished"]
    assert [event.message for event in job.events(offset)[0] if event.message] == [
        "counted 3", "counted 4", "counted 5",
    ]  # fmt: skip
    assert job.events()[0][: len(told)] == told
    assert not job.folder.checkpoint.exists()
    with pytest.raises(InputError, match="has finished: there is nothing to resume"):
        job.resume()


def test_a_killed_foreground_run_is_resumed_by_its_run_id(
    until: Until, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "from tests.jobs import job_steps as j\nj.count(j.CountConfig(upto=4, stop_at=3))"
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        until(lambda: list_jobs() and kept_number(list_jobs()[0]) == 2)
        os.kill(process.pid, signal.SIGKILL)
    (lost,) = open_store().summaries()
    assert lost.state == "lost"
    assert main(["jobs", "resume", lost.id[:8]]) == 0
    assert f"count: run {lost.id[:8]}" in capsys.readouterr().out
    record = open_store().get(lost.id)
    assert isinstance(record, CountRecord)
    assert record.counted == (3, 4)


def test_a_cancelled_job_goes_on_and_a_running_one_does_not(until: Until) -> None:
    job = submit("count", CountConfig(upto=5, stop_at=3))
    until(lambda: kept_number(job) == 2)
    with pytest.raises(InputError, match="is running already"):
        job.resume()
    job.cancel(wait=True, grace_s=0)
    assert job.state == "cancelled"
    job.resume()
    assert job.wait(60) == "finished"


def test_a_job_whose_data_changed_says_so_and_keeps_its_checkpoint(
    until: Until, tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("one")
    job = killed_job(until, data=tmp_path / "data")
    (tmp_path / "data").write_text("two")
    job.resume()
    assert job.wait(60) == "failed"
    assert "this has changed since it was started: the data." in job.error
    assert job.status.exit_code == 2
    with pytest.raises(InputError, match="cannot go on"):
        job.record()
    assert kept_number(job) == 2
    (tmp_path / "data").write_text("one")
    job.resume()
    assert job.wait(60) == "finished"


def test_other_packages_or_code_are_refused_at_once(
    until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = killed_job(until)
    packages = {**provenance.package_versions(), "keras": "0.1"}
    monkeypatch.setattr(provenance, "package_versions", lambda: packages)
    monkeypatch.setattr(provenance, "code_digest", lambda: "other")
    with pytest.raises(
        InputError, match=r"the version of keras \(3\.\S+, now 0\.1\), the code of agiwb\. Start"
    ):
        job.resume()
    assert job.state == "lost"


def test_a_job_that_never_had_a_run_begins_one(tmp_path: Path) -> None:
    job = submit("count", CountConfig(data=tmp_path / "data"))
    assert job.wait(60) == "failed"
    (tmp_path / "data").write_text("here now")
    open_job(job.id).resume()
    assert job.wait(60) == "finished"
    assert job.error == job.traceback == ""
