"""Plain tables of what a record says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.runs.record import Record

if TYPE_CHECKING:
    import pandas as pd


def metrics_table(record: Record) -> pd.DataFrame:
    """Return a row for each split and a column for each metric of a record."""
    import pandas as pd

    cells: dict[str, dict[str, str]] = {}
    for name, value in record.metrics.items():
        split, _, metric = name.partition("_")
        cells.setdefault(split, {})[metric.replace("_", " ")] = f"{value:.4g}"
    table = pd.DataFrame.from_dict(cells, orient="index").fillna("")
    table.index.name = "split"
    return table
