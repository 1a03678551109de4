"""``agiwb gate``: whether a challenger may take the champion's place, and on what grounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.commands.step import run_step
from agiwb.runs.listing import aligned

if TYPE_CHECKING:
    from agiwb.maintenance.gate import GateRecord


def run(words: list[str], _summary: str) -> int:
    """Return 0 if the challenger may be promoted, else 1."""
    return run_step("gate", words, tell=text_of)


def text_of(record: GateRecord) -> str:
    """Return the verdict, a line for each slice, and what else was checked."""
    heads = ("rows of", "rows", "champion", "challenger", "difference", "margin", "finding")
    rows = [
        (
            one.name,
            str(one.rows),
            f"{one.champion:.4g}",
            f"{one.challenger:.4g}",
            f"{one.difference:+.4f}",
            f"{one.margin:.3g}",
            one.finding,
        )
        for one in record.compared
    ]
    versions = (
        f"version {record.challenger.version} of {record.model_name} against version "
        f"{record.champion.version}"
    )
    lines = [
        f"gate: run {record.run.id[:8]}, {versions}: {record.verdict}",
        *(f"  {sentence}" for sentence in record.sentences),
        aligned([heads, *rows]),
        *(f"  {check.name}: {check.outcome}. {check.sentence}" for check in record.checks),
    ]
    return "\n".join(lines)
