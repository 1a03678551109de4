"""The records of TFRecord files, found and checked once, then read from where they lie.

Every record's checksums are confirmed when the files are indexed. A group of a plain file is a
megabyte of consecutive records; later it is read from its place without another look at checksums,
for TensorFlow reads a file from its beginning only. A GZIP file is one group, and shuffles well
only beside others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import SplitName
from agiwb.datasets.parts import Parts, require_state, state_of
from agiwb.datasets.source import Place, Progress
from agiwb.datasets.tfrecord_spec import Spec
from agiwb.errors import DatasetError
from agiwb.tensorflow_quietly import import_tensorflow

_GROUP_BYTES = 1 << 20
_BUFFER_BYTES = 1 << 18
_INDEXED_AT_ONCE = 4096
_FRAME_BYTES = 16
"""Length (8), its checksum (4) and that of the data (4): the framing of each record, see
https://www.tensorflow.org/tutorials/load_data/tfrecord."""

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class RecordGroup:
    """Consecutive records of a file: which bytes, the first one's number, and how many."""

    file: int
    start: int
    stop: int
    first_record: int
    records: int


class TFRecordParts:
    """TFRecord files as one long row of records."""

    def __init__(self, parts: Parts, progress: Progress) -> None:
        self.files = parts.files
        self.splits: tuple[SplitName, ...] | None = parts.splits
        self._compression = ["GZIP" if _is_gzip(file) else "" for file in parts.files]
        self._states = [state_of(file) for file in parts.files]
        self.groups: list[RecordGroup] = []
        for number in range(len(parts.files)):
            self.groups += self._indexed(number)
            progress("checking files", number + 1, len(parts.files))
        if not self.groups:
            raise DatasetError(f"The file {self.files[0]} has no records.", "Give one an example.")
        self.sizes = np.array([group.records for group in self.groups], np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)])

    def place(self, row: int) -> str:
        """Return the file and record of an example; records of a file are counted from 1."""
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        group = self.groups[number]
        record = group.first_record + row - int(self._starts[number]) + 1
        return f"{self.files[group.file]}, record {record}"

    def place_in(self, group: int, start: int) -> Place:
        """Return what says where a row of a batch came from that begins ``start`` in a group."""
        return lambda row: self.place(int(self._starts[group]) + start + row)

    def first_row(self, group: int) -> int:
        """Return the number over all files of a group's first record."""
        return int(self._starts[group])

    def split_of(self, group: int) -> str:
        """Return the split that the user put a group's file into."""
        return self.splits[self.groups[group].file] if self.splits else ""

    def records(self, group: int, batch_rows: int) -> Iterator[NDArray[Any]]:
        """Yield the serialised records of a group, bytes objects ``(records,)``."""
        where = self.groups[group]
        file = self.files[where.file]
        require_state(file, self._states[where.file])
        if not self._compression[where.file]:
            yield from _cut(file, where, batch_rows)
            return
        for batch in self._dataset(where.file).batch(batch_rows):
            yield batch.numpy()

    def columns(self, group: int, spec: Spec, batch_rows: int) -> Iterator[Columns]:
        """Yield features of a group's records, parsed: images as bytes, texts as str.

        Raises:
            DatasetError: A record lacks a feature, or has it of another type or length.
        """
        start = 0
        for records in self.records(group, batch_rows):
            place = self.place_in(group, start)
            parsed = _parsed(records, spec, place)
            yield {name: _texts(values, place) if spec[name].dtype == "string" else values
                   for name, values in parsed.items()}  # fmt: skip
            start += len(records)

    def _dataset(self, file: int) -> Any:
        """Return a ``tf.data.Dataset`` of the records of a file."""
        tf = import_tensorflow()
        return tf.data.TFRecordDataset(
            str(self.files[file]), self._compression[file], _BUFFER_BYTES
        )

    def _indexed(self, file: int) -> list[RecordGroup]:
        """Return the groups of a file, every record's checksums being right.

        Raises:
            DatasetError: One is wrong, or the file ends within a record.
        """
        lengths = self._lengths(file)
        if len(lengths) == 0:
            return []
        size = self.files[file].stat().st_size
        if self._compression[file]:
            return [RecordGroup(file, 0, size, 0, len(lengths))]
        ends = np.cumsum(lengths + _FRAME_BYTES)
        if ends[-1] != size:
            raise self._corrupt(file, len(lengths) + 1, "the file ends within it")
        starts = ends - lengths - _FRAME_BYTES
        firsts = np.unique(starts // _GROUP_BYTES, return_index=True)[1]
        lasts = [*firsts[1:], len(starts)]
        return [
            RecordGroup(
                file, int(starts[first]), int(ends[last - 1]), int(first), int(last - first)
            )
            for first, last in zip(firsts, lasts, strict=True)
        ]

    def _lengths(self, file: int) -> NDArray[np.int64]:
        tf = import_tensorflow()
        lengths = self._dataset(file).map(lambda record: tf.strings.length(record, unit="BYTE"))
        found = [np.empty(0, np.int64)]
        try:
            found += [batch.numpy().astype(np.int64) for batch in lengths.batch(_INDEXED_AT_ONCE)]
        except tf.errors.OpError as error:
            raise self._corrupt(file, self._readable(file) + 1, _reason(error)) from None
        return np.concatenate(found)

    def _readable(self, file: int) -> int:
        """Return how many records come before the first that cannot be read."""
        tf = import_tensorflow()
        count = 0
        try:
            for _ in self._dataset(file):
                count += 1
        except tf.errors.OpError:
            pass
        return count

    def _corrupt(self, file: int, record: int, reason: str) -> DatasetError:
        return DatasetError(
            f"In {self.files[file]}, record {record} cannot be read: {reason}.",
            "Write the file anew as TFRecord, plain or with GZIP.",
        )


class TFRecordRows:
    """One feature, or several as columns, of each record, as ``streaming.StoredRows`` has them."""

    readers = 32

    def __init__(
        self,
        parts: TFRecordParts,
        spec: Spec,
        convert: Callable[[Columns, Place], NDArray[Any]],
        about: str,
    ) -> None:
        from agiwb.datasets.parquet_parts import memory_of

        self.files, self.sizes = parts.files, parts.sizes
        self.about = about
        self._parts, self._spec, self._convert = parts, spec, convert
        first = next(self.read(0, 64))
        self.example = first[:1]
        self.row_bytes = max(1, memory_of(first) // len(first))

    def read(self, group: int, batch_rows: int) -> Iterator[NDArray[Any]]:
        """Yield the features of a group's records, ``batch_rows`` at a time."""
        start = 0
        for columns in self._parts.columns(group, self._spec, batch_rows):
            features = self._convert(columns, self._parts.place_in(group, start))
            yield features
            start += len(features)


def _is_gzip(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(3) == b"\x1f\x8b\x08"


def _cut(file: Path, where: RecordGroup, batch_rows: int) -> Iterator[NDArray[Any]]:
    """Yield the records in some bytes of a plain file."""
    with file.open("rb") as stream:
        stream.seek(where.start)
        data = stream.read(where.stop - where.start)
    at, waiting = 0, []
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        waiting.append(data[at + 12 : at + 12 + length])
        at += length + _FRAME_BYTES
        if len(waiting) == batch_rows or at >= len(data):
            yield np.array(waiting, dtype=object)
            waiting = []


def _parsed(records: NDArray[Any], spec: Spec, place: Place) -> Columns:
    tf = import_tensorflow()
    parsers = {name: feature.parser() for name, feature in spec.items()}
    try:
        parsed = tf.io.parse_example(records, parsers)
    except tf.errors.InvalidArgumentError:
        for row, record in enumerate(records):
            _require_parsable(record, parsers, place(row))
        raise
    return {name: values.numpy() for name, values in parsed.items()}


def _require_parsable(record: bytes, parsers: dict[str, Any], where: str) -> None:
    """Raise DatasetError if a record lacks a feature, or has it of another type or length."""
    tf = import_tensorflow()
    for name, parser in parsers.items():
        try:
            tf.io.parse_single_example(record, {name: parser})
        except tf.errors.InvalidArgumentError as error:
            # TensorFlow says of a missing feature that it "could not be found".
            missing = "could not be found" in str(error)
            shape = f" of shape {tuple(parser.shape)}" if tuple(parser.shape) else ""
            raise DatasetError(
                f"In {where}, the feature `{name}` is "
                f"{'missing' if missing else f'not {parser.dtype.name}{shape}'}.",
                "Mend the record, or describe the features with `feature_spec`.",
            ) from None


def _texts(values: NDArray[Any], place: Place) -> NDArray[Any]:
    texts = np.empty(values.shape, dtype=object)
    for row, value in enumerate(values):
        try:
            texts[row] = value.decode() if values.ndim == 1 else [one.decode() for one in value]
        except UnicodeDecodeError as error:
            raise DatasetError(
                f"In {place(row)}, a text is not UTF-8: {error.reason}.", "Mend the record."
            ) from None
    return texts


def _reason(error: Exception) -> str:
    """Return what TensorFlow says, without the names of its operations."""
    words = str(error).split("}}")[-1].split("[Op:")[0]
    return " ".join(words.split()).replace("' failed with", "").rstrip(".")
