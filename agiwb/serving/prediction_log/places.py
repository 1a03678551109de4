"""Where the log of a model keeps what.

Its folder::

    <workspace>/predictions/<model>/
        seg-<UTC time>-<id>.bin                 a segment; its writer holds a lock on it
        day=2026-11-22/part-<id>-<id>.parquet   the rows of that day (UTC) of those segments
        .compaction.lock

A segment's id is 12 hexadecimal digits, and a part's name has the ids of all segments in it. So
what of a segment is in Parquet already can be told from names alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LOCK_NAME = ".compaction.lock"
DRAFT_SUFFIX = ".tmp"

_SEGMENT = re.compile(r"seg-(?P<time>[0-9T.]+)-(?P<id>[0-9a-f]{12})\.bin")
_PART = re.compile(r"part(?P<ids>(-[0-9a-f]{12})+)\.parquet")
_DAY = re.compile(r"day=(\d{4}-\d{2}-\d{2})")
_DAY_S = 86_400


@dataclass(frozen=True)
class Part:
    """A Parquet file: the rows of ``day`` (an ISO date, UTC) of the segments in ``ids``."""

    path: Path
    day: str
    ids: frozenset[str]

    @property
    def address(self) -> str:
        """What DuckDB calls the file."""
        return str(self.path)

    def open(self) -> Any:
        """Return its ``ParquetFile``; raise FileNotFoundError if it was deleted."""
        import pyarrow.parquet as pq

        return pq.ParquetFile(self.path)

    def exists(self) -> bool:
        """Return whether it was not deleted."""
        return self.path.exists()


def folder_of(predictions: Path, model: str) -> Path:
    """Return the folder of a model's log; its name is the model's, made safe for a file."""
    name = model.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")
    return predictions / (name if name.strip(".") else name.replace(".", "%2E"))


def segment_name(now: float, identifier: str) -> str:
    """Return the file name of a segment begun at ``now``, Unix time in seconds."""
    return f"seg-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%S.%f}-{identifier}.bin"


def segments_in(folder: Path) -> list[Path]:
    """Return the segments in ``folder``, the one begun first as the first."""
    return sorted(path for path in folder.glob("seg-*.bin") if _SEGMENT.fullmatch(path.name))


def id_of(segment: Path) -> str:
    """Return a segment's id."""
    return segment.stem.rpartition("-")[2]


def part_name(ids: list[str]) -> str:
    """Return the file name of the part that holds the segments ``ids``."""
    return f"part-{'-'.join(ids)}.parquet"


def parts_in(folder: Path) -> list[Part]:
    """Return the complete parts in ``folder``, by day."""
    found = map(part_at, sorted(folder.glob("day=*/part-*.parquet")))
    return [part for part in found if part]


def part_at(path: Path) -> Part | None:
    """Return the part that a path, which need not be of a file here, names; None if it is none."""
    part, day = _PART.fullmatch(path.name), _DAY.fullmatch(path.parent.name)
    return Part(path, day[1], frozenset(part["ids"][1:].split("-"))) if part and day else None


def day_of(time: float) -> str:
    """Return the day in UTC, as an ISO date, of a Unix time in seconds."""
    return datetime.fromtimestamp(time // _DAY_S * _DAY_S, UTC).date().isoformat()


def end_of(day: str) -> float:
    """Return the Unix time in seconds at which a day ends."""
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() + _DAY_S
