"""``agiwb labels``: what was right, told to a model's prediction log."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agiwb.errors import NotFoundError, did_you_mean
from agiwb.flags import Parser
from agiwb.runs.listing import aligned

_USAGE = """agiwb labels add FILE --model NAME [--source WHO] [--json]
       agiwb labels show REQUEST_ID --model NAME [--json]
       agiwb labels [list] --model NAME [--json]"""


def run(words: list[str], summary: str) -> int:
    """Add a file of labels, show what was said of a request, or count the labels."""
    action, rest = (words[0], words[1:]) if words else ("list", [])
    parser = Parser(prog="agiwb labels", description=summary, usage=_USAGE)
    parser.add_argument("--model", required=True, metavar="NAME", help="as it is served")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")
    if action == "add":
        return _add(parser, rest)
    if action == "show":
        return _show(parser, rest)
    parser.add_argument("action", nargs="?", choices=["list", "add", "show"], default="list")
    return _list(parser, words)


def _add(parser: Parser, words: list[str]) -> int:
    from agiwb.monitoring.log.labels import add_labels

    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="CSV, JSON or Parquet with request_id and label, and if wanted row, time and source",
    )
    parser.add_argument("--source", default="", metavar="WHO", help="who says so")
    options = parser.parse_args(words)
    added = add_labels(_folder(options.model), options.file, source=options.source)
    if options.json:
        print(json.dumps(asdict(added), indent=2))
        return 0
    print(f"{added.labels} labels were added to the log of {options.model}.")
    if added.corrections:
        print(f"{added.corrections} of them differ from what was known.")
    if added.repetitions:
        print(f"{added.repetitions} of them say what was known.")
    if added.without_request:
        print(
            f"{added.without_request} of them are of requests that the log does not hold: they "
            "are kept, and count if it ever does."
        )
    if added.without_row:
        print(
            f"{added.without_row} of them are of examples that their requests do not have: rows "
            "count from 0."
        )
    return 0


def _show(parser: Parser, words: list[str]) -> int:
    from agiwb.monitoring.log.labels import label_history

    parser.add_argument("request_id", metavar="REQUEST_ID", help="the request's")
    options = parser.parse_args(words)
    history = label_history(_folder(options.model), options.request_id)
    if not history:
        raise NotFoundError(
            f"No label of the request {options.request_id!r} was added to the log of "
            f"{options.model}.",
            "Add it with `agiwb labels add FILE`.",
        )
    if options.json:
        print(json.dumps([label._asdict() for label in history], indent=2))
    else:
        rows = [
            (str(one.row), one.label, _moment(one.label_time), _moment(one.received), one.source)
            for one in history
        ]
        print(aligned([("row", "label", "known since", "received", "source"), *rows]))
    return 0


def _list(parser: Parser, words: list[str]) -> int:
    from agiwb.monitoring.log.labels import count_labels

    options = parser.parse_args(words)
    examples, labels = count_labels(_folder(options.model))
    if options.json:
        print(json.dumps({"model": options.model, "examples": examples, "labels": labels}))
    else:
        print(f"{examples} examples of {options.model} have a label; {labels} were added.")
    return 0


def _folder(model: str) -> Path:
    from agiwb.monitoring.log.folder import is_logged, logged_models, prediction_folder

    folder = prediction_folder(model)
    if not is_logged(folder):
        logged = logged_models()
        hint = did_you_mean(model, logged) if logged else "Serve it with `agiwb serve` first."
        raise NotFoundError(f"No predictions of {model!r} have been logged.", hint)
    return folder


def _moment(seconds: float) -> str:
    moment: Any = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}"
