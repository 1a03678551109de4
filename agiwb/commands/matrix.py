"""``agiwb matrix FILE.yaml``: notebooks with many parameters, and what a CI service is told."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agiwb.commands.step import run_step

if TYPE_CHECKING:
    from agiwb.batch.matrix_record import MatrixRecord


def run(words: list[str], _summary: str) -> int:
    """Return 0 if every notebook passed, else 1."""
    if words and not words[0].startswith("-"):
        words = ["--config", *words]
    usage = "agiwb matrix FILE.yaml [flags]"
    return run_step("matrix", words, usage=usage, tell=text_of)


def text_of(record: MatrixRecord) -> str:
    """Return a row for each notebook and where the reports are; GitHub Actions is told as well."""
    from agiwb.batch.matrix_record import INDEX_FILE
    from agiwb.batch.matrix_summary import counts, table

    _tell_github(record)
    return "\n".join(
        [
            f"{record.config.name}: run {record.run.id[:8]}, {counts(record)}",
            *(f"  {line}" for line in table(record).splitlines()),
            f"  index: {record.file(INDEX_FILE)}",
        ]
    )


def _tell_github(record: MatrixRecord) -> None:
    """Add to the step's summary, and mark each failed cell, if this is a job of GitHub Actions."""
    from agiwb.batch.matrix_record import SUMMARY_FILE

    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(record.file(SUMMARY_FILE).read_text("utf-8") + "\n")
    if os.environ.get("GITHUB_ACTIONS") == "true":
        root = Path(os.environ.get("GITHUB_WORKSPACE", ".")).resolve()
        for entry in record.entries:
            if entry.cell is not None:
                # GitHub reads both streams; this one leaves `--json` a document.
                print(entry.cell.annotation(root, entry.name), file=sys.stderr)
