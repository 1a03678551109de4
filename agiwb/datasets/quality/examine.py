"""Examining a data set: classes, columns, duplicates, leaks, and what is empty or broken."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset, Split
from agiwb.datasets.quality.columns import examine_columns
from agiwb.datasets.quality.duplicates import find_duplicates
from agiwb.datasets.quality.findings import findings_of
from agiwb.datasets.quality.media import measure_media
from agiwb.datasets.quality.report import QualityReport, Spread

MOST_EXAMPLES = 100_000
"""Of each split; more are not looked at."""

_MOST_BYTES = 256 << 20


def examine(data: Dataset) -> QualityReport:
    """Return what is odd about ``data``, looking at up to 100,000 examples of each split.

    Labels are all counted. Larger splits, and those of more than 256 MB, are looked at by examples
    spread evenly over them; the report says how many. A table of 100,000 rows and 30 columns takes
    a few seconds.

    Raises:
        DatasetError: Data that stay on disk cannot be read.
    """
    looked_at = {str(name): _looked_at(split) for name, split in data.splits.items()}
    rows = {str(name): _rows(split, len(looked_at[name])) for name, split in data.splits.items()}
    report = QualityReport(
        dataset=data.name,
        task=data.task,
        kind=data.kind,
        examples={name: len(split) for name, split in data.splits.items()},
        examined={name: len(split) for name, split in looked_at.items()},
        classes=_classes(data),
        imbalance=_imbalance(data),
        targets=_targets(data),
        columns=examine_columns(data, looked_at),
        duplicates=find_duplicates(looked_at, rows),
        measures=measure_media(data, looked_at),
        findings=(),
    )
    return report.model_copy(update={"findings": findings_of(report)})


def _looked_at(split: Split) -> Split:
    one = split.sample(1).features
    bytes_each = one.nbytes + (len(str(one[0])) if one.dtype.kind == "O" else 0)
    return split.sample(min(MOST_EXAMPLES, max(1, _MOST_BYTES // bytes_each)))


def _rows(split: Split, count: int) -> NDArray[Any]:
    """Return the row numbers of a sample, or none where a split on disk chose them itself."""
    if type(split).sample is not Split.sample:
        return np.empty(0, int)
    return np.linspace(0, len(split) - 1, count).round().astype(int)


def _classes(data: Dataset) -> dict[str, dict[str, int]]:
    if not data.classes:
        return {}
    counts = {}
    for name, split in data.splits.items():
        labels = split.labels
        has_several = labels.ndim == 2
        counts[name] = (
            labels.sum(axis=0) if has_several else np.bincount(labels, minlength=len(data.classes))
        )
    return {
        label: {str(name): int(count[number]) for name, count in counts.items()}
        for number, label in enumerate(data.classes)
    }


def _imbalance(data: Dataset) -> float | None:
    counts: list[int] = [by_split["train"] for by_split in _classes(data).values()]
    return max(counts) / min(counts) if all(counts) and counts else None


def _targets(data: Dataset) -> dict[str, Spread]:
    if data.classes:
        return {}
    spreads = {}
    for name, split in data.splits.items():
        quantiles = np.quantile(split.labels.astype(np.float64), (0, 0.25, 0.5, 0.75, 1))
        spreads[str(name)] = Spread(
            **dict(zip(Spread.model_fields, map(float, quantiles), strict=True))
        )
    return spreads
