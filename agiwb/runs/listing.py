"""The history as text: a table of runs, or one run whole."""

from __future__ import annotations

import json

from agiwb.runs.record import RunSummary
from agiwb.runs.store import open_store

_SHOWN_METRICS = ("test_accuracy", "validation_accuracy")


def print_runs(run_id: str | None, step: str | None, as_json: bool) -> None:
    """Print the record of ``run_id``, or the history (of one step) if it is None."""
    store = open_store()
    if run_id is not None:
        print(store.get(run_id).model_dump_json(indent=2))
        return
    summaries = store.summaries(step)
    if as_json:
        print(json.dumps([summary.model_dump(mode="json") for summary in summaries], indent=2))
    elif summaries:
        print("\n".join([_HEADER, *(_row(summary) for summary in summaries)]))
    else:
        print("No runs yet: `agiwb train` makes one.")


_HEADER = f"{'run':<9} {'step':<9} {'state':<10} {'started':<17} {'seconds':>8}  what"


def _row(summary: RunSummary) -> str:
    started = summary.started_at.astimezone()
    seconds = "" if summary.duration_s is None else f"{summary.duration_s:.1f}"
    figures = " ".join(
        f"{name}={summary.metrics[name]:.4f}" for name in _SHOWN_METRICS if name in summary.metrics
    )
    return (
        f"{summary.id[:8]:<9} {summary.step:<9} {summary.state:<10} {started:%Y-%m-%d %H:%M}  "
        f"{seconds:>8}  {summary.title} {figures}"
    )
