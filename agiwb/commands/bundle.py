"""``agiwb bundle MODEL``: write a folder that deploys a model elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.commands.step import run_step, summary

if TYPE_CHECKING:
    from agiwb.deployment.bundle import BundleRecord

_USAGE = "agiwb bundle [MODEL] [--validate] [flags]"


def run(words: list[str], _summary: str) -> int:
    """Return 0 if the bundle was written and nothing that was checked failed, else 1."""
    flags = [{"--validate": "--validation"}.get(word, word) for word in words]
    if flags and not flags[0].startswith("-"):
        flags = ["--model", *flags]
    return run_step("bundle", flags, usage=_USAGE, tell=_tell)


def _tell(record: BundleRecord) -> str:
    # What failed is among the problems already.
    checks = [check.sentence() for check in record.checks if check.state != "failed"]
    if not record.checks:
        checks = ["not checked: `--validate` does"]
    start = f"  begin with {record.run.folder / 'README.md'}"
    return "\n".join([summary(record), *(f"  {check}" for check in checks), start])
