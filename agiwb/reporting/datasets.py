"""A data set as a picture, a table and a page: what is in it, and what is odd about it."""

from __future__ import annotations

from pathlib import Path

from agiwb.datasets.dataset import Dataset
from agiwb.datasets.quality.examine import examine
from agiwb.datasets.quality.report import QualityReport
from agiwb.datasets.registry import load_dataset
from agiwb.reporting.page import render
from agiwb.reporting.picture import Picture
from agiwb.reporting.previews import draw_balance, draw_preview
from agiwb.reporting.tables import Table
from agiwb.runs.files import write_atomic

_WIDTH, _HEIGHT = 10.0, 4.2
_SHOWN_CLASSES = 30


def plot_dataset(data: Dataset | str, report: QualityReport | None = None) -> Picture:
    """Return some training examples as they look, and how many there are of each class.

    Args:
        data: Any data set; of one that stays on disk a sample is read.
        report: Its examination; by default its labels are counted anew.
    """
    data = load_dataset(data) if isinstance(data, str) else data
    report = report or examine(data)
    sizes = ", ".join(f"{count:,} {name}" for name, count in report.examples.items())
    picture = Picture(
        _WIDTH, _HEIGHT, f"Examples of {data.name} ({data.kind} for {data.task}): {sizes}."
    )
    halves = picture.subfigures(1, 2, width_ratios=(2.2, 1), squeeze=False)
    draw_preview(halves[0][0], data)
    draw_balance(halves[0][1].subplots(), data, report)
    return picture


def quality_table(report: QualityReport) -> Table:
    """Return a row for each split, or for each column of a table: what was measured."""
    if report.columns:
        return Table.of([
            {
                "column": column.name,
                "holds": "texts" if column.is_text else "numbers",
                "different": f"{column.distinct:,}",
                "most common": f"{column.most_common_share:.1%}",
                **{
                    f"missing in {split}": f"{share:.1%}"
                    for split, share in column.missing.items()
                },
                "predicts alone": "" if column.skill is None else f"{column.skill:.2f}",
            }
            for column in report.columns
        ])  # fmt: skip
    rows = [
        {
            "split": split,
            "examples": f"{report.examples[split]:,}",
            "looked at": f"{report.examined[split]:,}",
            "repeated": f"{report.duplicates.within[split]:,}",
            **{name: f"{values[split]:.4g}" for name, values in report.measures.items()},
        }
        for split in report.examples
    ]
    return Table.of(rows)


def class_table(report: QualityReport) -> Table:
    """Return how many examples of each class each split has, or how its targets are spread."""
    if report.targets:
        return Table.of(
            [
                {
                    "split": split,
                    **{
                        name.replace("_", " "): f"{value:.4g}"
                        for name, value in spread.model_dump().items()
                    },
                }
                for split, spread in report.targets.items()
            ]
        )
    rows = [
        {"class": name, **{split: f"{count:,}" for split, count in counts.items()}}
        for name, counts in list(report.classes.items())[:_SHOWN_CLASSES]
    ]
    rest = len(report.classes) - _SHOWN_CLASSES
    return Table.of([*rows, {"class": f"and {rest} more"}] if rest > 0 else rows)


def dataset_page(
    data: Dataset, report: QualityReport | None = None, notes: tuple[str, ...] = ()
) -> str:
    """Return one HTML page that needs nothing but a browser.

    Args:
        data: Any data set.
        report: Its examination; by default it is examined now.
        notes: What was inferred or left out when it was read.
    """
    report = report or examine(data)
    return render(
        "dataset.html",
        data=data,
        report=report,
        notes=notes,
        picture=plot_dataset(data, report).html(),
        classes=class_table(report).html(),
        quality=quality_table(report).html(),
    )


def write_dataset_page(
    destination: Path, data: Dataset, report: QualityReport | None = None,
    notes: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """Write the page that shows ``data``."""
    write_atomic(destination, dataset_page(data, report, notes))
