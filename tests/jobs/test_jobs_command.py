"""``agiwb jobs`` and ``--detach``, as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from agiwb import open_job, submit
from agiwb.cli import main
from tests.jobs.job_steps import CountConfig

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_jobs")]

Until = Callable[[Callable[[], object]], None]
Captured = pytest.CaptureFixture[str]


def test_a_detached_step_is_followed_to_its_end(capsys: Captured) -> None:
    assert main(["count", "--upto", "2", "--detach"]) == 0
    job_id, hint = capsys.readouterr().out.splitlines()
    assert f"agiwb jobs follow {job_id[:8]}" in hint
    assert main(["jobs", "follow", job_id[:8]]) == 0
    shown = capsys.readouterr()
    assert "counted 2" in shown.err
    assert f"count: run {open_job(job_id).run_id[:8]}" in shown.out
    assert main(["jobs", "logs", job_id]) == 0
    assert "counting from 1" in capsys.readouterr().out
    assert main(["jobs", "logs", job_id, "--follow"]) == 0
    assert "counting from 1" in capsys.readouterr().out


def test_the_list_and_one_job_as_text_and_as_json(capsys: Captured) -> None:
    assert main(["jobs"]) == 0
    assert "No jobs yet" in capsys.readouterr().out
    assert main(["count", "--fail", "bug", "--detach", "--json"]) == 0
    job_id = json.loads(capsys.readouterr().out)["id"]
    assert main(["jobs", "follow", job_id]) == 1
    assert "failed: ZeroDivisionError: a bug" in capsys.readouterr().err
    assert main(["jobs", "list"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["job", "step", "state", "started", "progress", "what"]
    assert row.startswith(f"{job_id[:8]}  count  failed")
    assert row.endswith("counting 3/3")
    assert main(["jobs", "list", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert main(["jobs", "show", job_id[:8], "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == listed
    assert (listed["state"], listed["exit_code"], listed["config"]["fail"]) == ("failed", 1, "bug")
    assert "job_steps.py" in listed["traceback"]
    assert main(["jobs", "show", job_id[:8]]) == 0
    shown = capsys.readouterr().out
    assert "exit code  1" in shown
    assert "ZeroDivisionError: a bug" in shown


def test_cancelling_and_resuming(capsys: Captured, until: Until) -> None:
    job = submit("count", CountConfig(upto=100, pause_s=0.02))
    until(lambda: job.progress)
    assert main(["jobs", "cancel", job.id]) == 0
    assert f"Job {job.id[:8]} is cancelled." in capsys.readouterr().out
    assert main(["jobs", "cancel", job.id]) == 2
    assert "has ended already: it is cancelled" in capsys.readouterr().err
    assert main(["jobs", "follow", job.id]) == 130
    assert "was cancelled" in capsys.readouterr().err
    assert main(["jobs", "resume", job.id, "--detach"]) == 0
    assert "goes on" in capsys.readouterr().out
    until(lambda: job.state == "running")
    assert main(["jobs", "resume", job.id]) == 2
    assert "is running already" in capsys.readouterr().err
    assert job.wait(60) == "finished"
    assert main(["jobs", "resume", job.id]) == 2
    assert "nothing to resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show"], "show needs the id of a job"),
        (["stop"], "invalid choice"),
        (["show", "123456"], "has no job '123456'"),
        (["list", "--jsno"], "unrecognized arguments"),
    ],
)
def test_wrong_words_are_named(words: list[str], message: str, capsys: Captured) -> None:
    assert main(["jobs", *words]) == 2
    assert message in capsys.readouterr().err
