"""From examples as a loader found them to a data set: labels understood, splits drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset, Kind, Split, Task
from agiwb.datasets.description import SourceDescription
from agiwb.datasets.labels import understand_labels
from agiwb.datasets.splitting import draw_splits, require_training_examples
from agiwb.errors import ConfigError

Place = Callable[[int], str]
"""Says where an example came from, by its index: ``data.csv, row 17``."""

Progress = Callable[[str, int, int], None]
"""Told of a phase, how much of it is done, and how much there is; may be called for each file."""


def say_nothing(phase: str, done: int, total: int) -> None:
    """Report no progress: what a caller asks for who waits anyway."""


@dataclass(frozen=True)
class Source:
    """A data set, and in sentences what was inferred or left out while reading it."""

    data: Dataset
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Examples:
    """All examples of a source, in the order in which it holds them.

    Attributes:
        kind: What an example is.
        features: As ``Dataset`` has them.
        labels: As found: str, bool, int or float ``(examples,)``, with ``""`` or NaN where one is
            missing; or numbers ``(examples, labels)``.
        place: Where an example came from.
        own_split: ``train``, ``validation`` or ``test`` of each example, if the user chose.
        slices: Columns to slice metrics by, each ``(examples,)`` of str.
        label_names: Names of the columns of two-dimensional labels.
        labels_are_indices: Whether whole numbers are indices of classes counted from 0.
        task: What is predicted, if the format decides it and the user does not.
        scale: Largest value a feature can take; by default the largest in train.
        sample_rate_hz: Of audio.
        notes: What was inferred or left out so far.
    """

    kind: Kind
    features: NDArray[Any]
    labels: NDArray[Any]
    place: Place
    own_split: NDArray[Any] | None = None
    slices: dict[str, NDArray[Any]] = field(default_factory=dict)
    label_names: tuple[str, ...] = ()
    labels_are_indices: bool = False
    task: Task | None = None
    scale: float | None = None
    sample_rate_hz: int | None = None
    notes: tuple[str, ...] = ()


def assemble(description: SourceDescription, examples: Examples) -> Source:
    """Return the data set that ``examples`` make.

    Raises:
        DatasetError: A label is missing or does not fit, or the splits cannot be drawn.
    """
    own = examples.own_split
    if own is not None:
        require_training_examples(own, examples.place)
    labels = understand_labels(
        examples.labels,
        task=description.task or examples.task,
        classes=description.classes,
        known=np.ones(len(examples.labels), bool) if own is None else own == "train",
        place=examples.place,
        names=examples.label_names,
        are_indices=examples.labels_are_indices,
    )
    parts, split_notes = draw_splits(labels, own, description.seed, examples.place)
    whole = Split(examples.features, labels.values, examples.slices)
    train, validation, test = (whole.take(part) for part in parts)
    scale = examples.scale
    if scale is None:
        scale = float(np.abs(train.features).max()) or 1.0
    data = Dataset(
        description.name,
        labels.classes,
        scale,
        train,
        validation,
        test,
        task=labels.task,
        kind=examples.kind,
        sample_rate_hz=examples.sample_rate_hz,
    )
    return Source(data, (*examples.notes, *labels.notes, *split_notes))


def require_kind(description: SourceDescription, *possible: Kind) -> None:
    """Raise ConfigError if the user asked for a kind that the source cannot be."""
    if description.kind is not None and description.kind not in possible:
        raise ConfigError(
            f"`kind` cannot be {description.kind} for {description.path}.",
            f"It can be {' or '.join(possible)}.",
        )
