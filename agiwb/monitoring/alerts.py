"""What a check of served traffic found, kept as the one small file that alerts are made of.

A check that alarms begins an episode, and all checks that alarm after it go on with it: when it
began, which feature led it and in which slice stay as they were then. So an alert keeps its words
for as long as it stands, and Prometheus gets new labels once an episode, not once a check.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from agiwb.errors import WorkspaceError
from agiwb.runs.files import write_atomic
from agiwb.settings import Settings

if TYPE_CHECKING:
    from agiwb.monitoring.monitor import MonitorRecord
    from agiwb.runs.store import RunStore

Kind = Literal["features", "answers", "data quality", "labels", "rows as a whole"]
KINDS: tuple[Kind, ...] = ("features", "answers", "data quality", "labels", "rows as a whole")
ALL_ROWS = "all rows"
_UNUSABLE = "not a number"


class Episode(BaseModel):
    """A time in which one check after the other alarmed.

    Attributes:
        since: When it began, Unix time in seconds: the first hour in which features drifted if the
            hours of the first window could be told apart, else that window's last row.
        feature: The one that led it; "" if no single feature did.
        slice: The one that drifted most, if the whole did not; else where the model was expected
            to be wrong most often, or "all rows".
    """

    model_config = ConfigDict(frozen=True)

    since: float
    feature: str
    slice: str


class Findings(BaseModel):
    """The newest check of one served model.

    Attributes:
        model: Name it is served under.
        version: Whose answers were compared.
        checked_at: Unix time in seconds.
        window_end: Of the newest row, Unix time in seconds.
        rows: Rows that were compared.
        judged: Whether they were enough for a verdict; if not, there is nothing else here.
        changed: What alarms.
        episode: The present one; None without an alarm.
        values: Figures by the name of their metric, after ``agiwb_monitor_``.
        run_id: Run of the monitor step that has the details.
        sentences: Its verdict in words.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    version: int
    checked_at: float
    window_end: float
    rows: int
    judged: bool
    changed: tuple[Kind, ...] = ()
    episode: Episode | None = None
    values: dict[str, float] = {}
    run_id: str
    sentences: tuple[str, ...] = ()


def findings_folder() -> Path:
    """Return where the workspace keeps the newest findings about each model."""
    return Settings().workspace_path / "monitoring"


def publish_findings(record: MonitorRecord, store: RunStore) -> None:
    """Make a check the newest of its model, unless its window ends before one that was told.

    Looking back at last week is therefore no news to whoever is alerted.

    Raises:
        WorkspaceError: The file cannot be written.
    """
    path = findings_folder() / f"{record.model_name}.json"
    before = _read(path)
    if before is not None and record.window_end.timestamp() < before.window_end:
        return
    text = findings_of(record, before, time.time()).model_dump_json(indent=2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text)
    except OSError as error:
        raise WorkspaceError(
            f"What was found about {record.model_name} cannot be written to {path}: {error}.",
            "Make its folder writable, and run `agiwb monitor` again.",
        ) from error


def findings_of(record: MonitorRecord, before: Findings | None, now: float) -> Findings:
    """Return what a check found.

    Args:
        record: Of the check.
        before: What the check before it found; None if there was none.
        now: Unix time in seconds.
    """
    version = record.compared_version
    same = before is not None and before.version == version
    return Findings(
        model=record.model_name,
        version=version,
        checked_at=now,
        window_end=record.window_end.timestamp(),
        rows=record.rows,
        judged=record.judged,
        changed=_changed(record) if record.alarm else (),
        episode=_episode(record, before.episode if before is not None and same else None),
        values=_values(record) if record.judged else {},
        run_id=record.run.id,
        sentences=record.sentences,
    )


def read_findings() -> tuple[list[Findings], int]:
    """Return the newest findings about each model by name, and how many files are unreadable."""
    paths = sorted(findings_folder().glob("*.json"))
    found = [one for path in paths if (one := _read(path)) is not None]
    return found, len(paths) - len(found)


def _read(path: Path) -> Findings | None:
    try:
        return Findings.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _episode(record: MonitorRecord, former: Episode | None) -> Episode | None:
    if not record.judged:
        return former  # too few rows say neither that it is over nor that it goes on
    if not record.alarm:
        return None
    return former or _began(record)


def _began(record: MonitorRecord) -> Episode:
    first = record.hours[0].start if record.hours else record.window_end
    return Episode(
        since=first.timestamp(),
        feature=_leading(record),
        slice=_slice_of(record),
    )


def _leading(record: MonitorRecord) -> str:
    found = (
        *(one.feature for one in record.drifted),
        *(one.feature for one in record.slices if one.drifted_count),
        *(one.feature for one in record.codes),
    )
    return next(iter(found), "")


def _slice_of(record: MonitorRecord) -> str:
    """Return the slice that drifted most, else the one where the model is expected to be worst."""
    drifted = next((one.name for one in record.slices if one.drifted_count), "")
    if drifted and not record.drifted:  # else it is the whole that drifted
        return drifted
    return record.weak_slices[0].rule if record.weak_slices else drifted or ALL_ROWS


def _changed(record: MonitorRecord) -> tuple[Kind, ...]:
    output, performance = record.output, record.performance
    alarms: dict[Kind, bool] = {
        "features": bool(record.drifted or record.codes or record.hours)
        or any(one.drifted_count for one in record.slices),
        "answers": bool(record.changes)
        or (output is not None and (output.score_drifted or output.classes_drifted)),
        "data quality": bool(record.quality),
        "labels": bool(record.loss_changes)
        or (
            performance is not None
            and any(problem.endswith(performance.sentence) for problem in record.problems)
        ),
    }
    alarms["rows as a whole"] = bool(record.anomalies) or not any(alarms.values())
    return tuple(kind for kind in KINDS if alarms[kind])


def _values(record: MonitorRecord) -> dict[str, float]:
    named: dict[str, float | None] = {
        "drifted_features_ratio": record.metrics.get("window_drifted_share"),
        "worst_feature_effect": max(record.effect_sizes, default=None),
        "score_effect": record.metrics.get("window_score_effect"),
        "classes_effect": record.metrics.get("window_classes_effect"),
        "quality_findings": float(len(record.quality)),
        "unusable_rows_ratio": max(
            (one.share for one in record.quality if one.kind == _UNUSABLE), default=0.0
        ),
        "reference_accuracy": record.reference_accuracy,
        **dict(_accuracies(record)),
    }
    # A figure that is no number is none, and a comparison with it would never alert.
    return {
        name: value for name, value in named.items() if value is not None and math.isfinite(value)
    }


def _accuracies(record: MonitorRecord) -> Iterator[tuple[str, float | None]]:
    estimated, labelled = record.estimated_accuracy_interval, record.performance
    yield "estimated_accuracy", record.estimated_accuracy
    if estimated is not None:
        yield "estimated_accuracy_high", estimated.high
    if labelled is not None and labelled.interval is not None and not labelled.chosen:
        yield "labelled_accuracy", labelled.accuracy
        yield "labelled_accuracy_high", labelled.interval.high
