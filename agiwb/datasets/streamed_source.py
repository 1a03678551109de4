"""From rows on disk to a data set: their labels understood, their splits drawn row by row."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.coded import CodedColumn
from agiwb.datasets.columns import label_values, texts_of
from agiwb.datasets.dataset import Dataset, Kind
from agiwb.datasets.description import SourceDescription, Streaming
from agiwb.datasets.labels import FEW, Labels, understand_labels
from agiwb.datasets.source import Place, Source
from agiwb.datasets.splitting import SPLIT_WORDS, TEST_SHARE, VALIDATION_SHARE
from agiwb.datasets.streaming import InMemory, StoredRows, StreamedSplit, in_memory
from agiwb.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

LARGE_SHARE = 8
_MOST_CLASSES = 100_000
_FEW_GROUPS = 8
_TRAIN, _VALIDATION, _TEST = 0, 1, 2
_NUMBERS = {"train": _TRAIN, "validation": _VALIDATION, "test": _TEST}


def is_too_large(size_bytes: int, stream: Streaming) -> bool:
    """Return whether data stay on disk: by default what is more than an eighth of all memory.

    Reading needs several times the size of the data. All memory counts, not what happens to be
    free: which rows are in which split must not depend on what else runs.
    """
    if stream != "auto":
        return stream == "always"
    import psutil

    return size_bytes * LARGE_SHARE > psutil.virtual_memory().total


@dataclass
class RowScan:
    """What one pass over all rows, chunk by chunk, finds of their labels, splits and slices."""

    label: tuple[str, ...]
    split: str | None
    slices: tuple[str, ...]
    place: Place
    numbers: list[NDArray[Any]] = field(default_factory=list)
    texts: CodedColumn | None = None
    splits: CodedColumn = field(default_factory=CodedColumn)
    slice_columns: dict[str, CodedColumn] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The columns that the scan reads."""
        wanted = [*self.label, *([self.split] if self.split else []), *self.slices]
        return list(dict.fromkeys(wanted))

    def add(self, frame: pd.DataFrame) -> None:
        """Take the next rows.

        Raises:
            DatasetError: The labels are texts, and there are too many different ones.
        """
        values = [label_values(frame[name]) for name in self.label]
        found = values[0] if len(values) == 1 else np.stack(values, axis=1)
        if found.ndim == 1 and found.dtype.kind in "OUT":
            self.texts = self.texts or CodedColumn()
            self.texts.add(found)
            self._refuse_too_many(self.texts)
        else:
            self.numbers.append(found.astype(np.float32) if found.ndim == 2 else found)
        if self.split:
            self.splits.add(texts_of(frame[self.split]))
        for name in self.slices:
            self.slice_columns.setdefault(name, CodedColumn()).add(texts_of(frame[name]))

    def _refuse_too_many(self, texts: CodedColumn) -> None:
        if len(texts.names) > _MOST_CLASSES:
            raise DatasetError(
                f"The label `{self.label[0]}` has more than {_MOST_CLASSES} different texts up to "
                f"{self.place(texts.first_rows[-1])}: these are no classes.",
                "Name another column with `label`; store numbers as numbers.",
            )

    def owner(self) -> NDArray[np.uint8] | None:
        """Return the number of each row's own split, if the user chose.

        Raises:
            DatasetError: A word is none of train, validation and test.
        """
        if self.split is None:
            return None
        names = self.splits.names
        numbers = np.array(
            [_NUMBERS.get(SPLIT_WORDS.get(name.strip().lower(), ""), 255) for name in names],
            np.uint8,
        )
        if (numbers == 255).any():
            wrong = int(np.flatnonzero(numbers == 255)[0])
            raise DatasetError(
                f"In {self.place(self.splits.first_rows[wrong])}, the split `{self.split}` is "
                f"{names[wrong]!r}.",
                "It should be train, validation or test.",
            )
        return numbers[self.splits.codes()]


def assemble_streamed(
    description: SourceDescription,
    stored: StoredRows,
    scan: RowScan,
    kind: Kind,
    notes: list[str],
    *,
    scale: float | None = None,
    stays_on_disk: bool = True,
) -> Source:
    """Return the data set that rows on disk make.

    Args:
        description: What the user said.
        stored: The rows' features.
        scan: Their labels, splits and slices, all rows having been scanned.
        kind: What an example is.
        notes: What was inferred or left out so far.
        scale: Largest value a feature can take; by default the largest in a sample.
        stays_on_disk: Whether the splits are streamed; else they are read into memory.

    Raises:
        DatasetError: A label is missing or does not fit, or the splits cannot be drawn.
    """
    owner = scan.owner()
    labels = _understand(description, scan, owner)
    owner, split_notes = draw_owner(labels, owner, description.seed, scan.place)
    slices = {name: column.compact() for name, column in scan.slice_columns.items()}
    kept = InMemory(labels.values, owner, slices)
    streamed = [StreamedSplit(stored, kept, number) for number in _NUMBERS.values()]
    notes = [*notes, *labels.notes, *split_notes]
    if stays_on_disk:
        notes += _notes_of_streaming(streamed[0], len(owner))
    train, validation, test = (split if stays_on_disk else in_memory(split) for split in streamed)
    if scale is None:
        scale = float(np.abs(train.sample(10_000).features).max()) or 1.0
    data = Dataset(
        description.name, labels.classes, scale, train, validation, test,
        task=labels.task, kind=kind,
    )  # fmt: skip
    return Source(data, tuple(notes))


