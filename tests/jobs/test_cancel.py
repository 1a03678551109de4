"""Stopping a job: it is asked, then told, then made to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from agiwb import list_jobs, open_job, submit
from agiwb.errors import CancelledError
from agiwb.jobs import cancel
from agiwb.jobs.job import Job
from agiwb.runs.store import open_store
from tests.jobs.job_steps import CountConfig, count

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_jobs")]

Until = Callable[[Callable[[], object]], None]


def state_in_history(job: Job) -> str:
    (run,) = [run for run in open_store().summaries() if run.id == job.run_id]
    return run.state


def test_a_job_that_is_asked_stops_and_keeps_its_checkpoint(until: Until) -> None:
    job = submit("count", CountConfig(upto=1000, pause_s=0.02))
    until(lambda: job.progress)
    job.cancel()
    assert job.wait(60) == "cancelled"
    assert job.status.exit_code == 130
    assert state_in_history(job) == "cancelled"
    assert int((job.folder.checkpoint / "last").read_text()) >= 1
    assert not job.folder.unfinished.exists()
    with pytest.raises(CancelledError):
        job.record()
    job.cancel()  # nothing happens
    assert job.state == "cancelled"


def test_a_job_that_does_not_listen_is_told(until: Until) -> None:
    """Without waiting: a process of its own insists."""
    job = submit("count", CountConfig(stop_at=2))
    until(lambda: job.progress)
    job.cancel(grace_s=0.2)
    assert job.wait(60) == "cancelled"
    assert state_in_history(job) == "cancelled"


def test_a_job_that_stopped_and_was_resumed_is_left_alone(until: Until) -> None:
    """Whoever insists may come late: what runs by then is another process."""
    job = submit("count", CountConfig(upto=10_000, pause_s=0.02))
    until(lambda: job.progress)
    asked = job.status
    job.cancel(wait=True)
    job.resume()
    until(lambda: job.state == "running")
    cancel.insist(job.folder, asked, 0)
    assert cancel._lives(psutil.Process(job.status.pid))
    assert job.state == "running"
    job.cancel(wait=True)


def test_a_job_that_hears_nothing_is_killed(until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancel, "_PATIENCE_S", 0.1)
    job = submit("count", CountConfig(stop_at=2, is_deaf=True))
    until(lambda: job.progress)
    process = psutil.Process(job.status.pid)
    job.cancel(wait=True, grace_s=0.2)
    assert not cancel._lives(process)
    assert job.state == "killed"
    status = job.folder.read()
    assert status is not None
    assert (status.state, status.exit_code) == ("killed", 130)
    assert state_in_history(job) == "killed"
    with pytest.raises(CancelledError, match="was killed"):
        job.record()


def test_a_foreground_run_can_be_asked_from_elsewhere(until: Until, job_workspace: Path) -> None:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            count(CountConfig(upto=1000, pause_s=0.02), listener=[].append)
        except CancelledError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: list_jobs() and list_jobs()[0].progress)
    open_job(list_jobs()[0].id).cancel(wait=True)
    thread.join(60)
    assert len(caught) == 1
    assert [run.state for run in open_store().summaries()] == ["cancelled"]
