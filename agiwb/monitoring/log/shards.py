"""Shards: Parquet files that are there whole or not at all, and that replace each other.

A merged shard names, in its metadata, the shards it replaces (``covers``). It takes effect with the
rename that gives it its name; those it covers are ignored from then on, and deleted afterwards. So
a process may be killed at any moment: no row is lost and none counts twice. ``sources`` is what a
shard was made from, and goes on from shard to shard, so that nothing is taken in again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agiwb.serving.prediction_log.places import DRAFT_SUFFIX
from agiwb.serving.prediction_log.segment import sync_folder

_KEY = b"agiwb.shard"
_LOCK_NAME = ".lock"
_GROUP_ROWS = 64
"""Rows of a group: what a filter does not need is skipped by groups."""

OnStep = Callable[[str], None]
"""Told of each step after it was done."""


@dataclass(frozen=True)
class Shard:
    """A file, the names of the files it replaces, and of what it was made from."""

    path: Path
    covers: frozenset[str]
    sources: frozenset[str]


def live_shards(*folders: Path) -> list[Shard]:
    """Return the shards in folders that no other one replaces, by name; none if they are absent.

    A shard that is in several of them is the same one.
    """
    found = {shard.path.name: shard for folder in reversed(folders) for shard in _shards(folder)}
    shards = [shard for _, shard in sorted(found.items())]
    covered = {name for shard in shards for name in shard.covers}
    return [shard for shard in shards if shard.path.name not in covered]


def write_shard(
    path: Path,
    table: Any,
    *,
    sources: Sequence[str] = (),
    covers: Sequence[str] = (),
    group_rows: int = _GROUP_ROWS,
    on_step: OnStep = lambda _: None,
) -> None:
    """Write a ``pyarrow.Table`` so that ``path`` is there whole, and on the disk, or not at all.

    Raises:
        OSError: The disk is full or fails.
    """
    import pyarrow.parquet as pq

    make_folder(path.parent)
    about = json.dumps({"covers": sorted(covers), "sources": sorted(sources)})
    draft = path.with_name(f".{path.name}{DRAFT_SUFFIX}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            kept = table.replace_schema_metadata({_KEY: about.encode()})
            pq.write_table(kept, stream, compression="zstd", row_group_size=group_rows)
            stream.flush()
            os.fsync(stream.fileno())
        on_step("draft on the disk")
        draft.rename(path)
        on_step("named")
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def merge_shards(
    folder: Path,
    merge: Callable[[Any], Any],
    *,
    beyond: int,
    group_rows: int = _GROUP_ROWS,
    on_step: OnStep = lambda _: None,
) -> None:
    """Make one shard of those in ``folder`` if there are more than ``beyond``; the lock is held.

    Args:
        folder: Where they are.
        merge: Makes one ``pyarrow.Table`` of the tables of all on end.
        beyond: So many stay as they are.
        group_rows: Rows of a group of the file.
        on_step: Told of each step.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    delete_replaced(folder)
    shards = live_shards(folder)
    if len(shards) <= beyond:
        return
    tables = [pq.ParquetFile(shard.path).read() for shard in shards]
    merged = merge(pa.concat_tables(tables, promote_options="default"))
    write_shard(
        folder / f"merged-{secrets.token_hex(8)}.parquet",
        merged,
        sources=sorted({name for shard in shards for name in shard.sources}),
        # With what those replaced: elsewhere they may never have been seen.
        covers=sorted({name for shard in shards for name in (shard.path.name, *shard.covers)}),
        group_rows=group_rows,
        on_step=on_step,
    )
    for shard in shards:
        shard.path.unlink(missing_ok=True)
        on_step("deleted")
    sync_folder(folder)


def delete_replaced(folder: Path) -> None:
    """Delete what a crash left: drafts, and shards that another one has replaced."""
    if not folder.is_dir():
        return
    for draft in folder.glob(f".*{DRAFT_SUFFIX}"):
        draft.unlink(missing_ok=True)
    live = {shard.path for shard in live_shards(folder)}
    for path in folder.glob("*.parquet"):
        if path not in live:
            path.unlink(missing_ok=True)
    sync_folder(folder)


@contextlib.contextmanager
def lock(folder: Path, *, waits: bool) -> Iterator[bool]:
    """Hold the lock of ``folder``, which the kernel frees; yield whether it is ours.

    Args:
        folder: Is made if it is absent.
        waits: Until another process frees it; otherwise the answer may be no.
    """
    make_folder(folder)
    descriptor = os.open(folder / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder for this user alone, and those above it."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)


def _shards(folder: Path) -> Iterator[Shard]:
    import pyarrow.parquet as pq

    for path in sorted(folder.glob("*.parquet")):
        try:
            metadata = pq.read_metadata(path).metadata
        except FileNotFoundError:  # replaced meanwhile
            continue
        about = json.loads((metadata or {}).get(_KEY, b"{}"))
        yield Shard(path, frozenset(about.get("covers", ())), frozenset(about.get("sources", ())))
