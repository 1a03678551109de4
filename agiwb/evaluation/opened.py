"""A finished evaluation with all that its views need, read from files alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agiwb.errors import NotFoundError
from agiwb.evaluation.curves import BinaryMatrix
from agiwb.evaluation.fairness import Counts, Fairness, fairness_of
from agiwb.evaluation.record import LABEL_COLUMN, EvaluateRecord
from agiwb.evaluation.stored import WHOLE, StoredCurves, StoredMetric, read_curves, read_metrics
from agiwb.evaluation.tfma_engine import BASELINE, CANDIDATE
from agiwb.history.entries import HistoryEntry
from agiwb.history.records import finished, record_of

_MOST_OVER_TIME = 12


@dataclass(frozen=True)
class Evaluation:
    """An evaluation with its tables, and its data's other evaluations, the oldest first."""

    record: EvaluateRecord
    metrics: tuple[StoredMetric, ...]
    curves: StoredCurves
    others: tuple[EvaluateRecord, ...] = ()

    @property
    def slices(self) -> list[str]:
        """The slices that have curves, the whole first."""
        names = {name for model, name, _ in self.curves.matrices if model != BASELINE}
        return sorted(names, key=lambda name: (name != WHOLE, name))

    @property
    def groups(self) -> dict[str, dict[str, str]]:
        """The slice of each group of each slice column but label, by column and group."""
        found: dict[str, dict[str, str]] = {}
        for one in self.metrics:
            if len(one.columns) == 1 and one.columns[0] != LABEL_COLUMN:
                found.setdefault(one.columns[0], {})[one.values[0]] = one.slice
        return found

    def fairness_at(self, class_id: int | None, threshold: float) -> tuple[Fairness, ...]:
        """Return how groups are treated if a class is named above a threshold, from matrices."""
        label = {index: name for name, index in self.classes}.get(class_id, "the class")
        smallest, found = self.record.config.min_slice_size, []
        for column, groups in self.groups.items():
            counts = {
                group: _counts(matrices.at(threshold))
                for group, name in groups.items()
                if (matrices := self.curves.matrices.get((self.model, name, class_id))) is not None
            }
            if counts:
                found.append(fairness_of(column, label, counts, smallest))
        return tuple(found)

    @property
    def classes(self) -> list[tuple[str, int | None]]:
        """The name and the index of each class that has curves; of two classes, of the second."""
        found = {class_id for model, _, class_id in self.curves.matrices if model != BASELINE}
        known = sorted(one for one in found if one is not None)
        names = self.record.classes
        listed: list[tuple[str, int | None]] = [
            (names[one] if one < len(names) else str(one), one) for one in known
        ]
        return listed or [("the class", None) for _ in found]

    @property
    def model(self) -> str:
        """What TFMA's results call the evaluated model."""
        names = {one.model for one in self.metrics}
        return CANDIDATE if CANDIDATE in names else next(iter(names - {BASELINE}), "")


def open_evaluation(entry: HistoryEntry, history: Sequence[HistoryEntry]) -> Evaluation:
    """Return an evaluation that has finished, read from its files.

    Raises:
        NotFoundError: Its record cannot be read.
    """
    record = record_of(entry)
    if not isinstance(record, EvaluateRecord):
        raise NotFoundError(f"Run {entry.id[:8]} is no evaluation.", "Choose one of `evaluate`.")
    others = []
    for other in finished("evaluate", history):
        try:
            found = record_of(other)
        except NotFoundError:  # of another version of agiwb
            continue
        if isinstance(found, EvaluateRecord) and _is_on_same_data(found, record):
            others.append(found)
    return Evaluation(
        record, read_metrics(record.run.folder), read_curves(record.run.folder),
        tuple(reversed(others[:_MOST_OVER_TIME])),
    )  # fmt: skip


def _counts(matrix: BinaryMatrix) -> Counts:
    return Counts(
        round(matrix.true_positives),
        round(matrix.false_positives),
        round(matrix.true_negatives),
        round(matrix.false_negatives),
    )


def _is_on_same_data(one: EvaluateRecord, other: EvaluateRecord) -> bool:
    return (
        one.run.provenance.inputs["dataset"] == other.run.provenance.inputs["dataset"]
        and one.config.split == other.config.split
    )
