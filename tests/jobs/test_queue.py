"""One job at a time has the machine, in the order of submission."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import pytest

from agiwb import submit
from tests.jobs.job_steps import CountConfig

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_jobs")]

Until = Callable[[Callable[[], object]], None]


def test_jobs_wait_for_their_turn_and_a_waiting_one_is_cancelled_at_once(until: Until) -> None:
    first = submit("count", CountConfig(upto=1, stop_at=1))
    until(lambda: first.state == "running")
    second, third, fourth = (submit("count", CountConfig(upto=upto)) for upto in (2, 3, 4))
    third.cancel()
    assert third.state == "cancelled"
    assert [second.state, fourth.state] == ["queued", "queued"]
    first.cancel(wait=True, grace_s=0)
    assert [job.wait(60) for job in (second, fourth)] == ["finished", "finished"]
    started = [job.status.started_at for job in (first, second, fourth)]
    assert started == sorted(moment for moment in started if moment)
    assert third.run_id is None
    assert list((first.folder.path.parent / ".queue").iterdir()) == []


def test_a_killed_job_gives_its_place_away(until: Until) -> None:
    first = submit("count", CountConfig(stop_at=1))
    until(lambda: first.state == "running")
    second, third = (submit("count", CountConfig(upto=upto)) for upto in (2, 3))
    psutil.Process(second.status.pid).kill()
    psutil.Process(first.status.pid).kill()
    assert third.wait(60) == "finished"
    assert [first.state, second.state] == ["lost", "lost"]


def test_several_places_and_a_job_inside_a_job(
    until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGIWB_JOBS", "2")
    held = [submit("count", CountConfig(upto=upto, stop_at=1)) for upto in (1, 2)]
    until(lambda: all(job.state == "running" for job in held))
    waiting = submit("count", CountConfig(upto=3))
    # What a job submits, and waits for, must not wait for that job's place.
    monkeypatch.setenv("AGIWB_JOB", held[0].id)
    assert submit("count", CountConfig(upto=4)).wait(60) == "finished"
    assert waiting.state == "queued"
    for job in held:
        job.cancel(wait=True, grace_s=0)
    assert waiting.wait(60) == "finished"
