"""Plain tables of what a record says."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agiwb.runs.record import Record

_LONGEST_WORDS = 40
"""Letters of a cell; what is longer is a sentence, and may be broken into lines."""
_SENTENCES = ' class="sentences"'


@dataclass(frozen=True)
class Table:
    """Rows of text under named columns; a notebook shows it as HTML."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, str]]) -> Table:
        """Return a table with every column that a row names; what a row lacks is left empty."""
        columns = tuple(dict.fromkeys(name for row in rows for name in row))
        return cls(columns, tuple(tuple(row.get(name, "") for name in columns) for row in rows))

    def html(self) -> str:
        """Return the table as HTML, every cell escaped."""
        head = "".join(
            f"<th{_SENTENCES if self._holds_sentences(place) else ''}>{html.escape(name)}</th>"
            for place, name in enumerate(self.columns)
        )
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _holds_sentences(self, place: int) -> bool:
        return max((len(row[place]) for row in self.rows), default=0) > _LONGEST_WORDS

    def _repr_html_(self) -> str:
        # JupyterLab aligns cells to the right, which suits no sentence.
        return (
            self.html()
            .replace("<td>", '<td style="text-align: left">')
            .replace("<th>", '<th style="text-align: left">')
            .replace(f"<th{_SENTENCES}", f'<th style="text-align: left"{_SENTENCES}')
        )


def metrics_table(record: Record) -> Table:
    """Return a row for each split and a column for each metric of a record."""
    rows: dict[str, dict[str, str]] = {}
    for name, value in record.metrics.items():
        split, _, metric = name.partition("_")
        rows.setdefault(split, {"split": split})[metric.replace("_", " ")] = f"{value:.4g}"
    return Table.of(list(rows.values()))
