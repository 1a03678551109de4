"""Parquet in one file or many, read into memory or, if it is too large for that, left on disk."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.arrow_columns import Batch, array_rows, table_rows, text_rows
from agiwb.datasets.columns import structured
from agiwb.datasets.dataset import Kind
from agiwb.datasets.description import SourceDescription
from agiwb.datasets.parquet_parts import ParquetParts, ParquetRows
from agiwb.datasets.parts import Parts, find_parts
from agiwb.datasets.roles import Roles, roles_on_disk
from agiwb.datasets.source import Place, Progress, Source
from agiwb.datasets.streamed_source import RowScan, assemble_streamed, is_too_large
from agiwb.datasets.table import TableFile, source_of_table
from agiwb.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = frozenset({".parquet", ".pq"})
_SPLIT = "split"
_JUDGED_ROWS, _JUDGED_GROUPS = 8192, 8
_SCANNED_ROWS = 65_536


def load_parquet(description: SourceDescription, progress: Progress) -> Source:
    """Return the data set in a Parquet file, or in a folder of parts with the same columns.

    It is kind table or text as a file in memory would be; kind array if its features are one
    column of lists of numbers. Types of columns are decided by rows spread over the data.

    Args:
        description: What the user said; ``path`` is a file or a folder.
        progress: Told of the pass over labels and splits.

    Raises:
        DatasetError: A file is corrupt, or the table does not fit; file and row are named.
    """
    found = find_parts(description.path, lambda file: file.suffix.lower() in SUFFIXES)
    parts = ParquetParts(found)
    _require_columns_for_splits(description, parts)
    stays = is_too_large(parts.size_bytes, description.stream)
    array = _array_column(description, parts)
    if not stays and array is None:
        source = source_of_table(description, _whole_table(description, parts))
        return dataclasses.replace(source, notes=(*found.notes, *source.notes))
    return _from_row_groups(description, found, parts, array, progress, stays_on_disk=stays)


@dataclass(frozen=True)
class _TableOfParts(TableFile):
    parts: ParquetParts

    def place(self, index: int) -> str:
        return self.parts.place(int(self.rows[index]))


def _whole_table(description: SourceDescription, parts: ParquetParts) -> TableFile:
    import pandas as pd
    import pyarrow as pa

    names, frames = parts.schema.names, []
    for group in range(len(parts.groups)):
        table = pa.Table.from_batches(parts.batches(group, names, _SCANNED_ROWS))
        frames.append(_with_split(table.to_pandas(ignore_metadata=True), parts, group))
    frame = pd.concat(frames, ignore_index=True)
    return _TableOfParts(description.path, frame, np.arange(len(frame)), parts)


def _from_row_groups(
    description: SourceDescription,
    found: Parts,
    parts: ParquetParts,
    array: str | None,
    progress: Progress,
    *,
    stays_on_disk: bool,
) -> Source:
    table = _judged(description, parts, array)
    notes = list(found.notes)
    roles = roles_on_disk(description, table, array, notes)
    kind, convert = _conversion(parts, table, roles, array, notes)
    judged = (
        f"What each column is was judged by {len(table.frame):,} rows spread over the data."
        if len(table.frame) < parts.sizes.sum()
        else ""
    )
    rows = ParquetRows(
        parts, list(roles.features), convert, f"{convert} {roles} {description.classes}"
    )
    scan = RowScan(roles.label, roles.split, roles.slices, parts.place)
    _scan(scan, parts, progress)
    return assemble_streamed(
        description, rows, scan, kind, [*notes, *([judged] if judged else [])],
        scale=1.0 if array is None else parts.largest(array), stays_on_disk=stays_on_disk,
    )  # fmt: skip


def _judged(description: SourceDescription, parts: ParquetParts, array: str | None) -> TableFile:
    """Return some rows, without columns that only number all rows."""
    lists = _list_columns(parts)
    columns = [name for name in parts.schema.names if name not in lists]
    frame, numbers = parts.spread_frame(columns, _JUDGED_GROUPS, _JUDGED_ROWS)
    if array is not None:
        frame[array] = 0  # long to read, and its role is known
    named = {*description.label, *description.features, *description.slices}
    for name in list(frame.columns):
        values = frame[name].to_numpy()
        counts = values.dtype.kind in "iu" and len(values) > 20
        if counts and name not in named and len(np.unique(values - numbers)) == 1:
            frame = frame.drop(columns=name)
    if parts.splits:
        words = [parts.splits[parts.groups[g].file] for g in parts.groups_of(numbers)]
        frame[_SPLIT] = np.array(words, dtype=object)
    return _TableOfParts(description.path, frame, numbers, parts)


def _conversion(
    parts: ParquetParts, table: TableFile, roles: Roles, array: str | None, notes: list[str]
) -> tuple[Kind, Any]:
    """Return the kind, and what turns a batch into features."""
    if array is not None:
        width = len(next(parts.batches(0, [array], 1)).column(0)[0] or ())
        return "array", _Arrays(array, width)
    if roles.kind == "text":
        return "text", _Texts(roles.features[0])
    return "table", _Table(structured(table, roles.features, notes).dtype)


@dataclass(frozen=True)
class _Arrays:
    name: str
    width: int

    def __call__(self, batch: Batch, place: Place) -> NDArray[Any]:
        return array_rows(batch, self.name, self.width, place)


@dataclass(frozen=True)
class _Texts:
    name: str

    def __call__(self, batch: Batch, place: Place) -> NDArray[Any]:
        return text_rows(batch, self.name)


@dataclass(frozen=True)
class _Table:
    dtype: np.dtype[Any]

    def __call__(self, batch: Batch, place: Place) -> NDArray[Any]:
        return table_rows(batch, self.dtype, place)


def _scan(scan: RowScan, parts: ParquetParts, progress: Progress) -> None:
    import pyarrow as pa

    stored = [name for name in scan.columns if name in parts.schema.names]
    done, total = 0, int(parts.sizes.sum())
    for group in range(len(parts.groups)):
        for batch in parts.batches(group, stored, _SCANNED_ROWS):
            frame = pa.Table.from_batches([batch]).to_pandas(ignore_metadata=True)
            scan.add(_with_split(frame, parts, group))
            done += batch.num_rows
            progress("reading labels", done, total)


def _with_split(frame: pd.DataFrame, parts: ParquetParts, group: int) -> pd.DataFrame:
    if parts.splits:
        frame[_SPLIT] = parts.split_of(group)
    return frame


def _require_columns_for_splits(description: SourceDescription, parts: ParquetParts) -> None:
    if parts.splits and (description.split or _SPLIT in parts.schema.names):
        raise ConfigError(
            f"The files of {description.path} tell their splits by their names, and there is a "
            f"column `{description.split or _SPLIT}` too.",
            "Rename the files or the column, so that one of them decides.",
        )


def _array_column(description: SourceDescription, parts: ParquetParts) -> str | None:
    """Return the column of lists of numbers that the examples are, if they are one."""
    lists = _list_columns(parts)
    if description.text or description.user or description.item:
        return None
    if len(description.features) == 1 and description.features[0] in lists:
        chosen = description.features[0]
    elif description.features or description.kind in {"table", "text", "pairs"} or not lists:
        return None
    elif len(lists) > 1:
        raise DatasetError(
            f"The file {parts.files[0]} has {len(lists)} columns of lists of numbers: "
            f"{', '.join(lists)}.",
            "Name the one to predict from with `features`.",
        )
    else:
        chosen = lists[0]
    if description.kind not in {None, "array"}:
        raise ConfigError(
            f"`kind` cannot be {description.kind} for {description.path}.", "It can be array."
        )
    return chosen


def _list_columns(parts: ParquetParts) -> list[str]:
    from pyarrow import types

    return [
        field.name
        for field in parts.schema
        if (types.is_list(field.type) or types.is_large_list(field.type)
            or types.is_fixed_size_list(field.type))
        and (types.is_floating(field.type.value_type) or types.is_integer(field.type.value_type))
    ]  # fmt: skip
