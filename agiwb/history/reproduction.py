"""Running a run's config once more, and saying whether the result is the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agiwb.errors import InputError
from agiwb.history.comparison import Change, Comparison, MetricChange, compare
from agiwb.history.entries import find_entry, read_history
from agiwb.jobs.job import Job, submit
from agiwb.runs.registry import load_step
from agiwb.runs.store import open_store
from agiwb.runs.tracking_address import look_for, tracking_address
from agiwb.settings import Settings

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore

_NOTEBOOK = "run"
"""The step of a notebook: no result of it stands for another, and yet it may be repeated."""
_RESULTS = "results"


def run_again(run_id: str) -> Job:
    """Return a job that carries out the config of a finished run anew, whatever is known.

    It is a run like any other: a model that it trains is registered as the next version. Of a
    notebook the steps inside are carried out anew too.

    Raises:
        NotFoundError: There is no such run, or it has no record.
        InputError: Its step acts on the world, and must not be repeated for a look.
        WorkspaceError: The history is away, or refuses: no run could start.
    """
    record = open_store().get(find_entry(run_id, read_history()).id)
    if record.run.step != _NOTEBOOK and not load_step(record.run.step).reusable:
        raise InputError(
            f"`{record.run.step}` acts on the world: it is not repeated only to be compared.",
            f"Run it by itself: `agiwb {record.run.step}`.",
        )
    settings = Settings()
    look_for(tracking_address(settings.tracking_uri, settings.workspace_path))  # jobs start slowly
    return submit(record.run.step, record.config, reuse=False)


def judge(run_id: str, job: Job) -> Comparison:
    """Return how the finished ``job`` compares with the run it repeated.

    Two runs of a notebook are compared by what the steps in them gave.

    Raises:
        InputError: The job has not ended.
        WorkError: It failed.
        CancelledError: It was cancelled.
    """
    store = open_store()
    made = compare(store.get(find_entry(run_id, read_history()).id), job.record())
    return _of_results(made, store) if made.first.run.step == _NOTEBOOK else made


def _of_results(made: Comparison, store: RunStore) -> Comparison:
    """Return a comparison of two runs of a notebook with the figures and files of their steps."""
    before: dict[str, str] = getattr(made.first, _RESULTS)
    after: dict[str, str] = getattr(made.second, _RESULTS)
    missing = [
        Change(f"step {step}", before.get(step), after.get(step))
        for step in sorted(before.keys() ^ after.keys())
    ]
    metrics: list[MetricChange] = []
    files: list[Change] = []
    for step in sorted(before.keys() & after.keys()):
        inside = compare(store.get(before[step]), store.get(after[step]))
        metrics += [replace(one, name=f"{step} {one.name}") for one in inside.metrics]
        files += [replace(one, name=f"{step} {one.name}") for one in inside.files]
    return replace(
        made, config=(*made.config, *missing), metrics=tuple(metrics), files=tuple(files)
    )
