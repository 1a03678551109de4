"""A job from submission to its record, as another process and another day see it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from agiwb import Job, list_jobs, open_job, submit
from agiwb.errors import ConfigError, InputError, NotFoundError, WorkError
from agiwb.runs.store import open_store
from tests.jobs.job_steps import CountConfig, CountRecord, FitConfig, count

pytestmark = pytest.mark.slow


def test_a_job_outlives_its_submitter_and_is_found_by_another_process(
    job_workspace: Path,
) -> None:
    script = (
        "import sys\n"
        "from agiwb import submit\n"
        "from tests.jobs.job_steps import CountConfig\n"
        "job = submit('count', CountConfig(upto=4))\n"
        "heavy = {'mlflow', 'tensorflow', 'keras'} & {*sys.modules}\n"
        "print(job.id, job.state, heavy or 'light')"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    job_id, state, weight = answer.stdout.split()
    assert (state, weight) == ("queued", "light")

    job = open_job(job_id[:8])
    assert job.wait(60) == "finished"
    record = job.record()
    assert isinstance(record, CountRecord)
    assert record.counted == (1, 2, 3, 4)
    assert job.status.exit_code == 0
    assert "counting from 1" in job.log()


def test_job_and_run_are_one_folder_under_two_names(
    job_workspace: Path, warm_jobs: psutil.Process
) -> None:
    job = submit("count", CountConfig())
    messages = [event.message for event in job.follow() if event.message]
    assert messages == ["counted 1", "counted 2", "counted 3"]
    assert job.wait() == "finished"
    assert job.run_id is not None
    assert job.run_id != job.id
    assert (job_workspace / "jobs" / job.run_id).is_symlink()
    assert open_job(job.run_id[:10]).id == open_job(job.id).id == job.id
    assert open_store().folder(job.run_id).path == job.folder.path
    assert [found.id for found in list_jobs()] == [job.id]
    assert [run.id for run in open_store().summaries()] == [job.run_id]
    assert not job.folder.checkpoint.exists()


def test_a_known_result_ends_the_job_at_once(warm_jobs: psutil.Process) -> None:
    first = count(CountConfig(), listener=print)
    job = submit("count", CountConfig())
    assert job.wait(60) == "finished"
    assert job.run_id == first.run.id
    assert job.record() == first
    events, _ = job.events()
    assert "nothing has changed" in events[0].message
    assert len(open_store().summaries()) == 1
    anew = submit("count", CountConfig(), reuse=False)
    anew.wait(60)
    assert anew.run_id != first.run.id


def test_a_job_has_the_folder_and_the_environment_of_its_submitter(
    warm_jobs: psutil.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_WORD", "pear")
    job = submit("count", CountConfig())
    job.wait(60)
    record = job.record()
    assert isinstance(record, CountRecord)
    assert record.environment == {"folder": str(Path.cwd()), "word": "pear"}


def test_a_failure_is_told_with_its_traceback(warm_jobs: psutil.Process, tmp_path: Path) -> None:
    bug = submit("count", CountConfig(fail="bug"))
    assert bug.wait(60) == "failed"
    assert bug.error == "ZeroDivisionError: a bug"
    assert "job_steps.py" in bug.traceback
    assert "job_steps.py" in bug.log()
    with pytest.raises(WorkError, match="a bug"):
        bug.record()

    work = submit("count", CountConfig(fail="work"))
    assert work.wait(60) == "failed"
    assert (work.status.exit_code, work.error) == (1, "It did not work. Try again.")
    states = {run.id: run.state for run in open_store().summaries()}
    assert states == {bug.run_id: "failed", work.run_id: "failed"}

    wrong = submit("count", CountConfig(fail="input"))
    assert wrong.wait(60) == "failed"
    assert (wrong.status.exit_code, wrong.run_id) == (2, None)
    with pytest.raises(InputError, match=r"The data is wrong\. Mend it"):
        wrong.record()
    assert len(open_store().summaries()) == 2
    assert all(link.exists() for link in wrong.folder.path.parent.iterdir())

    gate = submit("count", CountConfig(fail="gate"))
    assert (gate.wait(60), gate.status.exit_code) == ("finished", 1)

    missing = submit("count", CountConfig(data=tmp_path / "missing"))
    assert missing.wait(60) == "failed"
    assert missing.run_id is None
    assert "FileNotFoundError" in missing.error


def test_events_are_read_whole_lines_at_a_time(warm_jobs: psutil.Process) -> None:
    job = submit("count", CountConfig())
    job.wait(60)
    lines = job.folder.events.read_bytes()
    assert all(json.loads(line) for line in lines.splitlines())
    seen, offset = [], 0
    for size in range(0, len(lines) + 1, 7):
        job.folder.events.write_bytes(lines[:size])
        events, offset = job.events(offset)
        seen += events
    job.folder.events.write_bytes(lines)
    events, offset = job.events(offset)
    assert seen + events == job.events()[0]
    assert offset == len(lines)


def test_a_foreground_run_is_a_job_too() -> None:
    record = count(CountConfig(), listener=print)
    (job,) = list_jobs()
    assert (job.id, job.run_id, job.state) == (record.run.id, record.run.id, "finished")
    assert job.record() == record
    with pytest.raises(ZeroDivisionError):
        count(CountConfig(fail="bug"), listener=print)
    assert list_jobs()[0].error == "ZeroDivisionError: a bug"


def test_what_cannot_be_a_job_is_refused_at_once(job_workspace: Path) -> None:
    with pytest.raises(InputError, match=r"no step `cuont`\. Did you mean `count`"):
        submit("cuont", CountConfig())
    with pytest.raises(ConfigError, match="takes a CountConfig, not a FitConfig"):
        submit("count", FitConfig())
    with pytest.raises(NotFoundError, match="no job 'abc'"):
        open_job("abc")
    with pytest.raises(NotFoundError, match="no job ''"):
        open_job("")
    assert not (job_workspace / "jobs").exists()


def test_waiting_ends_in_time_and_an_unfinished_job_has_no_record(
    warm_jobs: psutil.Process,
) -> None:
    job = submit("count", CountConfig(stop_at=1))
    with pytest.raises(TimeoutError, match="is still"):
        job.wait(0.2)
    with pytest.raises(InputError, match="is still"):
        job.record()
    job.cancel(wait=True, grace_s=0)


def test_jobs_are_listed_newest_first(warm_jobs: psutil.Process) -> None:
    jobs = [submit("count", CountConfig(upto=number)) for number in (1, 2, 3)]
    assert [job.wait(60) for job in jobs] == ["finished"] * 3
    assert [job.id for job in list_jobs()] == [job.id for job in reversed(jobs)]
    assert all(isinstance(job, Job) for job in list_jobs())
