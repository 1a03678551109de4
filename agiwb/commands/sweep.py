"""``agiwb sweep``: compress a model in several ways, and weigh the results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.commands.step import run_step

if TYPE_CHECKING:
    from agiwb.compression.sweep import Candidate, SweepRecord

_LONGEST_REASON = 60


def run(words: list[str], _summary: str) -> int:
    """Return 0 if a candidate keeps to the limits, else 1."""
    return run_step("sweep", words, tell=text_of)


def text_of(record: SweepRecord) -> str:
    """Return a line for each candidate, what was chosen, and where the files are."""
    width = max(len(candidate.name) for candidate in record.candidates)
    heading = f"{'':{width}}  validation    test        gzip      time"
    rows = [heading, *(_row(candidate, width) for candidate in record.candidates)]
    picked = [f"{word}: {name}" for word, name in record.picks.items()]
    said = [record.choice_reason] if record.chosen else []  # else it is among the problems
    if picked:
        said.append(f"picks: {', '.join(picked)}")
    if going_on := _going_on(record):
        said.append(f"next: {going_on}")
    again = " (used again)" if record.reused else ""
    lines = [
        f"sweep: run {record.run.id[:8]} of {record.model_name}{again}",
        *(f"  {line}" for line in (*rows, *said)),
        f"  files in {record.run.folder}",
        *(f"  ! {problem}" for problem in record.problems),
    ]
    return "\n".join(lines)


def _going_on(record: SweepRecord) -> str:
    """Return the command that converts what was chosen; empty if no conversion writes it."""
    from agiwb.compression.artifact_format import artifact_format
    from agiwb.compression.recipe import parse_recipe

    wanted = artifact_format(parse_recipe(record.chosen)) if record.chosen else None
    if wanted is None:
        return ""
    return f"agiwb convert --model {record.run.id[:8]}:{record.chosen} --formats {wanted}"


def _row(candidate: Candidate, width: int) -> str:
    """Return accuracies, bytes after gzip and time relative to the baseline's, or why not."""
    measured = candidate.measured
    if measured is None:
        reason = candidate.reason
        cut = f"{reason[:_LONGEST_REASON]}..." if len(reason) > _LONGEST_REASON else reason
        return f"{candidate.name:{width}}  {cut}"
    return (
        f"{candidate.name:{width}}  {measured.validation_accuracy:>10.1%}"
        f"{measured.test_accuracy:>8.1%}{measured.gzip_bytes:>12,}{measured.latency_ratio:>10.2f}"
        f"{'' if candidate.usable else '  not usable'}"
    )
