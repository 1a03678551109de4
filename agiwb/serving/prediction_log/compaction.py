"""Compaction: segments that nobody writes any more become Parquet, sorted by time.

For each day a draft is written, reaches the disk, takes its name, and the name reaches the disk;
only then are the segments deleted. A part's name has the ids of the segments in it, so whatever is
repeated after a crash, no row is lost and none is there twice.

Run it with ``python -m agiwb.serving.prediction_log.compaction FOLDER...``.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import logging
import mmap
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agiwb.errors import AgiwbError, ServingError
from agiwb.serving.prediction_log.columns import Columns, LoggedRow
from agiwb.serving.prediction_log.frame import payload_at, read_frames
from agiwb.serving.prediction_log.payload import decode_prediction
from agiwb.serving.prediction_log.places import (
    DRAFT_SUFFIX,
    LOCK_NAME,
    day_of,
    id_of,
    part_name,
    parts_in,
    segments_in,
)
from agiwb.serving.prediction_log.policy import LogPolicy
from agiwb.serving.prediction_log.retention import delete_drafts, retain
from agiwb.serving.prediction_log.segment import sync_folder, warn_of_damage

_SEGMENTS_A_PART = 16
"""So that the ids fit in a file's name."""
_BYTES_A_PART = 256 << 20
_ROWS_A_GROUP, _BYTES_A_GROUP = 8192, 32 << 20

OnStep = Callable[[str], None]
"""Told of each step after it was done."""


@dataclass(frozen=True)
class Compacted:
    """What a compaction did: the segments and rows that are in Parquet now, and in which files."""

    segments: int = 0
    rows: int = 0
    parts: tuple[Path, ...] = ()


@dataclass(frozen=True)
class _Sealed:
    """A segment under our lock."""

    path: Path
    descriptor: int
    size: int

    @property
    def identifier(self) -> str:
        return id_of(self.path)


@dataclass
class _Content:
    """What is in some sealed segments: by day, the rows' times, segments and offsets."""

    columns: Columns
    rows: dict[str, list[tuple[float, int, int]]]
    damaged: set[Path]
    unreadable: set[Path]


def compact(
    folder: Path, policy: LogPolicy | None = None, on_step: OnStep | None = None
) -> Compacted:
    """Compact the log of one model, then delete what the policy does not keep.

    While one compaction of a folder runs, another returns at once, with nothing done. Memory: some
    40 bytes a row of at most 256 MB of segments, and 32 MB of rows.

    Raises:
        ServingError: The disk is full or fails; nothing was lost.
    """
    tell = on_step or (lambda _: None)
    if not folder.is_dir():
        return Compacted()
    done = Compacted()
    try:
        with _lock(folder) as is_ours:
            if not is_ours:
                return done
            delete_drafts(folder)
            for group in _groups(folder):
                more = _compact_group(folder, group, tell)
                done = Compacted(
                    done.segments + more.segments, done.rows + more.rows, done.parts + more.parts
                )
            retain(folder, policy or LogPolicy(), time.time())
    except OSError as error:
        raise ServingError(
            f"The predictions in {folder} could not be compacted: {error.strerror or error}.",
            "Nothing is lost; free some space and run it again.",
        ) from error
    return done


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _groups(folder: Path) -> Iterator[list[_Sealed]]:
    """Yield the segments without a writer, locked, as many at a time as go into one part."""
    group: list[_Sealed] = []
    try:
        for path in segments_in(folder):
            segment = _seize(path)
            if segment is None:
                continue
            size = sum(its.size for its in group) + segment.size
            if group and (len(group) == _SEGMENTS_A_PART or size > _BYTES_A_PART):
                try:
                    yield group
                finally:
                    _release(group)
                    group = [segment]
            else:
                group.append(segment)
        if group:
            yield group
    finally:
        _release(group)


def _release(group: Sequence[_Sealed]) -> None:
    for segment in group:
        os.close(segment.descriptor)


