"""Rolling up: each part of a model's log is counted once, by the hour, and stays counted.

Below the model's folder of the log::

    rollups/<profile>/profile.json
    rollups/<profile>/day=2026-11-22/part-<ids>.parquet   the cells of the part of that name
    rollups/<profile>/day=2026-11-22/merged-<id>.parquet  those of several

Parts never change, and what a shard was made from is in its metadata, so that a roller that was
killed goes on where it stopped. Rollups outlive the rows that a policy deletes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agiwb.errors import WorkError
from agiwb.monitoring.log.cells import (
    as_table,
    count_table,
    examples_and_requests,
    merge_cells,
)
from agiwb.monitoring.log.profile import (
    Form,
    Profile,
    columns_of,
    fit_profile,
    form_of,
    profiles_in,
    save_profile,
    worth_slicing,
)
from agiwb.monitoring.log.shards import (
    OnStep,
    live_shards,
    lock,
    merge_shards,
    write_shard,
)
from agiwb.monitoring.log.tail import tables_of
from agiwb.serving.prediction_log.places import Part, parts_in

_MOST_FORMS = 8
"""Requests of further forms are not rolled up: texts of any length would have a form each."""
_MOST_SHARDS_A_DAY = 8


@dataclass(frozen=True)
class Rolled:
    """What a roller did: the parts it counted, and the cells it wrote."""

    parts: int = 0
    cells: int = 0


def rollups_of(folder: Path) -> Path:
    """Return where the rollups of the model's log in ``folder`` are."""
    return folder / "rollups"


def roll(folder: Path, on_step: OnStep = lambda _: None) -> Rolled:
    """Count what of the log in ``folder``, a model's, is in Parquet and not counted yet.

    While one roller of a folder runs, another returns at once, with nothing done. A form of
    requests without a profile gets one, from the first part that has such requests. Memory: one
    row group, and the cells of a part.

    Raises:
        WorkError: The disk is full or fails; nothing was lost.
    """
    if not folder.is_dir():
        return Rolled()
    done = Rolled()
    try:
        with lock(rollups_of(folder), waits=False) as is_ours:
            if not is_ours:
                return done
            for part in parts_in(folder):
                cells = _roll_part(folder, part, on_step)
                if cells is not None:
                    done = Rolled(done.parts + 1, done.cells + cells)
            for day in sorted(rollups_of(folder).glob("*/day=*")):
                merge_shards(day, merge_cells, beyond=_MOST_SHARDS_A_DAY, on_step=on_step)
    except OSError as error:
        raise WorkError(
            f"The predictions in {folder} could not be rolled up: {error.strerror or error}.",
            "Nothing is lost; free some space and run it again.",
        ) from error
    return done


def unrolled(folder: Path, profile: Profile, parts: Sequence[Part]) -> list[Part]:
    """Return those of ``parts`` that are not in the rollups of a profile."""
    known = {
        (day, name)
        for day in {part.day for part in parts}
        for shard in live_shards(day_folder(folder, profile, day))
        for name in shard.sources
    }
    return [part for part in parts if (part.day, part.path.name) not in known]


def day_folder(folder: Path, profile: Profile, day: str) -> Path:
    """Return where the rollups of a day are."""
    return rollups_of(folder) / profile.identifier / f"day={day}"


def fit_missing(table: Any, profiles: dict[Form, Profile]) -> list[Profile]:
    """Return profiles for the forms in a table of logged rows that have none; they are added."""
    made = []
    for examples, requests in examples_and_requests(table):
        form = form_of(examples)
        if not form or form in profiles:
            continue
        if len(profiles) >= _MOST_FORMS:
            logging.getLogger("agiwb").warning(
                "Requests of the form %s are not rolled up: there are %d other forms already.",
                form,
                _MOST_FORMS,
            )
            continue
        columns = columns_of(examples, requests["latency_ms"])
        profiles[form] = fit_profile(form, columns, slices=worth_slicing(columns))
        made.append(profiles[form])
    return made


def _roll_part(folder: Path, part: Part, on_step: OnStep) -> int | None:
    """Return how many cells of a part were written; None if it was counted before, or is gone."""
    profiles = {profile.form: profile for profile in profiles_in(rollups_of(folder))}
    wanted = [one for one in profiles.values() if unrolled(folder, one, [part])]
    if profiles and not wanted:
        return None
    cells: dict[str, list[dict[str, Any]]] = {one.identifier: [] for one in wanted}
    rows = 0
    for table in tables_of(part):
        rows += len(table)
        for profile in fit_missing(table, profiles):
            save_profile(rollups_of(folder), profile)
            on_step("profile")
            wanted.append(profile)
            cells[profile.identifier] = []
        for profile in wanted:
            cells[profile.identifier] += count_table(profile, table)
    if not rows:
        return None
    written = 0
    for profile in wanted:
        table = as_table(cells[profile.identifier])
        path = day_folder(folder, profile, part.day) / part.path.name
        write_shard(path, table, sources=[part.path.name], on_step=on_step)
        written += len(table)
    return written
