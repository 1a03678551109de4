"""``agiwb import PATH``: take in a model made elsewhere, once it was found safe to load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.commands.step import run_step, summary

if TYPE_CHECKING:
    from agiwb.importing.import_model import ImportRecord

_USAGE = "agiwb import PATH [flags]"
_LISTED = 8


def run(words: list[str], _summary: str) -> int:
    """Return 0 if the model was imported."""
    if words and not words[0].startswith("-"):
        words = ["--path", *words]
    return run_step("import_model", words, command="import", usage=_USAGE, tell=_tell)


def _tell(record: ImportRecord) -> str:
    contents = record.scan.contents
    most = sorted(contents.operators.items(), key=lambda entry: -entry[1])
    shown = ", ".join(f"{name} {count}" for name, count in most[:_LISTED])
    more = f" and {len(most) - _LISTED} more" if len(most) > _LISTED else ""
    lines = [summary(record), f"  is {record.format}, {record.size_bytes:,} bytes"]
    lines += [f"  takes {spec}" for spec in record.signature.inputs]
    lines += [f"  gives {spec}" for spec in record.signature.outputs]
    lines.append(f"  of {shown}{more}")
    lines += [f"  rewritten: {change}" for change in contents.changes]
    lines += [f"  {record.scan.scanner} says: {said}" for said in record.scan.scanner_findings]
    return "\n".join(lines)
