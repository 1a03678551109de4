"""One HTML page that leads to all executed notebooks of a matrix; it loads nothing."""

from __future__ import annotations

from pathlib import Path

from agiwb.batch.matrix_record import MatrixRecord
from agiwb.batch.matrix_summary import counts
from agiwb.reporting.page import render


def index_page(record: MatrixRecord) -> str:
    """Return the page; its links are relative to where it lies."""
    names = dict.fromkeys(name for entry in record.entries for name in entry.parameters)
    return render(
        "matrix.html",
        title=record.config.name,
        counts=counts(record),
        entries=[
            {"stem": Path(entry.notebook).stem, "how": entry.how, **vars(entry)}
            for entry in record.entries
        ],
        names=list(names),
        run=record.run,
    )
