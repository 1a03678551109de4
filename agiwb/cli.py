"""The command line, generated from the steps and their configs.

Every field of a step's config is a flag; ``--config FILE.yaml`` gives fields that flags override;
``--json`` prints one JSON document on stdout. Logs and progress go to stderr. Nothing heavy is
imported before it is known which command runs.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Sequence

from agiwb import __version__
from agiwb.errors import AgiwbError, InputError, did_you_mean
from agiwb.runs.registry import STEPS

_INTERRUPTED = 130

_COMMANDS = {
    "serve": (
        "serve:run",
        "Serve models over TensorFlow Serving's REST and gRPC APIs and Open Inference.",
    ),
    "sweep": ("sweep:run", "Compress a model in several ways and weigh them up."),
    "matrix": ("matrix:run", "Run notebooks with many parameters, several at once."),
    "plan": ("plan:run", "Say how many servers a load needs, and why."),
    "bundle": ("bundle:run", "Write a folder that deploys a model elsewhere, and check it."),
    "import": ("import_:run", "Take in a model made elsewhere, once it is found safe to load."),
    "servers": ("servers:run", "List the servers that were left running, or stop one."),
    "runs": ("runs:run", "List the runs; show, compare, reproduce, pin, note or delete one."),
    "datasets": ("datasets:run", "List the data sets, describe one, or add your own."),
    "jobs": ("jobs:run", "List the jobs; show, follow, cancel or resume one."),
    "trust": ("trust:run", "Make keys; sign, verify, encrypt or decrypt an artifact."),
    "inspect": ("inspect:run", "Show what is in a model's file, or how two models differ."),
    "labels": ("labels:run", "Tell a model's prediction log what was right; show what it knows."),
    "alerts": ("alerts:run", "Show what was found about served models; tell it to Prometheus."),
    "gate": ("gate:run", "Say whether a challenger may take the champion's place."),
    "promote": ("promote:promote", "Make a version of a model its champion, and tell a server."),
    "rollback": ("promote:rollback", "Have the champion before the last promotion answer again."),
    "history": ("promote:history", "Show who decided what about a model, when and why."),
    "keys": ("keys:run", "Make, list and revoke the API keys of a server."),
    "lab": ("jupyter:lab", "Open JupyterLab on the notebooks."),
    "publish": ("jupyter:publish", "Serve the reports with Voila, or write them: --static FOLDER."),
    "doctor": ("doctor:run", "Say what is installed, what is missing, and what to do about it."),
}
"""Commands with a function of their own, ``module:function`` in ``agiwb.commands``."""

COMMAND_ORDER = (
    "demo", "datasets", "train", "range_test", "search", "explain", "import", "sweep", "convert",
    "inspect", "trust", "serve", "servers", "keys", "plan", "bundle", "evaluate", "score_texts",
    "labels", "monitor", "alerts", "retrain", "gate", "promote", "rollback", "maintain", "history",
    "run", "matrix", "jobs", "runs", "lab", "publish", "doctor",
)  # fmt: skip
"""Every command a user can type, in the order of a model's life."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 done, 1 the work failed, 2 the input was wrong, 130 cancelled."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except AgiwbError as error:
        print(f"agiwb: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in {"-h", "--help"}:
        print(_overview())
        return 0
    if words[0] == "--version":
        print(f"agiwb {__version__}")
        return 0
    command, rest = words[0], words[1:]
    if command in _COMMANDS:
        target, summary = _COMMANDS[command]
        module, _, name = target.partition(":")
        run: Callable[[list[str], str], int] = getattr(
            importlib.import_module(f"agiwb.commands.{module}"), name
        )
        return run(rest, summary)
    if command in STEPS:
        from agiwb.commands.step import run_step

        return run_step(command, rest)
    hint = did_you_mean(command, {*STEPS, *_COMMANDS})
    raise InputError(f"There is no command `{command}`.", hint)


def _overview() -> str:
    lines = ["usage: agiwb <command> [flags]        (agiwb <command> --help shows its flags)", ""]
    summaries = {name: entry.summary for name, entry in STEPS.items()}
    summaries |= {name: summary for name, (_, summary) in _COMMANDS.items()}
    lines += [f"  {name:<11} {summaries[name]}" for name in COMMAND_ORDER]
    lines += ["", "Every run is kept in the workspace: AGIWB_WORKSPACE, by default ./workspace."]
    return "\n".join(lines)
