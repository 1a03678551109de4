"""The rows of Parquet files, read a row group at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.arrow_columns import Batch
from agiwb.datasets.parts import Parts, require_state, state_of
from agiwb.datasets.source import Place
from agiwb.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

_STREAM_BYTES = 1 << 18
_PAGE_BYTES = (1 << 20) * 5 // 4
"""Of a column, in each file being read: writers cut pages at 1 MB by default."""

_READERS_BYTES = 96 << 20
_MOST_READERS, _LEAST_READERS = 32, 4


@dataclass(frozen=True)
class RowGroup:
    """A row group: its file, its number in there, its first row there, and its size."""

    file: int
    number: int
    first_row: int
    rows: int
    size_bytes: int


class ParquetParts:
    """Parquet files with the same columns, as one long table."""

    def __init__(self, parts: Parts) -> None:
        self.files = parts.files
        self.splits = parts.splits
        self._states = [state_of(file) for file in parts.files]
        self._metadata = [_metadata(file) for file in parts.files]
        self.schema = self._metadata[0].schema.to_arrow_schema()
        self._require_one_schema()
        self.groups = [
            group
            for number, metadata in enumerate(self._metadata)
            for group in _row_groups(number, metadata)
            if group.rows
        ]
        self.sizes = np.array([group.rows for group in self.groups], np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)])
        if not self.groups:
            raise DatasetError(
                f"The file {self.files[0]} has no rows.", "Give one row for each example."
            )

    @property
    def size_bytes(self) -> int:
        """Size of the data in memory, roughly: uncompressed, as they are encoded."""
        on_disk = sum(file.stat().st_size for file in self.files)
        return max(on_disk, sum(group.size_bytes for group in self.groups))

    def readers(self, columns: list[str]) -> int:
        """Return how many row groups may be read at once: each holds a page of each column."""
        share = len(columns) / max(1, len(self.schema.names))
        largest = max(group.size_bytes for group in self.groups)
        per_reader = max(1, min(int(largest * share), _PAGE_BYTES * len(columns)))
        return max(_LEAST_READERS, min(_MOST_READERS, _READERS_BYTES // per_reader))

    def place(self, row: int) -> str:
        """Return the file and row of an example; rows of a file are counted from 1."""
        number = int(self.groups_of(np.array([row]))[0])
        group, first = self.groups[number], int(self._starts[number])
        return f"{self.files[group.file]}, row {group.first_row + row - first + 1}"

    def groups_of(self, rows: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return the row group that each of ``rows``, counted over all files, is in."""
        return np.searchsorted(self._starts, rows, side="right") - 1

    def place_in(self, group: int, start: int) -> Place:
        """Return what says where a row of a batch came from that begins ``start`` in a group."""
        return lambda row: self.place(int(self._starts[group]) + start + row)

    def batches(self, group: int, columns: list[str], batch_rows: int) -> Iterator[Batch]:
        """Yield the rows of a row group as Arrow record batches, holding a page of each column.

        Raises:
            DatasetError: They cannot be read.
        """
        import pyarrow as pa
        from pyarrow import parquet

        where = self.groups[group]
        path = self.files[where.file]
        require_state(path, self._states[where.file])
        try:
            # OSFile reads this file alone; by its name `a=b` in the path would be a column.
            with (
                pa.OSFile(str(path)) as stream,
                parquet.ParquetFile(
                    stream,
                    metadata=self._metadata[where.file],
                    buffer_size=_STREAM_BYTES,
                    pre_buffer=False,
                    page_checksum_verification=True,
                ) as file,
            ):
                yield from file.iter_batches(batch_rows, [where.number], columns)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DatasetError(
                f"The file {path} is not readable Parquet in rows {where.first_row + 1} to "
                f"{where.first_row + where.rows}: {' '.join(str(error).split()).rstrip('.')}.",
                "Write it anew.",
            ) from None

    def spread_frame(
        self, columns: list[str], groups: int, rows: int
    ) -> tuple[pd.DataFrame, NDArray[np.int64]]:
        """Return rows spread evenly over a few row groups, with their numbers over all files."""
        import pyarrow as pa

        count = min(groups, len(self.groups))
        tables, numbers = [], []
        for group in np.linspace(0, len(self.groups) - 1, count).round().astype(int):
            size = int(self.sizes[group])
            wanted = np.unique(np.linspace(0, size - 1, max(1, rows // count)).astype(np.int64))
            start = 0
            for batch in self.batches(int(group), columns, 16_384):
                inside = wanted[(wanted >= start) & (wanted < start + batch.num_rows)] - start
                if len(inside):
                    tables.append(pa.Table.from_batches([batch.take(pa.array(inside))]))
                    numbers.append(self._starts[group] + start + inside)
                start += batch.num_rows
        frame = pa.concat_tables(tables).to_pandas(ignore_metadata=True)
        return frame, np.concatenate(numbers)

    def largest(self, column: str) -> float | None:
        """Return the largest absolute value of a column, if the files' statistics tell it."""
        found = []
        for group in self.groups:
            described = self._metadata[group.file].row_group(group.number)
            for number in range(described.num_columns):
                chunk = described.column(number)
                if chunk.path_in_schema.partition(".")[0] == column:
                    if not chunk.is_stats_set or not chunk.statistics.has_min_max:
                        return None
                    found += [abs(chunk.statistics.min), abs(chunk.statistics.max)]
        return float(max(found)) if found else None

    def split_of(self, group: int) -> str:
        """Return the split that the user put a row group's file into."""
        return self.splits[self.groups[group].file] if self.splits else ""

    def _require_one_schema(self) -> None:
        for file, metadata in zip(self.files, self._metadata, strict=True):
            schema = metadata.schema.to_arrow_schema()
            if not schema.remove_metadata().equals(self.schema.remove_metadata()):
                other = next(
                    (f"`{name}` of type {schema.field(name).type}" for name in schema.names
                     if name not in self.schema.names
                     or schema.field(name).type != self.schema.field(name).type),
                    f"only {len(schema.names)} columns",
                )  # fmt: skip
                raise DatasetError(
                    f"The file {file} has {other}, unlike {self.files[0]}.",
                    "All parts need the same columns of the same types.",
                )


class ParquetRows:
    """The features of the rows, as ``streaming.StoredRows`` has them."""

    def __init__(
        self,
        parts: ParquetParts,
        columns: list[str],
        convert: Callable[[Batch, Place], NDArray[Any]],
        about: str,
    ) -> None:
        self.files, self.sizes = parts.files, parts.sizes
        self.readers = parts.readers(columns)
        self.about = about
        self._parts, self._columns, self._convert = parts, columns, convert
        first = next(self.read(0, 256))
        self.example = first[:1]
        self.row_bytes = max(1, memory_of(first) // len(first))

    def read(self, group: int, batch_rows: int) -> Iterator[NDArray[Any]]:
        """Yield the features of a row group, ``batch_rows`` at a time."""
        start = 0
        for batch in self._parts.batches(group, self._columns, batch_rows):
            yield self._convert(batch, self._parts.place_in(group, start))
            start += batch.num_rows


def memory_of(features: NDArray[Any]) -> int:
    """Return the bytes that features take, texts included."""
    names = features.dtype.names
    columns = [features[name] for name in names] if names else [features]
    texts = [column for column in columns if column.dtype.kind == "O"]
    # What CPython adds to the characters of a str.
    return features.nbytes + sum(49 + len(str(text)) for column in texts for text in column)


def _metadata(file: Path) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with pa.OSFile(str(file)) as stream:
            return parquet.read_metadata(stream)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DatasetError(
            f"The file {file} is not readable Parquet: {' '.join(str(error).split()).rstrip('.')}.",
            "Write it anew.",
        ) from None


def _row_groups(file: int, metadata: Any) -> Iterator[RowGroup]:
    first = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        yield RowGroup(file, number, first, group.num_rows, group.total_byte_size)
        first += group.num_rows