def _seize(path: Path) -> _Sealed | None:
    """Return the segment, or None if it is still written."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return _Sealed(path, descriptor, os.fstat(descriptor).st_size)


def _compact_group(folder: Path, group: Sequence[_Sealed], tell: OnStep) -> Compacted:
    views = [_view(segment) for segment in group]
    content = _index(group, views, {(part.day, i) for part in parts_in(folder) for i in part.ids})
    written = []
    for day, rows in content.rows.items():
        rows.sort(key=lambda row: (row[0], int(group[row[1]].identifier, 16), row[2]))
        part = folder / f"day={day}" / part_name(sorted({group[row[1]].identifier for row in rows}))
        _write_part(part, content.columns, _decoded(group, views, rows), tell)
        written.append(part)
    ready = [segment for segment in group if segment.path not in content.unreadable]
    for segment in ready:
        if segment.path in content.damaged:
            segment.path.rename(segment.path.with_suffix(".damaged"))
        else:
            segment.path.unlink(missing_ok=True)
        tell("deleted")
    sync_folder(folder)
    return Compacted(len(ready), sum(map(len, content.rows.values())), tuple(written))


def _view(segment: _Sealed) -> memoryview:
    if segment.size == 0:
        return memoryview(b"")
    return memoryview(mmap.mmap(segment.descriptor, 0, access=mmap.ACCESS_READ))


def _index(
    group: Sequence[_Sealed], views: Sequence[memoryview], covered: set[tuple[str, str]]
) -> _Content:
    """Return the rows that are not in Parquet yet: ``covered`` are the days and ids that are."""
    content = _Content(Columns(), {}, set(), set())
    for which, (segment, view) in enumerate(zip(group, views, strict=True)):

        def on_damage(start: int, end: int, path: Path = segment.path) -> None:
            content.damaged.add(path)
            warn_of_damage(path, start, end)

        found: list[tuple[str, float, int]] = []
        columns = content.columns
        try:
            for offset, payload in read_frames(view, on_damage):
                prediction = decode_prediction(payload)
                columns.add(prediction)
                found.append((day_of(prediction.time), prediction.time, offset))
        except (ValueError, OverflowError) as error:
            content.unreadable.add(segment.path)
            logging.getLogger("agiwb").warning("%s stays: %s.", segment.path, error)
            continue
        for day, moment, offset in found:
            if (day, segment.identifier) not in covered:
                content.rows.setdefault(day, []).append((moment, which, offset))
    return content


def _decoded(
    group: Sequence[_Sealed], views: Sequence[memoryview], rows: list[tuple[float, int, int]]
) -> Iterator[LoggedRow]:
    for _, which, offset in rows:
        payload = payload_at(views[which], offset)
        if payload is None:
            raise OSError(f"{group[which].path} changed while it was read")
        yield LoggedRow(group[which].identifier, offset, decode_prediction(payload))


def _write_part(part: Path, columns: Columns, rows: Iterator[LoggedRow], tell: OnStep) -> None:
    """Write the rows so that the file is there whole or not at all, whenever the power fails."""
    import pyarrow.parquet as pq

    if not part.parent.exists():
        part.parent.mkdir(mode=0o700)
        sync_folder(part.parent.parent)
    draft = part.with_name(part.name + DRAFT_SUFFIX)
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            with pq.ParquetWriter(stream, columns.schema, compression="zstd") as writer:
                for batch in _batches(rows):
                    writer.write_batch(columns.batch(batch), row_group_size=len(batch))
                tell("written")
            stream.flush()
            os.fsync(stream.fileno())
        tell("draft on the disk")
        draft.rename(part)
        tell("named")
        sync_folder(part.parent)
        tell("name on the disk")
    finally:
        draft.unlink(missing_ok=True)


def _batches(rows: Iterator[LoggedRow]) -> Iterator[list[LoggedRow]]:
    batch: list[LoggedRow] = []
    size = 0
    for row in rows:
        batch.append(row)
        tensors = [*row.prediction.inputs.values(), *row.prediction.outputs.values()]
        size += sum(array.nbytes for array in tensors)
        if len(batch) == _ROWS_A_GROUP or size >= _BYTES_A_GROUP:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def main(arguments: Sequence[str] | None = None) -> int:
    """Compact each folder named, one a model, by a policy given as JSON; return 0 or 1."""
    parser = argparse.ArgumentParser(prog="agiwb.serving.prediction_log.compaction")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--policy", default="{}", help="as JSON")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        policy = LogPolicy.from_mapping(json.loads(options.policy))
        for folder in options.folders:
            compact(folder, policy)
    except AgiwbError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
