"""``agiwb jobs``: what runs or ran in processes of its own; follow it, stop it, go on with it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

from agiwb.commands.step import summary as record_summary
from agiwb.errors import AgiwbError, InputError
from agiwb.flags import Parser
from agiwb.jobs.cancel import GRACE_S
from agiwb.jobs.job import Job, list_jobs, open_job
from agiwb.runs.events import Console
from agiwb.runs.listing import aligned
from agiwb.runs.liveness import exit_code
from agiwb.runs.record import title

_ID = re.compile(r"[0-9a-f]{4,32}")
_ACTIONS = ("list", "show", "logs", "follow", "cancel", "resume")


def run(words: list[str], summary: str) -> int:
    """Carry out one of the actions; return its exit code, or the job's if it was followed."""
    parser = Parser(prog="agiwb jobs", description=summary)
    parser.add_argument("action", nargs="?", choices=_ACTIONS, default="list")
    parser.add_argument("id", nargs="?", help="the job, or its run (the first letters will do)")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout (list, show)")
    parser.add_argument("--follow", action="store_true", help="go on until it ends (logs)")
    parser.add_argument("--detach", action="store_true", help="do not follow it (resume)")
    if words and _ID.fullmatch(words[0]):
        words = ["show", *words]
    options = parser.parse_args(words)
    if options.action == "list":
        return _list(options.json)
    if not options.id:
        parser.error(f"{options.action} needs the id of a job")
    job = open_job(options.id)
    actions: dict[str, Callable[[], int]] = {
        "show": lambda: _show(job, as_json=options.json),
        "logs": lambda: _print_log(job, follow=options.follow),
        "follow": lambda: follow(job),
        "cancel": lambda: _cancel(job),
        "resume": lambda: _resume(job, detach=options.detach),
    }
    return actions[options.action]()


def follow(job: Job, since: int = 0) -> int:
    """Show the job's events until it has ended, and what came of it; return its exit code.

    Ctrl-C ends the following, not the job.
    """
    try:
        with closing(Console()) as console:
            for event in job.follow(since):
                console(event)
    except KeyboardInterrupt:
        print(f"Job {job.id[:8]} goes on. {how_to_follow(job)}", file=sys.stderr)
        raise
    status = job.status
    if status.state == "finished":
        print(record_summary(job.record()))
    else:
        try:
            job.record()
        except AgiwbError as error:
            print(f"agiwb: {error}", file=sys.stderr)
    return exit_code(status.state) if status.exit_code is None else status.exit_code


def how_to_follow(job: Job) -> str:
    """Return the commands that a user may want next."""
    short = job.id[:8]
    return f"`agiwb jobs follow {short}` shows it, `agiwb jobs cancel {short}` stops it."


def describe(job: Job) -> dict[str, Any]:
    """Return all there is to know of a job, as JSON has it."""
    progress = job.progress
    return {
        "id": job.id,
        **job.status.model_dump(mode="json"),
        "config": job.config,
        "progress": None if progress is None else progress.model_dump(mode="json"),
        "traceback": job.traceback,
        "folder": str(job.folder.path),
    }


def _list(as_json: bool) -> int:
    jobs = list_jobs()
    if as_json:
        print(json.dumps([describe(job) for job in jobs], indent=2))
    elif jobs:
        print(aligned([_HEADER, *map(_row, jobs)]))
    else:
        print("No jobs yet: `agiwb train --detach` makes one.")
    return 0


_HEADER = ("job", "step", "state", "started", "progress", "what")


def _row(job: Job) -> tuple[str, ...]:
    status = job.status
    began = status.started_at or status.submitted_at
    when = f"{began.astimezone():%Y-%m-%d %H:%M}" if began else ""
    return (job.id[:8], status.step, status.state, when, _progress(job), title(job.config))


def _progress(job: Job) -> str:
    event = job.progress
    return "" if event is None else f"{event.phase} {event.done}/{event.total}"


def _show(job: Job, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(describe(job), indent=2))
        return 0
    status = job.status
    facts = {
        "job": job.id,
        "run": status.run_id,
        "step": status.step,
        "state": status.state,
        "exit code": status.exit_code,
        "process": f"{status.pid} on {status.host}",
        "submitted": status.submitted_at and status.submitted_at.astimezone(),
        "started": status.started_at and status.started_at.astimezone(),
        "ended": status.ended_at and status.ended_at.astimezone(),
        "progress": _progress(job),
        "folder": job.folder.path,
        "error": status.error,
    }
    print("\n".join(f"{name:<10} {fact}" for name, fact in facts.items() if fact not in {None, ""}))
    print("\n".join(f"  {name:<20} {value}" for name, value in job.config.items()))
    print(job.traceback, end="")
    return 0


def _print_log(job: Job, *, follow: bool) -> int:
    shown = 0
    while True:
        has_ended = job.has_ended or not follow
        text = job.log()
        print(text[shown:], end="", flush=True)
        shown = len(text)
        if has_ended:
            return 0
        job.pause()


def _cancel(job: Job) -> int:
    if job.has_ended:
        raise InputError(f"Job {job.id[:8]} has ended already: it is {job.state}.")
    print(f"Asked job {job.id[:8]} to stop; waiting for the end of its batch.", file=sys.stderr)
    try:
        job.cancel(wait=True)
    except TimeoutError:
        raise InputError(
            f"Job {job.id[:8]} was asked to stop {GRACE_S:.0f} seconds ago and goes on.",
            f"It runs in the foreground of process {job.status.pid}: stop it there.",
        ) from None
    print(f"Job {job.id[:8]} is {job.state}. `agiwb jobs resume {job.id[:8]}` goes on with it.")
    return 0


def _resume(job: Job, *, detach: bool) -> int:
    _, since = job.events()
    job.resume()
    if detach:
        print(f"Job {job.id[:8]} goes on. {how_to_follow(job)}")
        return 0
    return follow(job, since)
