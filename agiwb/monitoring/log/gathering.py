"""One log of what several servers have logged, each in a place of its own.

A part's name has the ids of the segments in it, which no other server's can have, so parts of any
number of servers lie side by side, and to gather again brings only what is new.

Run it with ``python -m agiwb.monitoring.log.gathering FOLDER... --into FOLDER``, each a model's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agiwb.errors import AgiwbError, InputError, WorkError
from agiwb.monitoring.log.profile import profiles_in, save_profile
from agiwb.monitoring.log.rolling import roll, rollups_of
from agiwb.monitoring.log.shards import make_folder
from agiwb.serving.prediction_log.compaction import compact
from agiwb.serving.prediction_log.places import Part, parts_in
from agiwb.serving.prediction_log.segment import sync_folder


@dataclass(frozen=True)
class Gathered:
    """What was brought: parts, and cells that were counted of them."""

    parts: int = 0
    cells: int = 0


def gather(places: Sequence[Path], into: Path) -> Gathered:
    """Bring what is logged in ``places`` to the log ``into``, and roll it up there.

    Each place is compacted first; what a server still writes stays where it is until next time.
    Bins and categories are those of ``into``, or else of the first place that has any, so that the
    rows of all are counted by the same ones, and every row once.

    Raises:
        InputError: A place is no folder, or is ``into`` itself.
        ServingError, WorkError: The disk is full or fails; nothing was lost.
    """
    for place in places:
        if not place.is_dir():
            raise InputError(f"There is no log in {place}.", "Give the folder of one model's log.")
        if into.exists() and into.samefile(place):
            raise InputError(f"{place} cannot be gathered into itself.", "Give another folder.")
    brought = 0
    try:
        make_folder(into)
        for place in places:
            compact(place)
            _bring_profiles(place, into)
            for part in parts_in(place):
                brought += _bring(part, into / part.path.parent.name / part.path.name)
    except OSError as error:
        raise WorkError(
            f"The logs could not be gathered into {into}: {error.strerror or error}.",
            "Nothing is lost; free some space and run it again.",
        ) from error
    return Gathered(brought, roll(into).cells)


def _bring_profiles(place: Path, into: Path) -> None:
    known = {profile.form for profile in profiles_in(rollups_of(into))}
    for profile in profiles_in(rollups_of(place)):
        if profile.form not in known:
            make_folder(rollups_of(into))
            save_profile(rollups_of(into), profile)


def _bring(part: Part, target: Path) -> bool:
    """Make ``target`` the same file as ``part``, or a copy on another file system, as a whole."""
    if target.exists():
        return False
    make_folder(target.parent)
    draft = target.with_name(f".{uuid.uuid4().hex}.brought")
    try:
        try:
            os.link(part.path, draft)
        except OSError:
            shutil.copyfile(part.path, draft)
        draft.rename(target)
        sync_folder(target.parent)
    finally:
        draft.unlink(missing_ok=True)
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Gather the folders named; return 0, or the exit code of what went wrong."""
    parser = argparse.ArgumentParser(prog="agiwb.monitoring.log.gathering")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--into", required=True, type=Path)
    options = parser.parse_args(arguments)
    try:
        done = gather(options.folders, options.into)
    except AgiwbError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{done.parts} parts were brought to {options.into}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
