"""Running a run's config once more, and saying whether the result is the same."""

from __future__ import annotations

from agiwb.errors import InputError
from agiwb.history.comparison import Comparison, compare
from agiwb.history.entries import find_entry, read_history
from agiwb.jobs.job import Job, submit
from agiwb.runs.registry import load_step
from agiwb.runs.store import open_store


def run_again(run_id: str) -> Job:
    """Return a job that carries out the config of a finished run anew, whatever is known.

    It is a run like any other: a model that it trains is registered as the next version.

    Raises:
        NotFoundError: There is no such run, or it has no record.
        InputError: Its step acts on the world, and must not be repeated for a look.
    """
    record = open_store().get(find_entry(run_id, read_history()).id)
    if not load_step(record.run.step).reusable:
        raise InputError(
            f"`{record.run.step}` acts on the world: it is not repeated only to be compared.",
            f"Run it by itself: `agiwb {record.run.step}`.",
        )
    return submit(record.run.step, record.config, reuse=False)


def judge(run_id: str, job: Job) -> Comparison:
    """Return how the finished ``job`` compares with the run it repeated.

    Raises:
        InputError: The job has not ended.
        WorkError: It failed.
        CancelledError: It was cancelled.
    """
    first = find_entry(run_id, read_history()).id
    return compare(open_store().get(first), job.record())
