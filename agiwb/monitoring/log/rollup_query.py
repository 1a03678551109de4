"""Asking for rollups: files that may be replaced at any moment, and what is in none yet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from agiwb.errors import NotFoundError, WorkError
from agiwb.monitoring.log.cell_reading import Wanted, read_cells
from agiwb.monitoring.log.cells import DAY_S, EVERYTHING, HOUR_S, as_table, count_table
from agiwb.monitoring.log.folder import rollup_places
from agiwb.monitoring.log.profile import Form, Profile, profiles_in
from agiwb.monitoring.log.rolling import fit_missing
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
    by: Literal["hour", "day"] = "hour",
    figures: Sequence[Literal["counts", "sums"]] = ("counts", "sums"),
) -> Rollups:
    """Return the cells of the log in ``folder``, a model's, of the hours from ``start`` to ``end``.

    Args:
        folder: The model's.
        start: Unix time in seconds; the hour it is in is the first.
        end: Unix time in seconds; the last hour begins at it or before.
        version: Rows that this version answered; by default all.
        variant: ``champion``, ``challenger`` or ``load_test``; by default all but the last.
        features: By default all that the profile has.
        slice_name: ``feature=category``; by default all rows.
        profile: By default the newest one.
        live: Whether rows that are not rolled up yet are counted now, so that the last minute is
            in it; otherwise the answer is as old as the last roller.
        by: With ``day``, whole days are read as such: the same sums from a twentieth of the cells.
        figures: What is read of each cell besides how many rows it has: a sketch needs both, a
            histogram the counts, totals neither.

    Raises:
        NotFoundError: Nothing was logged yet.
        WorkError: The files were replaced again and again while they were read.
    """
    wanted = Wanted(
        spans=_spans(start, end, by),
        version=version,
        variant=variant,
        features=None if features is None else frozenset(features),
        slice_name=slice_name,
    )
    for _ in range(_ATTEMPTS):
        try:
            with open_sources(folder) as (segments, parts):
                places = rollup_places(folder)
                chosen = profile or _newest_profile(folder, places, segments, parts)
                found = _files(places, chosen, segments, parts, (start, end))
                if found is None:
                    continue
                files, waiting = found
                fresh = _count_now(chosen, segments, waiting, (start, end)) if live else None
            return Rollups(chosen, read_cells(files, fresh, wanted, figures))
        except FileNotFoundError:  # merged meanwhile
            continue
    raise WorkError(
        f"The rollups in {folder} were replaced each time they were read.", "Try it again."
    )


def _spans(start: float, end: float, by: str) -> dict[int, tuple[tuple[float, float], ...]]:
    """Return for each span the first and the last moment at which cells of it may begin."""
    first = start if math.isinf(start) else math.floor(start / HOUR_S) * HOUR_S
    if by == "hour":
        return {HOUR_S: ((first, end),)}
    day = first if math.isinf(first) else math.ceil(first / DAY_S) * DAY_S
    # An hour that begins at `end` or before is asked for: the last whole day's last hour does.
    after = end if math.isinf(end) else math.floor((end + HOUR_S) / DAY_S) * DAY_S
    if day >= after:
        return {HOUR_S: ((first, end),)}
    return {DAY_S: ((day, after - 1),), HOUR_S: ((first, day - 1), (after, end))}


def _newest_profile(
    folder: Path,
    places: Sequence[Path],
    segments: Sequence[OpenSegment],
    parts: Sequence[Part],
) -> Profile:
    """Return the profile that was made last; of a log that was never rolled up, one for now."""
    kept = profiles_in(*places)
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
    places: Sequence[Path],
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
    folders = [place / profile.identifier for place in places]
    for name in sorted({path.name for folder in folders for path in folder.glob("day=*")}):
        day = name.removeprefix("day=")
        if not _is_between(day, between):
            continue
        for shard in live_shards(*(folder / name for folder in folders)):
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
