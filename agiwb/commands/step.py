"""``agiwb <step>``: run a step from its flags and print what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agiwb.config import Config
from agiwb.flags import notebook_words, parse_flags, parser_for
from agiwb.jobs.worker import stop_on_sigterm
from agiwb.runs.registry import STEPS, load_step

if TYPE_CHECKING:
    from agiwb.runs.record import Record

_REGISTER = {"train", "search", "import_model", "retrain"}
"""Steps whose model is registered under the name that their record has."""


def run_step(
    name: str,
    words: list[str],
    *,
    command: str | None = None,
    usage: str | None = None,
    tell: Callable[[Any], str] | None = None,
) -> int:
    """Return 0 if the step called ``name`` ran and passed its gates, else 1.

    Args:
        name: The step's name.
        words: Its flags.
        command: What the user types for it, if that is not its name.
        usage: The first line of its help, where words may stand without flags.
        tell: Gives the text to print of a record; by default ``summary``.
    """
    step = load_step(name)
    parser = parser_for(command or name, STEPS[name].summary, step.config_type)
    parser.usage = usage
    parser.add_argument("--fresh", action="store_true", help="run even if a result is known")
    parser.add_argument("--json", action="store_true", help="print the record as JSON on stdout")
    parser.add_argument(
        "--detach", action="store_true", help="run in a process of its own, and return at once"
    )
    words = notebook_words(words) if name == "run" else words
    config, flags = parse_flags(parser, step.config_type, words)
    reuse = "fresh" not in flags
    if "detach" in flags:
        return _detach(name, config, reuse=reuse, as_json="json" in flags)
    stop_on_sigterm()
    record: Record = step(config, reuse=reuse)
    text = (tell or summary)(record)
    print(record.model_dump_json(indent=2) if "json" in flags else text)
    return 0 if record.passed else 1


def _detach(name: str, config: Config, *, reuse: bool, as_json: bool) -> int:
    from agiwb.commands.jobs import describe, how_to_follow
    from agiwb.jobs.job import submit

    job = submit(name, config, reuse=reuse)
    print(json.dumps(describe(job), indent=2) if as_json else f"{job.id}\n{how_to_follow(job)}")
    return 0


def summary(record: Record) -> str:
    """Return what a person wants to see of a finished run."""
    name = getattr(record, "model_name", None)
    of = f" of {name}" if name and record.run.step not in _REGISTER else ""
    again = " (used again)" if record.reused else ""
    lines = [f"{record.run.step}: run {record.run.id[:8]}{of}{again}"]
    said = getattr(record, "sentences", ())
    lines += [f"  {sentence}" for sentence in said if sentence not in record.problems]
    lines += [f"  {metric:<32} {value:.4g}" for metric, value in record.metrics.items()]
    if name and not of:
        lines.append(f"  registered as {name}")
    lines.append(f"  files in {record.run.folder}")
    lines += [f"  ! {problem}" for problem in record.problems]
    if record.reused:  # a run says its findings as it makes them
        lines += [f"  ? {finding.sentence()}" for finding in getattr(record, "findings", ())]
    return "\n".join(lines)
