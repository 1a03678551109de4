"""Bringing a server's log up to the object store, where its fellows' logs are, too.

Rollups add up only if they share a profile. So a server takes over the profiles that are there
before it rolls up; of two that were made at the same moment the newer one wins in the end, because
each server rolls up again what it has not counted by that one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from agiwb.monitoring.log.rolling import rollups_of
from agiwb.monitoring.log.shards import Shard, live_shards, lock
from agiwb.serving.prediction_log.places import end_of, parts_in
from agiwb.serving.prediction_log.policy import LogPolicy
from agiwb.serving.prediction_log.shared import SharedLog

_DAY_S = 86_400


def adopt_profiles(folder: Path, shared: SharedLog) -> None:
    """Take over the profiles that other servers of the model in ``folder`` have brought up.

    Raises:
        WorkspaceError: The object store cannot be used.
    """
    for path in shared.files():
        is_profile = path.startswith("rollups/") and path.endswith("/profile.json")
        if is_profile and not (folder / path).is_file():
            shared.download(path, folder)


def bring_up(folder: Path, shared: SharedLog) -> None:
    """Bring up what is whole of the log in ``folder``, a model's, and not there yet.

    A segment stays where it is until it is compacted. While one process brings up, another returns
    at once, with nothing done. Whoever is killed leaves nothing half, and the rest to the next.

    Raises:
        WorkspaceError: The object store cannot be used.
    """
    with lock(rollups_of(folder), waits=False) as is_ours:
        if not is_ours:
            return
        there = shared.files().keys()
        shards = list(_shards(folder))
        paths = [part.path for part in parts_in(folder)]
        paths += rollups_of(folder).glob("*/profile.json")
        paths += [shard.path for shard in shards]
        for path in paths:
            if (name := path.relative_to(folder).as_posix()) not in there and path.is_file():
                shared.upload(folder, name)
        # Only by what was there before: who has listed the store meanwhile finds all that counts.
        for shard in shards:
            place = shard.path.parent.relative_to(folder)
            if (place / shard.path.name).as_posix() in there:
                for name in {(place / one).as_posix() for one in shard.covers} & there:
                    shared.delete(name)


def bring_up_labels(folder: Path, shared: SharedLog) -> None:
    """Bring up the labels that were added to the log in ``folder``, a model's.

    Raises:
        WorkspaceError: The object store cannot be used.
    """
    there = shared.files().keys()
    for shard in live_shards(folder / "labels"):
        name = shard.path.relative_to(folder).as_posix()
        if name not in there:
            shared.upload(folder, name)


def retain_shared(shared: SharedLog, policy: LogPolicy) -> None:
    """Delete the parts in the object store that are older than the policy keeps them.

    ``keep_bytes`` is about a server's own disk alone. Rollups stay.

    Raises:
        WorkspaceError: The object store cannot be used.
    """
    if policy.keep_days is None:
        return
    oldest = time.time() - policy.keep_days * _DAY_S
    for part in shared.parts():
        if end_of(part.day) < oldest:
            part.store.delete(part.path.as_posix())


def _shards(folder: Path) -> Iterator[Shard]:
    for place in (*sorted(rollups_of(folder).glob("*/day=*")), folder / "labels"):
        with contextlib.suppress(FileNotFoundError):
            yield from live_shards(place)
