"""``agiwb runs``: the history; compare, repeat, pin, note, delete and restore its runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from agiwb.flags import Parser
from agiwb.runs.listing import aligned, print_runs
from agiwb.runs.registry import STEPS

if TYPE_CHECKING:
    from agiwb.history.comparison import Comparison, MetricChange

_ACTIONS = (
    "list", "show", "compare", "reproduce", "pin", "unpin", "note", "delete", "restore",
)  # fmt: skip
_USAGE = """agiwb runs [list] [--step STEP] [--deleted] [--json]
       agiwb runs show ID
       agiwb runs compare ID OTHER [--json]   what differs in config, data, code and results
       agiwb runs reproduce ID [--json]       run it again; is the result the same?
       agiwb runs pin|unpin|delete|restore ID
       agiwb runs note ID TEXT"""


def run(words: list[str], summary: str) -> int:
    """Carry out one of the actions; return 1 if a repeated run came out differently."""
    parser = Parser(prog="agiwb runs", description=summary, usage=_USAGE)
    parser.add_argument("action", nargs="?", choices=_ACTIONS, default="list")
    parser.add_argument("id", nargs="?", help="the run (its first letters will do)")
    parser.add_argument("other", nargs="?", help="the run to compare with, or the note's text")
    parser.add_argument(
        "--step", choices=sorted(STEPS), metavar="STEP", help="only runs of this step"
    )
    parser.add_argument("--deleted", action="store_true", help="list what can be restored")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")
    options = parser.parse_args(words)
    if options.action == "list":
        if options.deleted:
            return _print_deleted()
        print_runs(None, options.step, options.json)
        return 0
    if not options.id:
        parser.error(f"{options.action} needs the id of a run")
    if options.action == "compare" and not options.other:
        parser.error("compare needs the ids of two runs")
    actions: dict[str, Callable[[], int]] = {
        "show": lambda: _show(options.id),
        "compare": lambda: _compare(options.id, options.other, as_json=options.json),
        "reproduce": lambda: _reproduce(options.id, as_json=options.json),
        "pin": lambda: _pin(options.id, pinned=True),
        "unpin": lambda: _pin(options.id, pinned=False),
        "note": lambda: _note(options.id, options.other or ""),
        "delete": lambda: _delete(options.id),
        "restore": lambda: _restore(options.id),
    }
    return actions[options.action]()


def _show(run_id: str) -> int:
    print_runs(run_id, None, as_json=True)
    return 0


def _compare(first: str, second: str, *, as_json: bool) -> int:
    from agiwb.history.comparison import compare
    from agiwb.history.entries import find_entry, read_history
    from agiwb.runs.store import open_store

    store, history = open_store(), read_history()
    records = (store.get(find_entry(name, history).id) for name in (first, second))
    _print(compare(*records), as_json=as_json)
    return 0


def _reproduce(run_id: str, *, as_json: bool) -> int:
    from contextlib import closing

    from agiwb.commands.jobs import how_to_follow
    from agiwb.history.reproduction import judge, run_again
    from agiwb.runs.events import Console

    job = run_again(run_id)
    try:
        with closing(Console()) as console:
            for event in job.follow():
                console(event)
    except KeyboardInterrupt:
        print(f"Job {job.id[:8]} goes on. {how_to_follow(job)}", file=sys.stderr)
        raise
    made = judge(run_id, job)
    _print(made, as_json=as_json)
    return 1 if made.verdict == "different" else 0


def _print(made: Comparison, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_described(made), indent=2))
        return
    print(f"{made.first.run.id[:8]} and {made.second.run.id[:8]}: {made.sentence()}")
    rows = [("config", str(one.first), str(one.second), one.name) for one in made.config]
    rows += [("metric", *_figures(one), one.name) for one in made.metrics if not one.is_same]
    if rows:
        print(aligned([("", made.first.run.id[:8], made.second.run.id[:8], "name"), *rows]))


def _figures(change: MetricChange) -> tuple[str, str]:
    from agiwb.history.comparison import with_interval

    return (
        with_interval(change.first, change.first_interval),
        with_interval(change.second, change.second_interval),
    )


def _described(made: Comparison) -> dict[str, object]:
    return {
        "first": made.first.run.id,
        "second": made.second.run.id,
        "verdict": made.verdict,
        "sentence": made.sentence(),
        "config": {one.name: [one.first, one.second] for one in made.config},
        "origin": {one.name: [one.first, one.second] for one in made.origin},
        "metrics": {
            one.name: {
                "values": [one.first, one.second],
                "difference": one.difference,
                "interval": one.interval,
            }
            for one in made.metrics
        },
        "files": {one.name: [one.first, one.second] for one in made.files},
    }


def _pin(run_id: str, *, pinned: bool) -> int:
    from agiwb.history.tidying import pin

    pin(run_id, pinned=pinned)
    print(f"Run {run_id} is {'pinned' if pinned else 'no longer pinned'}.")
    return 0


def _note(run_id: str, text: str) -> int:
    from agiwb.history.tidying import note

    print(f"Run {run_id}: {note(run_id, text).note or 'no note'}")
    return 0


def _delete(run_id: str) -> int:
    from agiwb.history.tidying import delete

    gone = delete(run_id)
    print(f"Run {gone[:8]} is deleted. `agiwb runs restore {gone[:8]}` brings it back.")
    return 0


def _restore(run_id: str) -> int:
    from agiwb.history.tidying import restore

    print(f"Run {restore(run_id)[:8]} is back.")
    return 0


def _print_deleted() -> int:
    from agiwb.history.entries import read_history

    entries = read_history(deleted=True)
    print("\n".join(entry.name for entry in entries) or "No run is deleted.")
    return 0
