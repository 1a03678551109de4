"""Where a model stands: by its ledger, and by the workspace's files. No server is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agiwb.artifacts.manifest import check_served_name
from agiwb.errors import NotFoundError
from agiwb.history.entries import HistoryEntry, read_history
from agiwb.history.records import finished, record_of
from agiwb.history.trail import model_names
from agiwb.jobs.job import list_jobs
from agiwb.maintenance.decision import ModelVersion, Standing
from agiwb.maintenance.gate import GateRecord
from agiwb.maintenance.history import Event, history
from agiwb.maintenance.ledger import ledger_of
from agiwb.runs.record import ENDED

RoleName = Literal["champion", "challenger", "previous"]
ROLES: tuple[RoleName, ...] = ("champion", "challenger", "previous")


@dataclass(frozen=True)
class Role:
    """A version that the ledger names.

    Attributes:
        name: What it is.
        version: Which it is.
        made_at: When its run began; None if that is no longer in the workspace.
        metrics: The figures of that run.
    """

    name: RoleName
    version: ModelVersion
    made_at: datetime | None
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Overview:
    """Where a model stands.

    Attributes:
        model: Registered name.
        standing: By the ledger.
        roles: The versions it names.
        gate: The newest comparison of exactly this champion and this challenger; None without one.
        events: What was decided, the oldest first.
        watching: Id of the job that looks after it; None without one.
    """

    model: str
    standing: Standing
    roles: tuple[Role, ...]
    gate: GateRecord | None
    events: tuple[Event, ...]
    watching: str | None

    def role(self, name: RoleName) -> Role | None:
        """Return a role; None if nobody has it."""
        return next((one for one in self.roles if one.name == name), None)


def maintained_models(entries: Sequence[HistoryEntry] | None = None) -> list[str]:
    """Return the models that can be looked after, the newest first."""
    return model_names(read_history() if entries is None else entries)


def overview(model: str, entries: Sequence[HistoryEntry] | None = None) -> Overview:
    """Return where a model stands.

    Args:
        model: Registered name.
        entries: What to look through; by default the workspace's history as it is now.

    Raises:
        InputError: A model cannot be called so.
        WorkspaceError: The ledger was changed by something else, or cannot be read.
    """
    known = read_history() if entries is None else entries
    standing = ledger_of(model).standing()
    by_id = {entry.id: entry for entry in known}
    roles = []
    for name in ROLES:
        version: ModelVersion | None = getattr(standing, name)
        if version is not None:
            entry = by_id.get(version.run_id)
            metrics = {} if entry is None else entry.metrics
            roles.append(Role(name, version, entry.started_at if entry else None, metrics))
    return Overview(
        model=model,
        standing=standing,
        roles=tuple(roles),
        gate=_gate(model, standing, known),
        events=tuple(history(model)),
        watching=_watching(model),
    )


def count_new_labels(seen: Overview, served_as: str | None = None) -> int:
    """Return how many labelled rows were served since the champion's training began.

    Args:
        seen: Of the model.
        served_as: The name it is served under; by default its own.
    """
    from agiwb.monitoring.log import is_logged, join_labels, prediction_folder

    folder = prediction_folder(served_as or check_served_name(seen.model))
    if not is_logged(folder):
        return 0
    champion = seen.role("champion")
    began = champion.made_at if champion is not None else None
    return len(join_labels(folder, -math.inf if began is None else began.timestamp()))


def _gate(model: str, standing: Standing, entries: Sequence[HistoryEntry]) -> GateRecord | None:
    if standing.champion is None or standing.challenger is None:
        return None
    for entry in finished("gate", entries):
        try:
            record = record_of(entry)
        except NotFoundError:  # of another version of agiwb
            continue
        if (
            isinstance(record, GateRecord)
            and record.model_name == model
            and record.champion.version == standing.champion.version
            and record.challenger.version == standing.challenger.version
        ):
            return record
    return None


def _watching(model: str) -> str | None:
    for job in list_jobs():
        status = job.folder.look()
        if status is not None and status.step == "maintain" and status.state not in ENDED:
            config = job.config
            if config.get("model") == model and config.get("watch"):
                return job.id
    return None
