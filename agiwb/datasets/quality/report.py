"""What an examination of a data set found: numbers, and a sentence for each thing to mend."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from agiwb.datasets.dataset import Kind, Task

BySplit = dict[str, int]
ShareBySplit = dict[str, float]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class ColumnQuality(_Frozen):
    """One column of a table, or one number of an array.

    Attributes:
        name: The column.
        is_text: Whether it holds texts, not numbers.
        missing: Share of the examples of each split that lack it.
        infinite: Number of infinite values, in all splits.
        distinct: Different values in train.
        most_common_share: Share of the most common value among those of train that are there.
        unseen: Share of each other split whose value is beyond the range of train's numbers, or
            none of train's texts.
        skill: How well it alone predicts the label: 1 is perfect, 0 no better than the most common
            class or the mean. None if that was not tried.
    """

    name: str
    is_text: bool
    missing: ShareBySplit
    infinite: int
    distinct: int
    most_common_share: float
    unseen: ShareBySplit
    skill: float | None = None


class Duplicates(_Frozen):
    """Examples whose features are equal, value for value.

    Attributes:
        within: Number of examples of a split that repeat an earlier one of it.
        across: Number of examples of the second split that are also in the first, by both names:
            ``train and test``.
        disagreeing: Number of examples that have an equal with another label.
        rows: For each of these an example: two row numbers, each counted from 0 in its split.
    """

    within: BySplit
    across: dict[str, int]
    disagreeing: int
    rows: dict[str, tuple[int, int]]


class Spread(_Frozen):
    """Smallest value, quartiles and largest value of numbers."""

    smallest: float
    lower_quartile: float
    median: float
    upper_quartile: float
    largest: float


class QualityReport(_Frozen):
    """What an examination found.

    Attributes:
        dataset: The data set's name.
        task: What is predicted.
        kind: What an example is.
        examples: Examples in each split.
        examined: How many of them were looked at, spread evenly; labels are always all counted.
        classes: Examples of each class in each split; for multilabel those that have the label.
        imbalance: How many times the most frequent class of train is as frequent as the rarest.
        targets: The numbers to be predicted, in each split.
        columns: The columns of a table, or the numbers of an array.
        duplicates: Equal examples.
        measures: What else was measured, by its name: of texts, sounds and pictures.
        findings: What a user should know, in sentences, the gravest first.
    """

    dataset: str
    task: Task
    kind: Kind
    examples: BySplit
    examined: BySplit
    classes: dict[str, BySplit]
    imbalance: float | None
    targets: dict[str, Spread]
    columns: tuple[ColumnQuality, ...]
    duplicates: Duplicates
    measures: dict[str, ShareBySplit]
    findings: tuple[str, ...]
