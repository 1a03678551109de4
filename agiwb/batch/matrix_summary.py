"""A matrix as Markdown, for GitHub's step summary, and as a table for a terminal."""

from __future__ import annotations

import re
from pathlib import Path

from agiwb.batch.matrix_record import OUTCOMES, EntryResult, MatrixRecord
from agiwb.runs.listing import aligned

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")
_MARKS = {"passed": "✅", "failed": "❌", "skipped": "⏭️"}


def summary(record: MatrixRecord) -> str:
    """Return counts, a row for each entry, and the digest of each that failed, as Markdown."""
    names = _parameter_names(record)
    columns = ["Notebook", *names, "Outcome", "Seconds", "Run"]
    rows = [
        [
            _escaped(Path(entry.notebook).stem),
            *(_escaped(str(entry.parameters.get(name, ""))) for name in names),
            f"{_MARKS[entry.outcome]} {entry.how}",
            "" if entry.seconds is None else f"{entry.seconds:.1f}",
            f"`{entry.run_id[:8]}`" if entry.run_id else "",
        ]
        for entry in record.entries
    ]
    lines = [f"## {_escaped(record.config.name)}: {counts(record)}", ""]
    lines += [_row(columns), _row(["---"] * len(columns)), *map(_row, rows), ""]
    for entry in record.entries:
        if entry.outcome == "failed":
            lines += _failure(entry)
    return "\n".join(lines)


def counts(record: MatrixRecord) -> str:
    """Return how many entries ended how, in words."""
    words = [f"{count} {each}" for each in OUTCOMES if (count := record.count(each))]
    reused = sum(entry.reused for entry in record.entries)
    return ", ".join(words) + (f" ({reused} used again)" if reused else "")


def table(record: MatrixRecord) -> str:
    """Return a row for each entry, and below the digest of each that failed, as plain text."""
    names = _parameter_names(record)
    rows = [("notebook", *names, "outcome", "seconds", "run")]
    rows += [
        (
            Path(entry.notebook).stem,
            *(str(entry.parameters.get(name, "")) for name in names),
            entry.how,
            "" if entry.seconds is None else f"{entry.seconds:.1f}",
            (entry.run_id or "")[:8],
        )
        for entry in record.entries
    ]
    failed = [entry for entry in record.entries if entry.outcome == "failed"]
    return "\n".join([aligned(rows), *(line for entry in failed for line in _digest(entry))])


def _digest(entry: EntryResult) -> list[str]:
    cell = entry.cell
    if cell is None:
        return [f"! {entry.name}: {entry.reason}", f"  again: {entry.command}"]
    lines = [f"! {entry.name}: {cell.sentence()}"]
    return [*lines, *(f"  | {line}" for line in cell.log), f"  again: {cell.command}"]


def _failure(entry: EntryResult) -> list[str]:
    said = entry.cell.sentence() if entry.cell is not None else entry.reason
    log = entry.cell.log if entry.cell is not None else ()
    return [
        f"### {_escaped(entry.name)}",
        "",
        _escaped(said),
        "",
        *(_fenced("\n".join(log)) if log else ()),
        "Again:",
        "",
        *_fenced(entry.command),
    ]


def _fenced(text: str) -> list[str]:
    """Return ``text`` as a block of code, between longer fences than any that it holds."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", text, fence, ""]


def _parameter_names(record: MatrixRecord) -> list[str]:
    return list(dict.fromkeys(name for entry in record.entries for name in entry.parameters))


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
