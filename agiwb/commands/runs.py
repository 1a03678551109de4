"""``agiwb runs``: the history."""

from __future__ import annotations

from agiwb.flags import Parser
from agiwb.runs.listing import print_runs
from agiwb.runs.registry import STEPS


def run(words: list[str], summary: str) -> int:
    """List the runs, or show one."""
    parser = Parser(prog="agiwb runs", description=summary)
    parser.add_argument("action", nargs="?", choices=["list", "show"], default="list")
    parser.add_argument("id", nargs="?", help="the run to show (its first letters will do)")
    parser.add_argument("--step", choices=sorted(STEPS), help="only runs of this step")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")
    options = parser.parse_args(words)
    if options.action == "show" and not options.id:
        parser.error("show needs the id of a run")
    print_runs(options.id if options.action == "show" else None, options.step, options.json)
    return 0
