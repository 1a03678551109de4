"""A finished run as it travels between two workspaces that share nothing."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agiwb.errors import NotFoundError, WorkError
from agiwb.runs.execute import CALLER
from agiwb.runs.files import damaged_files
from agiwb.runs.record_file import RECORD_FILE, read_record

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore


@dataclass(frozen=True)
class RunParcel:
    """A run's record and files, by their paths below the run's folder."""

    step: str
    run_id: str
    files: dict[str, bytes]

    def unpack(self, workspace: Path) -> None:
        """Put the run into a workspace, unless it is there.

        Raises:
            WorkError: What arrived is not what the record says; nothing of it is kept.
        """
        target = workspace / "artifacts" / self.step / self.run_id / "artifacts"
        if (target / RECORD_FILE).is_file():
            return
        # As deep as the target, since a record tells its step by its place.
        draft = target.with_name(f".incoming-{uuid.uuid4().hex}")
        try:
            for path, content in self.files.items():
                file = draft / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            record = read_record(draft / RECORD_FILE)
            if damaged := damaged_files(draft, record.run.files):
                raise WorkError(
                    f"Files of run {self.run_id[:8]} were damaged on their way from a worker: "
                    f"{', '.join(damaged)}.",
                    "Run the same command again.",
                )
            try:
                draft.rename(target)
            except OSError:
                if not (target / RECORD_FILE).is_file():  # else somebody was first
                    raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def pack_runs(store: RunStore, run_ids: Iterable[str]) -> list[RunParcel]:
    """Return these finished runs, and those of this workspace that they were made from."""
    parcels: dict[str, RunParcel] = {}
    waiting = list(run_ids)
    while waiting:
        run_id = waiting.pop()
        if run_id in parcels:
            continue
        try:
            run = store.get(run_id).run
        except NotFoundError:  # a parent that has not finished, or was deleted
            continue
        paths = [RECORD_FILE, *(file.path for file in run.files)]
        files = {path: (run.folder / path).read_bytes() for path in paths}
        parcels[run_id] = RunParcel(run.step, run.id, files)
        waiting += [each for name, each in run.provenance.parents.items() if name != CALLER]
    return list(parcels.values())