def draw_owner(
    labels: Labels, own: NDArray[np.uint8] | None, seed: int, place: Place
) -> tuple[NDArray[np.uint8], list[str]]:
    """Return the number of each row's split, and in sentences what was drawn.

    A split of the user's own is respected; what it lacks is drawn from its training rows. Draws are
    seeded, and exact to a row for each class if each row has one.

    Raises:
        DatasetError: There are no training rows, or a class has too few of them.
    """
    owner = np.zeros(len(labels.values), np.uint8) if own is None else own.copy()
    if not (owner == _TRAIN).any():
        raise DatasetError(
            f"The user's own split has no training examples; the first example is {place(0)}.",
            "Add some, or leave the split away to have it drawn.",
        )
    generator, notes = np.random.default_rng(seed), []
    for number, name, share in (
        (_TEST, "test", TEST_SHARE),
        (_VALIDATION, "validation", VALIDATION_SHARE),
    ):
        if (owner == number).any():
            continue
        # Without a split of the user's own, both are shares of the whole.
        of_rest = share / (1 - TEST_SHARE) if own is None and number == _VALIDATION else share
        count = _carve(owner, labels, number, of_rest, generator, place)
        if own is not None:
            notes.append(f"There was no {name} split: {count} training examples were drawn for it.")
    return owner, notes


def _carve(
    owner: NDArray[np.uint8],
    labels: Labels,
    number: int,
    share: float,
    generator: np.random.Generator,
    place: Place,
) -> int:
    """Move a share of the training rows of each class into split ``number``; return how many."""
    values = labels.values  # noqa: PD011  not a pandas object
    has_classes = np.issubdtype(values.dtype, np.integer)
    strata = range(len(labels.classes)) if has_classes else (None,)
    moved = 0
    for stratum in strata:
        is_free = owner == _TRAIN
        rows = np.flatnonzero(is_free if stratum is None else is_free & (values == stratum))
        if len(rows) == 0:
            continue
        if len(rows) < 2:
            what = "" if stratum is None else f" `{labels.classes[stratum]}`"
            raise DatasetError(
                f"The class{what} has too few examples to be in every split (one is "
                f"{place(int(rows[0]))}).",
                "Each class needs examples for train, validation and test: give at least ten.",
            )
        count = min(len(rows) - 1, max(1, round(share * len(rows))))
        owner[generator.choice(rows, count, replace=False, shuffle=False)] = number
        moved += count
    return moved


def _understand(
    description: SourceDescription, scan: RowScan, owner: NDArray[np.uint8] | None
) -> Labels:
    """Return the labels of all rows; of texts each different one is looked at once."""

    def understood(raw: NDArray[Any], known: NDArray[np.bool_], place: Place,
                   classes: tuple[str, ...]) -> Labels:  # fmt: skip
        return understand_labels(
            raw, task=description.task, classes=classes, known=known, place=place, names=scan.label
        )

    if scan.texts is None:
        raw = np.concatenate(scan.numbers)
        known = np.ones(len(raw), bool) if owner is None else owner == _TRAIN
        return understood(raw, known, scan.place, description.classes)
    codes, distinct = scan.texts.codes(), np.array(scan.texts.names, dtype=object)
    known = np.zeros(len(distinct), bool)
    known[codes if owner is None else codes[owner == _TRAIN]] = True
    classes = description.classes
    if not classes and (len(distinct) <= FEW or len(distinct) * 2 <= len(codes)):
        classes = tuple(sorted(name for name in distinct[known] if name))
    first = scan.texts.first_rows
    labels = understood(distinct, known, lambda index: scan.place(first[index]), classes)
    return dataclasses.replace(labels, values=labels.values[codes])  # noqa: PD011  no pandas


def _notes_of_streaming(split: StreamedSplit, rows: int) -> list[str]:
    streaming = (
        f"The {rows:,} examples stay on disk and are read in blocks of {split.block_rows:,}. "
        "Training takes them; steps that need all examples in memory do not."
    )
    notes = [streaming]
    mixed, largest = split.groups_mixed()
    if mixed < _FEW_GROUPS and largest > split.block_rows:
        notes.append(
            f"Rows are shuffled from {mixed} groups at a time. If the file is sorted, shuffle it "
            "first, or write it in smaller groups (Parquet: row_group_size=20000)."
        )
    return notes
