"""``agiwb datasets``: list the data sets, describe one, add or remove your own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agiwb.commands.step import run_step
from agiwb.datasets.builtin import BUILTIN
from agiwb.datasets.registered import find_registered, list_registered, remove_registered
from agiwb.datasets.registry import load_dataset, load_with_notes
from agiwb.flags import Parser
from agiwb.settings import Settings

if TYPE_CHECKING:
    from agiwb.datasets.add import DatasetRecord

_USAGE = """agiwb datasets [list] [--json]
       agiwb datasets NAME|PATH
       agiwb datasets add NAME PATH [flags]      (agiwb datasets add --help shows its flags)
       agiwb datasets remove NAME"""
_LISTED_CLASSES = 20


def run(words: list[str], summary: str) -> int:
    """Do what the first word says; any other names the data set to describe."""
    action, rest = (words[0], words[1:]) if words else ("list", [])
    if action == "add":
        return _add(rest)
    parser = Parser(prog="agiwb datasets", description=summary, usage=_USAGE)
    if action == "remove":
        parser.add_argument("name", metavar="NAME", help="forget this name; the data stay")
        return _remove(parser.parse_args(rest).name)
    parser.add_argument("name", nargs="?", metavar="NAME|PATH", help="describe this one")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")
    options = parser.parse_args(rest if action == "list" else words)
    if options.name is None:
        _list(as_json=options.json)
    else:
        print(json.dumps(_description(options.name), indent=2))
    return 0


def _list(*, as_json: bool) -> None:
    entries = list(_entries())
    if as_json:
        print(json.dumps(entries, indent=2))
        return
    width = max(len(entry["name"]) for entry in entries)
    for entry in entries:
        line = f"{entry['name']:<{width}}  {entry['kind']:<8}  {entry['task']:<14}  "
        print(line + entry["where"])


def _entries() -> Iterator[dict[str, str]]:
    for name, builtin in BUILTIN.items():
        where = "built in" if builtin.is_embedded else "built in, downloaded at first use"
        yield {"name": name, "kind": builtin.kind, "task": builtin.task, "where": where}
    for entry in list_registered():
        where = str(entry.source.path)
        yield {"name": entry.name, "kind": entry.kind, "task": entry.task, "where": where}


def _description(reference: str) -> dict[str, Any]:
    data, notes = load_with_notes(reference)
    entry = find_registered(reference) if data.name == reference else None
    return {
        "name": data.name,
        "kind": data.kind,
        "task": data.task,
        "classes": data.classes,
        "columns": data.columns,
        "feature_shape": data.feature_shape,
        "examples": {name: len(split) for name, split in data.splits.items()},
        "slices": sorted(data.train.slices),
        "fingerprint": data.fingerprint,
        "notes": notes,
        "path": str(entry.source.path) if entry else None,
    }


def _add(words: list[str]) -> int:
    """Add the user's own data, named by the first two words."""
    flags: list[str] = []
    for flag in ("--name", "--path"):
        if words and not words[0].startswith("-"):
            flags += [flag, words[0]]
            words = words[1:]
    usage = "agiwb datasets add NAME PATH [flags]"
    words = [*flags, *words]
    return run_step("add_dataset", words, command="datasets add", usage=usage, tell=_shown)


def _shown(record: DatasetRecord) -> str:
    """Write the page of a data set just added, and return what a person wants to know of it."""
    return _summary(record, _write_page(record))


def _write_page(record: DatasetRecord) -> Path:
    """Write the page with the preview and the quality report; return where it is."""
    from agiwb.reporting.datasets import write_dataset_page

    name = record.config.name
    page = Settings().workspace_path / "reports" / "datasets" / f"{name}.html"
    write_dataset_page(page, load_dataset(name), record.quality, record.notes)
    return page


def _summary(record: DatasetRecord, page: Path) -> str:
    """Return what a person wants to know of a data set just added."""
    about = {
        "kind": f"{record.kind}, {' x '.join(map(str, record.feature_shape))}".rstrip(", "),
        "task": record.task,
        "classes": _some(record.classes) + _positive(record),
        "columns": _some(record.columns),
        "examples": ", ".join(f"{count:,} {name}" for name, count in record.examples.items()),
        "slices": ", ".join(record.slices),
    }
    lines = [f"{record.config.name}: added from {record.config.path}"]
    lines += [f"  {name:<10}{value}" for name, value in about.items() if value]
    if record.reused:  # the run that read the data said so then
        lines += [f"  - {note}" for note in (*record.notes, *record.quality.findings)]
    lines.append(f"Preview and quality report: {page}")
    lines.append(f"Use it by its name: `agiwb train --dataset {record.config.name}`.")
    return "\n".join(lines)


def _positive(record: DatasetRecord) -> str:
    """Say which of two classes precision and recall are of, and how to make it the other."""
    if record.task != "binary":
        return ""
    return f" (the positive one is {record.classes[1]}; `--classes` gives another order)"


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_LISTED_CLASSES])
    left = len(names) - _LISTED_CLASSES
    return f"{shown} and {left} more" if left > 0 else shown


def _remove(name: str) -> int:
    path = remove_registered(name)
    print(f"{name} is removed. Its data are still in {path}.")
    return 0
