"""What came of one run, as HTML to be placed inside a page or a panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.datasets.add import DatasetRecord
from agiwb.datasets.dataset import Dataset
from agiwb.datasets.quality.examine import examine
from agiwb.datasets.quality.report import QualityReport
from agiwb.datasets.registry import load_dataset
from agiwb.maintenance.gate import GateRecord
from agiwb.maintenance.maintain import MaintainRecord
from agiwb.maintenance.retrain import RetrainRecord
from agiwb.reporting.datasets import class_table, plot_dataset, quality_table
from agiwb.reporting.diagnosis import findings_table, plot_range_test
from agiwb.reporting.explanation import plot_explanation
from agiwb.reporting.lifecycle import SHOWN, section
from agiwb.reporting.maintenance import gate_sections, maintain_section, retrain_section
from agiwb.reporting.page import Section, framed
from agiwb.reporting.search import plot_search, trial_table
from agiwb.reporting.tables import Table, metrics_table
from agiwb.reporting.training import score_words
from agiwb.runs.record import Record
from agiwb.training.range_test import RangeTestRecord

if TYPE_CHECKING:
    from agiwb.planning.plan import PlanRecord


def result_html(record: Record) -> str:
    """Return the record as pictures, tables and sentences."""
    return framed(result_sections(record))


def result_sections(record: Record) -> list[Section]:
    """Return what there is to see of a record; of a step without pictures, its figures."""
    step = record.run.step
    if isinstance(record, DatasetRecord):
        return dataset_sections(load_dataset(record.config.name), record.quality, record.notes)
    made = [section(record)] if step in SHOWN else _others(record)
    if getattr(record, "findings", ()):
        table = findings_table(record).html()  # type: ignore[arg-type]  # it has findings
        made.append(Section("Diagnosis", "What is conspicuous, and what to try.", table=table))
    if record.reused:
        made[0] = _with_note(made[0], "An earlier run with the same inputs gave this result.")
    return made


def dataset_sections(
    data: Dataset, report: QualityReport | None = None, notes: tuple[str, ...] = ()
) -> list[Section]:
    """Return a data set as its page has it: findings, examples, classes, and what was measured.

    Args:
        data: Any data set.
        report: Its examination; by default it is examined now.
        notes: What was inferred or left out when it was read.
    """
    report = report or examine(data)
    sizes = ", ".join(f"{count:,} {split}" for split, count in report.examples.items())
    findings = tuple(report.findings)
    odd = "" if findings else " Nothing odd was found."
    return [
        Section(
            data.name,
            f"{data.kind.capitalize()} for {data.task}: {sizes} examples.{odd}",
            plot_dataset(data, report).html(),
            passed=not findings,
            details=findings + tuple(notes),
        ),
        Section(
            "Classes" if report.classes else "Targets",
            "How many examples each split has." if report.classes else "How they are spread.",
            table=class_table(report).html(),
        ),
        Section(
            "Columns" if report.columns else "Splits",
            "What was measured of them.",
            table=quality_table(report).html(),
        ),
    ]


def _others(record: Record) -> list[Section]:
    """Return the sections of a step that the life cycle's page does not show."""
    if isinstance(record, GateRecord):
        return gate_sections(record)
    if isinstance(record, RetrainRecord):
        return [retrain_section(record)]
    if isinstance(record, MaintainRecord):
        return [maintain_section(record)]
    return [_other(record)]


def _other(record: Record) -> Section:
    from agiwb.explanation.explain import ExplainRecord
    from agiwb.planning.plan import PlanRecord
    from agiwb.training.search.record import SearchRecord

    title = record.run.step.replace("_", " ").capitalize()
    if isinstance(record, SearchRecord):
        best = f"The best model's {record.main_metric} is {score_words(record)}."
        return Section(title, best, plot_search(record).html(), trial_table(record).html())
    if isinstance(record, RangeTestRecord):
        return Section(title, record.verdict, plot_range_test(record).html())
    if isinstance(record, PlanRecord):
        return _plan(title, record)
    picture = plot_explanation(record).html() if isinstance(record, ExplainRecord) else ""
    sentence = "Every gate was passed." if record.passed else "Not every gate was passed."
    figures = metrics_table(record).html() if record.metrics else ""
    return Section(title, sentence, picture, figures, record.passed, record.problems)


def _plan(title: str, record: PlanRecord) -> Section:
    from agiwb.reporting.planning import plot_plan

    sizing, replicas = record.sizing, record.sizing.chosen.replicas
    figures = Table.of(
        [
            {"figure": name.replace("_", " "), "value": f"{value:.4g}"}
            for name, value in record.metrics.items()
        ]
    )
    bundle = f"`agiwb bundle --plan {record.run.id[:8]}` writes these figures into its manifests."
    return Section(
        title,
        f"{replicas} replica{'s' * (replicas != 1)} of {record.measured.workers} worker(s) and "
        f"{sizing.memory_request_mib} MiB: {sizing.cores} core{'s' * (sizing.cores != 1)}, "
        f"{sizing.cores_busy:.1f} busy.",
        plot_plan(record).html(),
        figures.html(),
        record.passed,
        (*record.problems, bundle),
    )


def _with_note(shown: Section, note: str) -> Section:
    from dataclasses import replace

    return replace(shown, details=(*shown.details, note))
