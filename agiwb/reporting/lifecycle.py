"""The life cycle of one model on one page: a single HTML file that needs nothing but a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from agiwb.compression.sweep import SweepRecord
from agiwb.conversion.convert import ConvertRecord
from agiwb.evaluation.record import EvaluateRecord
from agiwb.history.entries import HistoryEntry, read_history
from agiwb.history.records import find_record, records_from
from agiwb.monitoring.monitor import MonitorRecord
from agiwb.reporting.compression import candidate_table, plot_tradeoff
from agiwb.reporting.conversion import parity_table, plot_parity
from agiwb.reporting.evaluation import plot_slices, slice_table
from agiwb.reporting.examples import plot_examples
from agiwb.reporting.monitoring import plot_drift
from agiwb.reporting.page import Section, render
from agiwb.reporting.tables import metrics_table
from agiwb.reporting.training import plot_training, score_words
from agiwb.runs.files import write_atomic
from agiwb.runs.record import Record
from agiwb.serving.prediction_log import PredictionWindow
from agiwb.training.train import TrainRecord

_SHOWN_PREDICTIONS = 8


@dataclass(frozen=True)
class LifeCycle:
    """The last record of each step, and some predictions that were served; any may be missing."""

    train: TrainRecord
    sweep: SweepRecord | None = None
    convert: ConvertRecord | None = None
    evaluate: EvaluateRecord | None = None
    monitor: MonitorRecord | None = None
    served: PredictionWindow | None = None

    @classmethod
    def of(cls, records: Iterable[Record], served: PredictionWindow | None = None) -> Self:
        """Return the life cycle made of these records; the training must be among them."""
        by_step: dict[str, Any] = {record.run.step: record for record in records}
        known = {part.name for part in fields(cls)} & by_step.keys()
        return cls(**{name: by_step[name] for name in known}, served=served)


def newest_life_cycle(
    train_run_id: str, history: Sequence[HistoryEntry] | None = None
) -> LifeCycle:
    """Return the life cycle of a trained model: the newest run of each step that leads from it.

    Args:
        train_run_id: The training's.
        history: What to look through; by default the workspace's history as it is now.

    Raises:
        NotFoundError: There is no such run.
    """
    entries = read_history() if history is None else history

    def newest(step: str, parent: str, run_id: str) -> Record | None:
        return next(records_from(step, parent, run_id, entries), None)

    sweep = newest("sweep", "model", train_run_id)
    sources = [train_run_id, *([sweep.run.id] if sweep else [])]
    conversions = [newest("convert", "model", source) for source in sources]
    convert = next((record for record in reversed(conversions) if record is not None), None)
    found: list[Record | None] = [find_record(train_run_id, entries), sweep, convert]
    if convert is not None:
        found += [newest(step, "artifact", convert.run.id) for step in ("evaluate", "monitor")]
    return LifeCycle.of(record for record in found if record is not None)


def write_report(cycle: LifeCycle, destination: Path) -> None:
    """Write the page that shows ``cycle``."""
    page = render(
        "lifecycle.html", train=cycle.train, sections=sections(cycle), records=_records(cycle)
    )
    write_atomic(destination, page)


def sections(cycle: LifeCycle) -> list[Section]:
    """Return the parts of the page, in the order of the life cycle."""
    made = [section(part) for part in (cycle.train, cycle.sweep, cycle.convert) if part is not None]
    if cycle.served is not None:
        made.append(_serving(cycle.served, cycle.train.classes))
    made += [section(part) for part in (cycle.evaluate, cycle.monitor) if part is not None]
    return made


def section(record: Record) -> Section:
    """Return the part of the page that shows this record, whose step must be one of SHOWN."""
    return SHOWN[record.run.step](record)


def _training(record: TrainRecord) -> Section:
    return Section(
        "Train",
        f"{record.model_name} is a {record.architecture} of "
        f"{record.parameters:,} parameters, trained on {record.examples['train']:,} examples. Its "
        f"{record.main_metric} on {record.examples['test']:,} test examples is "
        f"{score_words(record)}.",
        plot_training(record).html(),
        metrics_table(record).html(),
    )


def _compression(record: SweepRecord) -> Section:
    return Section(
        "Compress",
        record.choice_reason,
        plot_tradeoff(record).html(),
        candidate_table(record).html(),
        record.passed,
    )


def _conversion(record: ConvertRecord) -> Section:
    passed = sum(artifact.passed for artifact in record.artifacts)
    return Section(
        "Convert",
        f"{passed} of {len(record.artifacts)} formats give the same answers as the Keras model.",
        plot_parity(record).html(),
        parity_table(record).html(),
        record.passed,
    )


def _serving(window: PredictionWindow, classes: tuple[str, ...]) -> Section:
    rows = min(_SHOWN_PREDICTIONS, len(window.features))
    shown = window.probabilities[:rows]
    captions = [f"{classes[row.argmax()]} ({row.max():.0%})" for row in shown]
    is_image = window.features.ndim > 2
    return Section(
        "Serve",
        f"The server answered and logged {len(window.features):,} examples over TensorFlow "
        "Serving's REST API. The first of them, with its answer and the probability it gave:",
        plot_examples(window.features[:rows], captions).html() if is_image else "",
    )


def _evaluation(record: EvaluateRecord) -> Section:
    verdict = "Blessed: every threshold holds." if record.blessed else "Not blessed."
    return Section(
        "Evaluate",
        verdict,
        plot_slices(record).html(),
        slice_table(record).html(),
        record.blessed,
        record.problems,
    )


def _monitoring(record: MonitorRecord) -> Section:
    return Section(
        "Monitor",
        record.sentences[0],
        plot_drift(record).html(),
        passed=not record.alarm,
        details=record.sentences[1:],
    )


SHOWN: dict[str, Callable[[Any], Section]] = {
    "train": _training,
    "sweep": _compression,
    "convert": _conversion,
    "evaluate": _evaluation,
    "monitor": _monitoring,
}
"""How each step of the life cycle is shown."""


def _records(cycle: LifeCycle) -> list[Record]:
    found = (cycle.train, cycle.sweep, cycle.convert, cycle.evaluate, cycle.monitor)
    return [record for record in found if record is not None]
