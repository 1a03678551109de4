"""The command line, generated from the steps and their configs.

Every field of a step's config is a flag; ``--config FILE.yaml`` gives fields that flags override;
``--json`` prints one JSON document on stdout. Logs and progress go to stderr. Nothing heavy is
imported before it is known which command runs.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from agiwb import __version__
from agiwb.errors import AgiwbError, InputError, did_you_mean
from agiwb.runs.registry import STEPS, load_step

if TYPE_CHECKING:
    from agiwb.runs.record import Record

_INTERRUPTED = 130


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
    if command in STEPS:
        return _run_step(command, rest)
    if command in _COMMANDS:
        return _COMMANDS[command][0](rest)
    hint = did_you_mean(command, [*STEPS, *_COMMANDS])
    raise InputError(f"There is no command `{command}`.", hint)


def _overview() -> str:
    lines = ["usage: agiwb <command> [flags]        (agiwb <command> --help shows its flags)", ""]
    summaries = {name: entry.summary for name, entry in STEPS.items()}
    summaries |= {name: summary for name, (_, summary) in _COMMANDS.items()}
    lines += [f"  {name:<10} {summaries[name]}" for name in _COMMAND_ORDER]
    lines += ["", "Every run is kept in the workspace: AGIWB_WORKSPACE, by default ./workspace."]
    return "\n".join(lines)


def _run_step(name: str, words: list[str]) -> int:
    """Run a step from its flags and print what came of it."""
    from agiwb.flags import notebook_words, parse_flags, parser_for

    step = load_step(name)
    parser = parser_for(name, STEPS[name].summary, step.config_type)
    parser.add_argument("--fresh", action="store_true", help="run even if a result is known")
    parser.add_argument("--json", action="store_true", help="print the record as JSON on stdout")
    words = notebook_words(words) if name == "run" else words
    config, flags = parse_flags(parser, step.config_type, words)
    _stop_on_sigterm()
    record: Record = step(config, reuse="fresh" not in flags)
    print(record.model_dump_json(indent=2) if "json" in flags else _summary(record))
    return 0 if record.passed else 1


def _summary(record: Record) -> str:
    """Return what a person wants to see of a finished run."""
    lines = [
        f"{record.run.step}: run {record.run.id[:8]}{' (used again)' if record.reused else ''}"
    ]
    lines += [f"  {name:<32} {value:.4g}" for name, value in record.metrics.items()]
    lines.append(f"  files in {record.run.folder}")
    lines += [f"  ! {problem}" for problem in record.problems]
    return "\n".join(lines)


def _stop_on_sigterm() -> None:
    """Make SIGTERM end a run as Ctrl-C does: closed as cancelled, nothing half written."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def _serve(words: list[str]) -> int:
    from agiwb.flags import parse_flags, parser_for
    from agiwb.serving.serve import ServeConfig, run_server

    parser = parser_for("serve", _COMMANDS["serve"][1], ServeConfig)
    config, _ = parse_flags(parser, ServeConfig, words)
    run_server(config)
    return 0


def _runs(words: list[str]) -> int:
    from agiwb.flags import Parser
    from agiwb.runs.listing import print_runs

    parser = Parser(prog="agiwb runs", description=_COMMANDS["runs"][1])
    parser.add_argument("action", nargs="?", choices=["list", "show"], default="list")
    parser.add_argument("id", nargs="?", help="the run to show (its first letters will do)")
    parser.add_argument("--step", choices=sorted(STEPS), help="only runs of this step")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")
    options = parser.parse_args(words)
    if options.action == "show" and not options.id:
        parser.error("show needs the id of a run")
    print_runs(options.id if options.action == "show" else None, options.step, options.json)
    return 0


def _datasets(words: list[str]) -> int:
    from agiwb.datasets.registry import BUILTIN, load_dataset
    from agiwb.flags import Parser

    parser = Parser(prog="agiwb datasets", description=_COMMANDS["datasets"][1])
    parser.add_argument("name", nargs="?", help="describe this one, or this .npz file")
    options = parser.parse_args(words)
    if options.name is None:
        print("\n".join(BUILTIN))
        return 0
    data = load_dataset(options.name)
    sizes = {name: len(split) for name, split in data.splits.items()}
    print(json.dumps({
        "name": data.name, "task": data.task, "classes": data.classes,
        "feature_shape": data.feature_shape, "examples": sizes,
        "slices": sorted(data.train.slices), "fingerprint": data.fingerprint,
    }, indent=2))  # fmt: skip
    return 0


def _lab(words: list[str]) -> int:
    from agiwb.batch.jupyter import open_lab

    open_lab(words)


def _publish(words: list[str]) -> int:
    from agiwb.batch.jupyter import publish_reports

    publish_reports(words)


def _doctor(words: list[str]) -> int:
    from agiwb.doctor import examine
    from agiwb.flags import Parser

    Parser(prog="agiwb doctor", description=_COMMANDS["doctor"][1]).parse_args(words)
    return examine()


_COMMANDS: dict[str, tuple[Callable[[list[str]], int], str]] = {
    "serve": (_serve, "Serve a model on loopback over the TensorFlow Serving REST API."),
    "runs": (_runs, "List the runs of the workspace, or show one."),
    "datasets": (_datasets, "List the built-in data sets, or describe one."),
    "lab": (_lab, "Open JupyterLab on the notebooks."),
    "publish": (_publish, "Serve the reports to stakeholders with Voila."),
    "doctor": (_doctor, "Say what is installed, what is missing, and what to do about it."),
}

_COMMAND_ORDER = (
    "demo", "datasets", "train", "sweep", "convert", "serve", "evaluate", "monitor",
    "run", "runs", "lab", "publish", "doctor",
)  # fmt: skip
