"""The history as text: a table of runs, or one run whole."""

from __future__ import annotations

import json
from collections.abc import Sequence

from agiwb.runs.record import RunSummary
from agiwb.runs.store import open_store

_SHOWN_METRICS = ("test_accuracy", "test_auc", "test_rmse", "validation_accuracy")
_MOST_SHOWN = 2


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
        print(aligned([_HEADER, *map(_row, summaries)]))
    else:
        print("No runs yet: `agiwb train` makes one.")


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of words as lines whose columns are as wide as their longest word."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


_HEADER = ("run", "step", "state", "started", "seconds", "what")


def _row(summary: RunSummary) -> tuple[str, ...]:
    started = summary.started_at.astimezone()
    seconds = "" if summary.duration_s is None else f"{summary.duration_s:.1f}"
    shown = [name for name in _SHOWN_METRICS if name in summary.metrics][:_MOST_SHOWN]
    figures = [f"{name}={summary.metrics[name]:.4g}" for name in shown]
    return (
        summary.id[:8], summary.step, summary.state, f"{started:%Y-%m-%d %H:%M}", seconds,
        " ".join([summary.title, *figures]),
    )  # fmt: skip
