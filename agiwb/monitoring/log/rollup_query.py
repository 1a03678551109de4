"""Asking for rollups: files that may be replaced at any moment, and what is in none yet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agiwb.errors import NotFoundError, WorkError
from agiwb.monitoring.log.cells import EVERYTHING, HOUR_S, as_table, cell_schema, count_table
from agiwb.monitoring.log.database import connect, listed
from agiwb.monitoring.log.profile import Form, Profile, profiles_in
from agiwb.monitoring.log.rolling import fit_missing, rollups_of
from agiwb.monitoring.log.rollups import Rollups
from agiwb.monitoring.log.shards import live_shards
from agiwb.monitoring.log.tail import tables_of, tail_of
from agiwb.serving.prediction_log.places import Part, day_of
from agiwb.serving.prediction_log.sources import OpenSegment, open_sources

_ATTEMPTS = 20
"""The files may be replaced while they are read; each time that is what happened."""


def read_rollups(
    folder: Path,
    start: float = -math.inf,
    end: float = math.inf,
    *,
    version: int | None = None,
    variant: str | None = None,
    features: Sequence[str] | None = None,
    slice_name: str = EVERYTHING,
    profile: Profile | None = None,
    live: bool = True,
) -> Rollups:
    """Return the cells of the log in ``folder``, a model's, of the hours from ``start`` to ``end``.

    Args:
        folder: The model's.
        start: Unix time in seconds; the hour it is in is the first.
        end: Unix time in seconds; the last hour begins at it or before.
        version: Rows that this version answered; by default all.
        variant: ``champion`` or ``challenger``; by default both.
        features: By default all that the profile has.
        slice_name: ``feature=category``; by default all rows.
        profile: By default the newest one.
        live: Whether rows that are not rolled up yet are counted now, so that the last minute is
            in it; otherwise the answer is as old as the last roller.

    Raises:
        NotFoundError: Nothing was logged yet.
        WorkError: The files were replaced again and again while they were read.
    """
    import duckdb

    condition, values = _condition(start, end, version, variant, features, slice_name)
    for _ in range(_ATTEMPTS):
        with open_sources(folder) as (segments, parts):
            chosen = profile or _newest_profile(folder, segments, parts)
            found = _files(folder, chosen, segments, parts, (start, end))
            if found is None:
                continue
            files, waiting = found
            fresh = _count_now(chosen, segments, waiting, (start, end)) if live else None
        try:
            return Rollups(chosen, _query(files, fresh, condition, values))
        except duckdb.IOException:  # merged meanwhile
            if all(Path(file).exists() for file in files):
                raise
    raise WorkError(
        f"The rollups in {folder} were replaced each time they were read.", "Try it again."
    )


def _condition(
    start: float,
    end: float,
    version: int | None,
    variant: str | None,
    features: Sequence[str] | None,
    slice_name: str,
) -> tuple[str, list[Any]]:
    """Return what a cell must fulfil, in SQL, and the values in it."""
    wanted: list[tuple[str, Any]] = [("slice = ?", slice_name)]
    if math.isfinite(start):
        wanted.append(("hour >= ?", math.floor(start / HOUR_S) * HOUR_S))
    if math.isfinite(end):
        wanted.append(("hour <= ?", math.floor(end)))
    if version is not None:
        wanted.append(("version = ?", version))
    if variant is not None:
        wanted.append(("variant = ?", variant))
    if features is not None:
        wanted.append(("list_contains(?, feature)", list(features)))
        if len(features) == 1:  # which row groups need not be read can be told from this
            wanted[-1] = ("feature = ?", features[0])
    return " AND ".join(text for text, _ in wanted), [value for _, value in wanted]


def _query(files: Sequence[str], fresh: Any, condition: str, values: list[Any]) -> Any:
    """Return the cells that fulfil the condition, of the files and of those counted just now."""
    tables = []
    if files:
        shards = f"read_parquet({listed(files)}, hive_partitioning = false)"
        tables.append(f"SELECT * FROM {shards}")  # noqa: S608  quoted
    if fresh is not None:
        tables.append("SELECT * FROM fresh")
    if not tables:
        return cell_schema().empty_table()
    with connect() as connection:
        if fresh is not None:
            connection.register("fresh", fresh)
        # The list of files is ours and quoted; the user's values are parameters.
        query = f"SELECT * FROM ({' UNION ALL '.join(tables)}) WHERE {condition}"  # noqa: S608
        return connection.sql(query, params=values).to_arrow_table()


def _newest_profile(
    folder: Path, segments: Sequence[OpenSegment], parts: Sequence[Part]
) -> Profile:
    """Return the profile that was made last; of a log that was never rolled up, one for now."""
    kept = profiles_in(rollups_of(folder))
    if kept:
        return kept[0]
    made: dict[Form, Profile] = {}
    for table in (tail_of(segments), *(table for part in parts[-1:] for table in tables_of(part))):
        if table is not None:
            fit_missing(table, made)
        if made:
            return next(iter(made.values()))
    raise NotFoundError(
        f"No predictions have been logged in {folder}.",
        "Serve the model with `agiwb serve` and send it requests first.",
    )


def _files(
    folder: Path,
    profile: Profile,
    segments: Sequence[OpenSegment],
    parts: Sequence[Part],
    between: tuple[float, float],
) -> tuple[list[str], list[Part]] | None:
    """Return the shards to read, and the parts in none; None if the log has changed meanwhile.

    A part that was made after the log was opened holds rows that are in an open segment, too.
    """
    listed = {(part.day, part.path.name) for part in parts}
    open_ids = {(segment.identifier, segment.covered) for segment in segments}
    files: list[str] = []
    rolled: set[tuple[str, str]] = set()
    for path in sorted((rollups_of(folder) / profile.identifier).glob("day=*")):
        day = path.name.removeprefix("day=")
        if not _is_between(day, between):
            continue
        for shard in live_shards(path):
            files.append(str(shard.path))
            rolled |= {(day, name) for name in shard.sources}
    for day, name in rolled - listed:
        if any(identifier in name and day not in covered for identifier, covered in open_ids):
            return None
    waiting = [
        part
        for part in parts
        if (part.day, part.path.name) not in rolled and _is_between(part.day, between)
    ]
    return files, waiting


def _is_between(day: str, between: tuple[float, float]) -> bool:
    start, end = between
    first = -math.inf if math.isinf(start) else math.floor(start / HOUR_S) * HOUR_S
    earliest = "" if math.isinf(first) else day_of(first)
    latest = "9" if math.isinf(end) else day_of(end)
    return earliest <= day <= latest


def _count_now(
    profile: Profile,
    segments: Sequence[OpenSegment],
    waiting: Sequence[Part],
    between: tuple[float, float],
) -> Any:
    """Return the cells of what is not rolled up yet; None if there is nothing."""
    start, end = between
    # Whole hours, as in the shards.
    first = start if math.isinf(start) else math.floor(start / HOUR_S) * HOUR_S
    last = end if math.isinf(end) else math.floor(end / HOUR_S) * HOUR_S + HOUR_S
    tables = [tail_of(segments, first, last)]
    cells = [cell for table in tables if table is not None for cell in count_table(profile, table)]
    for part in waiting:
        for table in tables_of(part):
            cells += count_table(profile, table)
    return as_table(cells) if cells else None
