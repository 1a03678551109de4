"""Reading cells of rollups: of each file only the row groups and the columns that are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from agiwb.monitoring.log.cells import FIGURES, cell_schema
from agiwb.serving.prediction_log.prediction import LOAD_TEST, Variant

_CLIENTS = frozenset(get_args(Variant)) - {LOAD_TEST}


@dataclass(frozen=True)
class Wanted:
    """What a cell must be.

    Attributes:
        spans: For each span in seconds, pairs of the first and the last Unix time at which a cell
            may begin; pairs of which the first is later hold none.
        version: The version that answered; by default any.
        variant: ``champion``, ``challenger`` or ``load_test``; by default all but the last.
        features: Their names; by default any.
        slice_name: The slice.
    """

    spans: Mapping[int, Sequence[tuple[float, float]]]
    version: int | None
    variant: str | None
    features: frozenset[str] | None
    slice_name: str

    def holds(self, cells: Any) -> Any:
        """Return which cells of a ``pyarrow.Table`` are wanted, an array of booleans."""
        spans, hours = cells["span"].to_numpy(), cells["hour"].to_numpy()
        kept = np.zeros(len(cells), bool)
        for span, pairs in self.spans.items():
            for first, last in pairs:
                kept |= (spans == span) & (hours >= first) & (hours <= last)
        if self.version is not None:
            kept &= cells["version"].to_numpy() == self.version
        for name, values in self._texts():
            if kept.any():
                texts = cells[name].to_pylist()
                kept &= np.fromiter((text in values for text in texts), bool, len(texts))
        return kept

    def may_be_in(self, group: Any, place_of: Mapping[str, int]) -> bool:
        """Return whether a row group, by its metadata, may hold a wanted cell."""
        ranges = {
            name: (statistics.min, statistics.max)
            for name in ("span", "hour", "version", "slice", "variant", "feature")
            if (statistics := group.column(place_of[name]).statistics) is not None
            and statistics.has_min_max
        }

        def overlaps(name: str, first: Any, last: Any) -> bool:
            low, high = ranges.get(name, (first, last))
            return bool(low <= last and first <= high and first <= last)

        return (
            any(
                overlaps("span", span, span) and overlaps("hour", *pair)
                for span, pairs in self.spans.items()
                for pair in pairs
            )
            and (self.version is None or overlaps("version", self.version, self.version))
            and all(
                any(overlaps(name, value, value) for value in values)
                for name, values in self._texts()
            )
        )

    def _texts(self) -> list[tuple[str, frozenset[str]]]:
        found = [("slice", frozenset({self.slice_name}))]
        found.append(("variant", _CLIENTS if self.variant is None else frozenset({self.variant})))
        if self.features is not None:
            found.append(("feature", self.features))
        return found


def read_cells(files: Sequence[str], fresh: Any, wanted: Wanted, figures: Sequence[str]) -> Any:
    """Return the wanted cells as a ``pyarrow.Table``.

    Args:
        files: Shards.
        fresh: Cells that are in none, or None.
        wanted: Which.
        figures: The columns of bytes to read.

    Raises:
        FileNotFoundError: A file was replaced meanwhile.
    """
    import pyarrow as pa

    schema = cell_schema()
    names = [name for name in schema.names if name not in FIGURES or name in figures]
    found = [pa.schema([schema.field(name) for name in names]).empty_table()]
    for file in files:
        found += _read_file(file, wanted, names)
    if fresh is not None:
        found.append(fresh.select(names).filter(pa.array(wanted.holds(fresh))))
    return pa.concat_tables(found)


def _read_file(path: str, wanted: Wanted, names: list[str]) -> list[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        metadata = file.metadata
        place_of = {name: place for place, name in enumerate(file.schema_arrow.names)}
        groups = [
            index
            for index in range(metadata.num_row_groups)
            if wanted.may_be_in(metadata.row_group(index), place_of)
        ]
        if not groups:
            return []
        table = file.read_row_groups(groups, columns=names, use_threads=False)
    table = table.replace_schema_metadata(None)
    kept = wanted.holds(table)
    return [table if kept.all() else table.filter(pa.array(kept))]
