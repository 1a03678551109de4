"""TFRecord in one file or many, read into memory or, if it is too large for that, left on disk."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.columns import structured, texts_of
from agiwb.datasets.dataset import Kind
from agiwb.datasets.description import SourceDescription
from agiwb.datasets.encoded_images import decoded_images, look_of
from agiwb.datasets.parts import find_parts
from agiwb.datasets.roles import Roles, roles_on_disk
from agiwb.datasets.source import Place, Progress, Source, require_kind
from agiwb.datasets.streamed_source import RowScan, assemble_streamed, is_too_large
from agiwb.datasets.table import TableFile, source_of_table
from agiwb.datasets.tfrecord_parts import Columns, TFRecordParts, TFRecordRows
from agiwb.datasets.tfrecord_spec import JUDGED_RECORDS, Feature, Spec, infer_spec, read_spec
from agiwb.errors import ConfigError, DatasetError

_NAME = re.compile(r"\.tfrecords?(\.gz|-\d+-of-\d+)?$|\.tfrec$", re.IGNORECASE)
_SPLIT = "split"
_JUDGED_ROWS, _JUDGED_GROUPS = 8192, 32
_BATCH_ROWS = 1024
_KINDS_BY_DIMENSIONS: dict[int, tuple[Kind, ...]] = {
    1: ("array",),
    2: ("image", "sequence", "array"),
    3: ("image", "array"),
}


def load_tfrecord(description: SourceDescription, progress: Progress) -> Source:
    """Return the data set in a TFRecord file, or in a folder of them; plain or GZIP.

    Records are ``tf.train.Example`` messages. If one of their features is an image or an array of
    numbers, that is the example, and the label is another feature. Else they are rows of a table,
    for which all holds that holds of other tables.

    Args:
        description: What the user said; ``path`` is a file or a folder.
        progress: Told of the pass over files, labels and splits.

    Raises:
        DatasetError: A file is corrupt, or a record lacks a feature or has it of another type; file
            and record are named.
        ConfigError: The description contradicts itself.
    """
    found = find_parts(description.path, lambda file: bool(_NAME.search(file.name)))
    parts = TFRecordParts(found, progress)
    spec, notes = _spec(description.feature_spec, parts)
    notes = [*found.notes, *notes]
    if parts.splits and (description.split or _SPLIT in spec):
        raise ConfigError(
            f"The files of {description.path} tell their splits by their names, and there is a "
            f"feature `{description.split or _SPLIT}` too.",
            "Rename the files or the feature, so that one of them decides.",
        )
    array = _array_feature(description, spec)
    large = is_too_large(found.size_bytes, description.stream)
    if array is None and not large:
        table = _table(description, parts, spec, None)
        source = source_of_table(description, table)
        return dataclasses.replace(source, notes=(*notes, *source.notes))
    table = _table(description, parts, spec, _JUDGED_ROWS)
    if array is not None:
        table.frame[array] = 0  # its role is known
    roles = roles_on_disk(description, table, array, notes)
    kind, rows = _rows(description, parts, spec, array, roles, table, notes)
    in_memory_bytes = rows.row_bytes * int(rows.sizes.sum())
    scan = RowScan(roles.label, roles.split, roles.slices, parts.place)
    _scan(scan, parts, spec, progress)
    scale = 255.0 if kind == "image" and _is_encoded(spec, array) else None
    return assemble_streamed(
        description, rows, scan, kind, notes,
        scale=1.0 if array is None else scale,
        stays_on_disk=large or is_too_large(in_memory_bytes, description.stream),
    )  # fmt: skip


@dataclass(frozen=True)
class _TableOfRecords(TableFile):
    parts: TFRecordParts

    def place(self, index: int) -> str:
        return self.parts.place(int(self.rows[index]))


def _spec(feature_spec: Path | None, parts: TFRecordParts) -> tuple[Spec, list[str]]:
    if feature_spec is not None:
        return read_spec(feature_spec), []
    first = next(parts.records(0, JUDGED_RECORDS))
    spec, notes = infer_spec(list(first), str(parts.files[0]))
    if not spec:
        raise DatasetError(
            f"The records of {parts.files[0]} have no features that can be used. {' '.join(notes)}",
            "Describe them with `feature_spec`.",
        )
    return spec, notes


def _array_feature(description: SourceDescription, spec: Spec) -> str | None:
    """Return the feature that is the example, if that is an image or an array."""
    arrays = [name for name, feature in spec.items() if not feature.is_scalar]
    if description.features:
        arrays = [name for name in arrays if name in description.features]
    if not arrays or description.text or description.kind in {"table", "text", "pairs"}:
        return None
    if len(arrays) > 1 or len(description.features) > 1:
        raise DatasetError(
            f"The records of {description.path} have {len(arrays)} features that are images or "
            f"arrays: {', '.join(arrays)}.",
            "Name the one to predict from with `features`.",
        )
    return arrays[0]


def _table(
    description: SourceDescription, parts: TFRecordParts, spec: Spec, rows: int | None
) -> TableFile:
    """Return the features of one value each: of all records, or of some, spread over them."""
    import pandas as pd

    scalars = {name: feature for name, feature in spec.items() if feature.is_scalar}
    groups = np.arange(len(parts.groups))
    if rows is not None and len(groups) > _JUDGED_GROUPS:
        groups = groups[np.linspace(0, len(groups) - 1, _JUDGED_GROUPS).round().astype(int)]
    frames, numbers = [], []
    for group in groups.tolist():
        start = parts.first_row(group)
        for columns in parts.columns(group, scalars, _BATCH_ROWS):
            count = len(next(iter(columns.values()))) if columns else 0
            frame = _with_split(pd.DataFrame(columns), parts, group)
            kept = np.arange(count)
            if rows is not None:
                stride = max(1, int(parts.sizes[groups].sum()) // rows)
                kept = kept[(start + kept) % stride == 0]
            frames.append(frame.iloc[kept])
            numbers.append(start + kept)
            start += count
    if not frames or not scalars:
        raise DatasetError(
            f"The records of {description.path} have no feature that could be a label.",
            "Give each record a label.",
        )
    frame = pd.concat(frames, ignore_index=True)
    return _TableOfRecords(description.path, frame, np.concatenate(numbers), parts)


def _rows(
    description: SourceDescription,
    parts: TFRecordParts,
    spec: Spec,
    array: str | None,
    roles: Roles,
    table: TableFile,
    notes: list[str],
) -> tuple[Kind, TFRecordRows]:
    """Return the kind, and the features of each record on disk."""
    wanted = {name: spec[name] for name in roles.features}
    convert: Any
    kind: Kind = roles.kind
    if array is None:
        is_text = roles.kind == "text"
        dtype = None if is_text else structured(table, roles.features, notes).dtype
        convert = _Columns(roles.features, dtype)
    elif _is_encoded(spec, array):
        require_kind(description, "image")
        first = next(parts.columns(0, wanted, 1))[array][0]
        height, width, channels = look_of(first, parts.place(0))
        size = description.image_size or (height, width)
        kind = "image"
        convert = _Images(array, size, channels, resize=description.image_size is not None)
    else:
        kind = _kind_of_array(description, spec[array])
        convert = _Arrays(array)
    return kind, TFRecordRows(parts, wanted, convert, f"{convert} {wanted} {roles}")


def _kind_of_array(description: SourceDescription, feature: Feature) -> Kind:
    possible = _KINDS_BY_DIMENSIONS.get(len(feature.shape), ("array",))
    require_kind(description, *possible)
    return description.kind or possible[0]


def _is_encoded(spec: Spec, array: str | None) -> bool:
    return array is not None and spec[array].dtype == "image"


@dataclass(frozen=True)
class _Columns:
    names: tuple[str, ...]
    dtype: np.dtype[Any] | None

    def __call__(self, columns: Columns, place: Place) -> NDArray[Any]:
        import pandas as pd

        if self.dtype is None:
            return columns[self.names[0]]
        rows = np.empty(len(columns[self.names[0]]), self.dtype)
        for name in self.names:
            is_text = self.dtype[name].kind == "O"
            rows[name] = texts_of(pd.Series(columns[name])) if is_text else columns[name]
            if not is_text and np.isinf(rows[name]).any():
                row = int(np.flatnonzero(np.isinf(rows[name]))[0])
                raise DatasetError(
                    f"In {place(row)}, the feature `{name}` is infinite.", "Mend the record."
                )
        return rows


@dataclass(frozen=True)
class _Arrays:
    name: str

    def __call__(self, columns: Columns, place: Place) -> NDArray[Any]:
        values = columns[self.name].astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0])
            raise DatasetError(
                f"In {place(row)}, the feature `{self.name}` holds NaN or infinity.",
                "Clean the data.",
            )
        return values


@dataclass(frozen=True)
class _Images:
    name: str
    size: tuple[int, int]
    channels: int
    resize: bool

    def __call__(self, columns: Columns, place: Place) -> NDArray[Any]:
        return decoded_images(
            columns[self.name], self.size, self.channels, place, resize=self.resize
        )


def _scan(scan: RowScan, parts: TFRecordParts, spec: Spec, progress: Progress) -> None:
    import pandas as pd

    wanted = {name: spec[name] for name in scan.columns if name in spec}
    done, total = 0, int(parts.sizes.sum())
    for group in range(len(parts.groups)):
        for columns in parts.columns(group, wanted, 8 * _BATCH_ROWS):
            frame = pd.DataFrame(columns)
            scan.add(_with_split(frame, parts, group))
            done += len(frame)
            progress("reading labels", done, total)


def _with_split(frame: Any, parts: TFRecordParts, group: int) -> Any:
    if parts.splits:
        frame[_SPLIT] = parts.split_of(group)
    return frame
