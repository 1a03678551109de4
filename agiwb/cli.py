"""The command line, generated from the steps and their configs.

Every field of a step's config is a flag; ``--config FILE.yaml`` gives fields that flags override;
``--json`` prints one JSON document on stdout. Logs and progress go to stderr. Nothing heavy is
imported before it is known which command runs.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from agiwb import __version__
from agiwb.errors import AgiwbError, ConfigError, InputError, did_you_mean
from agiwb.runs.registry import STEPS, load_step

if TYPE_CHECKING:
    from agiwb.config import Config
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


class _Parser(argparse.ArgumentParser):
    """Argparse whose complaints are our errors."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{self.prog}: {message}.", f"`{self.prog} --help` lists the flags.")


def _run_step(name: str, words: list[str]) -> int:
    """Run a step from its flags and print what came of it."""
    step = load_step(name)
    parser = _parser_for(name, STEPS[name].summary, step.config_type)
    parser.add_argument("--fresh", action="store_true", help="run even if a result is known")
    parser.add_argument("--json", action="store_true", help="print the record as JSON on stdout")
    options = _parse(parser, step.config_type, _expand_notebook(words) if name == "run" else words)
    as_json, reuse = options.pop("json"), not options.pop("fresh")
    config = _config(step.config_type, options)
    _stop_on_sigterm()
    record: Record = step(config, reuse=reuse)
    print(record.model_dump_json(indent=2) if as_json else _summary(record))
    return 0 if record.passed else 1


def _parser_for(command: str, summary: str, config_type: type[Config]) -> _Parser:
    """Return a parser with a flag for each field of the config."""
    from agiwb.config import describe_field

    parser = _Parser(
        prog=f"agiwb {command}",
        description=summary,
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=32, width=100),
    )
    parser.add_argument("--config", metavar="FILE.yaml", help="take fields from this file")
    for name, field in config_type.model_fields.items():
        options = {"dest": name, "default": argparse.SUPPRESS}
        meaning = describe_field(field).replace("%", "%%")
        flag = f"--{name.replace('_', '-')}"
        if field.annotation is bool:
            parser.add_argument(
                flag, action=argparse.BooleanOptionalAction, help=meaning, **options
            )
        elif any(kind in str(field.annotation) for kind in ("tuple", "dict")):
            parser.add_argument(flag, metavar="VALUE", help=meaning, nargs="+", **options)
        else:
            parser.add_argument(flag, metavar="VALUE", help=meaning, **options)
    return parser


def _parse(parser: _Parser, config_type: type[Config], words: list[str]) -> dict[str, Any]:
    """Return the flags given; refuse an unknown one with the nearest that exists."""
    # TensorFlow Serving and Python spell with underscores, shells with hyphens: take both.
    words = [
        "=".join([flag.replace("_", "-"), *value]) if flag.startswith("--") else word
        for word, (flag, *value) in ((word, word.split("=", 1)) for word in words)
    ]
    known, unknown = parser.parse_known_args(words)
    if unknown:
        name = unknown[0].lstrip("-").partition("=")[0].replace("-", "_")
        hint = did_you_mean(name, config_type.model_fields)
        raise ConfigError(f"`{parser.prog}` does not take `{unknown[0]}`.", hint)
    return vars(known)


def _config(config_type: type[Config], options: dict[str, Any]) -> Config:
    """Return the config from a file, if one is named, and the flags over it."""
    path = options.pop("config")
    if path:
        return config_type.from_yaml(path, options)
    return config_type.from_mapping(options)


def _expand_notebook(words: list[str]) -> list[str]:
    """Return papermill's notation, ``NOTEBOOK -p NAME VALUE …``, in the form of flags."""
    if words and not words[0].startswith("-"):
        words = ["--notebook", *words]
    if "-p" not in words:
        return words
    expanded: list[str] = []
    pairs: list[str] = []
    position = 0
    while position < len(words):
        if words[position] != "-p":
            expanded.append(words[position])
            position += 1
            continue
        pair = words[position + 1 : position + 3]
        if len(pair) < 2:
            raise ConfigError("`-p` needs a name and a value.", "For example: -p epochs 5")
        pairs.append("=".join(pair))
        position += 3
    return [*expanded, "--parameters", *pairs]


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
    from agiwb.serving.serve import ServeConfig, run_server

    parser = _parser_for("serve", _COMMANDS["serve"][1], ServeConfig)
    _stop_on_sigterm()
    run_server(_config(ServeConfig, _parse(parser, ServeConfig, words)))
    return 0


def _runs(words: list[str]) -> int:
    from agiwb.runs.listing import print_runs

    parser = _Parser(prog="agiwb runs", description=_COMMANDS["runs"][1])
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

    parser = _Parser(prog="agiwb datasets", description=_COMMANDS["datasets"][1])
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

    return open_lab(words)


def _publish(words: list[str]) -> int:
    from agiwb.batch.jupyter import publish_reports

    return publish_reports(words)


def _doctor(words: list[str]) -> int:
    from agiwb.doctor import examine

    _Parser(prog="agiwb doctor", description=_COMMANDS["doctor"][1]).parse_args(words)
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
