"""``agiwb plan``: how many servers a load needs, with a picture if wanted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agiwb.commands.step import run_step, summary
from agiwb.errors import InputError

if TYPE_CHECKING:
    from agiwb.planning.plan import PlanRecord

_USAGE = "agiwb plan --rps N --p99-ms MS [--model MODEL] [--picture FILE.png] [flags]"


def run(words: list[str], _summary: str) -> int:
    """Return 0 if a number of servers was found, else 1."""
    flags, picture = _without_picture(words)

    def tell(record: PlanRecord) -> str:
        if picture is not None:
            _draw(record, picture)
        return _text(record)

    return run_step("plan", flags, usage=_USAGE, tell=tell)


def _text(record: PlanRecord) -> str:
    sizing = record.sizing
    chosen = sizing.chosen
    size = f"{record.measured.workers} worker(s) and {sizing.memory_request_mib} MiB"
    cores = f"{sizing.cores} cores, {sizing.cores_busy:.1f} of them busy"
    lines = [
        summary(record),
        f"  {chosen.replicas} replicas of {size}: {cores}",
        *(f"  - {text}" for text in record.assumptions),
        f"  its figures go into a bundle with `agiwb bundle --plan {record.run.id[:8]}`",
    ]
    return "\n".join(lines)


def _without_picture(words: list[str]) -> tuple[list[str], Path | None]:
    """Return the step's flags, and where its picture is wanted."""
    flags, picture = [], None
    rest = iter(words)
    for word in rest:
        name, given, value = word.partition("=")
        if name != "--picture":
            flags.append(word)
            continue
        picture = Path(value if given else next(rest, ""))
        if picture.suffix != ".png" or not picture.parent.is_dir():
            raise InputError(
                f"The picture cannot be written as {str(picture)!r}.",
                "Give a file's name that ends in .png, in a folder that exists.",
            )
    return flags, picture


def _draw(record: PlanRecord, path: Path) -> None:
    from agiwb.reporting.planning import plot_plan
    from agiwb.runs.files import write_atomic

    write_atomic(path, plot_plan(record).png())
