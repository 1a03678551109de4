"""What a data set is: three splits of features, labels and slice columns."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import DatasetError

Task = Literal["classification", "binary", "multilabel", "regression", "ranking"]
"""What is to be predicted: one of several classes, one of two, any number of classes at once, a
number, or how well two things (a user and an item) go together."""

Kind = Literal["array", "image", "sequence", "audio", "text", "table", "pairs"]
"""What an example is, as its features are stored in ``Split.features``:

array, image, sequence: float32 ``(examples, *feature_shape)``; an image is ``(height, width[,
channels])``, a sequence ``(steps, channels)``. audio: float32 ``(examples, samples)``. text: str
objects ``(examples,)``. table, pairs: a structured array ``(examples,)`` with one field a column,
each float32 or str (``object``); the columns of pairs are ``user`` and ``item``, both str.
"""

SplitName = Literal["train", "validation", "test"]

CLASSIFYING: tuple[Task, ...] = ("classification", "binary")
"""Tasks with one integer label an example, whose models answer with a probability per class."""


@dataclass(frozen=True)
class Split:
    """Examples in order.

    Attributes:
        features: The raw inputs of the examples; ``Kind`` says of which dtype and shape.
        labels: int64 ``(examples,)``, an index into the classes; for multilabel float32
            ``(examples, classes)`` of 0 and 1; for regression and ranking float32 ``(examples,)``.
        slices: Columns to slice metrics by; each of shape ``(examples,)``, dtype str.
    """

    features: NDArray[Any]
    labels: NDArray[Any]
    slices: dict[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: NDArray[np.intp]) -> Split:
        """Return the examples at ``index``, in that order."""
        columns = {name: column[index] for name, column in self.slices.items()}
        return Split(self.features[index], self.labels[index], columns)

    def sample(self, count: int) -> Split:
        """Return at most ``count`` examples, spread evenly over the split."""
        if count >= len(self):
            return self
        return self.take(np.linspace(0, len(self) - 1, count).round().astype(np.intp))

    def blocks(self, seed: tuple[int, ...] | None = None) -> Iterator[Split]:
        """Yield all examples in pieces that fit into memory, shuffled if there is a seed."""
        if seed is None:
            yield self
        else:
            yield self.take(np.random.default_rng(seed).permutation(len(self)))

    def digest(self) -> str:
        """Return the SHA-256 of the content: names, types, shapes and values."""
        digest = hashlib.sha256()
        columns = {"features": self.features, "labels": self.labels, **self.slices}
        for name, values in sorted(columns.items()):
            digest.update(f"{name} {values.dtype} {values.shape}".encode())
            fields = values.dtype.names
            for part in [values[name] for name in fields] if fields else [values]:
                digest.update(_content(part))
        return digest.hexdigest()


@dataclass(frozen=True)
class Dataset:
    """Named splits of one task's data.

    The ``test`` split is for the final report only: nothing is selected or calibrated on it.
    ``scale`` is the largest value a feature can take; models divide by it themselves.
    ``classes`` is empty for regression and ranking.
    """

    name: str
    classes: tuple[str, ...]
    scale: float
    train: Split
    validation: Split
    test: Split
    task: Task = "classification"
    kind: Kind = "array"
    sample_rate_hz: int | None = None
    """Of audio."""

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of one example; ``()`` for texts, tables and pairs."""
        return tuple(self._example.shape[1:])

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of a table or of pairs; none for what is one array."""
        return self._example.dtype.names or ()

    @functools.cached_property
    def _example(self) -> NDArray[Any]:
        """The features of one example; all of them may be too many for memory."""
        return self.train.sample(1).features

    @property
    def splits(self) -> dict[SplitName, Split]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def __getitem__(self, name: SplitName) -> Split:
        return self.splits[name]

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the content of every split: values, types, shapes and class names."""
        about = (self.task, self.kind, self.classes, self.scale, self.sample_rate_hz)
        digest = hashlib.sha256(repr(about).encode())
        for name, split in self.splits.items():
            digest.update(f"{name} {split.digest()}".encode())
        return digest.hexdigest()

    def require_arrays_of_classes(self, purpose: str) -> None:
        """Raise DatasetError unless each example is one array of numbers with one class.

        Args:
            purpose: What needs that, as the subject of a sentence: "A sweep".
        """
        if self.task in CLASSIFYING and self.features_are_numbers:
            return
        raise DatasetError(
            f"{purpose} takes examples that are arrays of numbers, each of one class; the data "
            f"set {self.name} is {self.kind} for {self.task}.",
            "Train, search and explain take it.",
        )

    @property
    def features_are_numbers(self) -> bool:
        """Whether an example is one array of numbers, not text or a row of named columns."""
        return self.kind in {"array", "image", "sequence", "audio"}


def stratified_splits(
    whole: Split, shares: tuple[float, float], seed: int = 0
) -> tuple[Split, Split, Split]:
    """Return train, validation and test, drawn at random with the classes' proportions kept.

    Labels that are not class indices are drawn without regard to their values.

    Args:
        whole: All examples.
        shares: Share of the examples for validation and for test.
        seed: Equal seeds give equal splits.

    Raises:
        DatasetError: A class has too few examples to be in every split.
    """
    parts = stratified_parts(whole.labels, shares, seed)
    train, validation, test = (whole.take(part) for part in parts)
    return train, validation, test


def stratified_parts(
    labels: NDArray[Any], shares: tuple[float, float], seed: int = 0
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows of train, validation and test; see ``stratified_splits``."""
    from sklearn.model_selection import train_test_split

    index = np.arange(len(labels))
    strata = labels if np.issubdtype(labels.dtype, np.integer) else None
    validation_share, test_share = shares
    try:
        rest, test = train_test_split(
            index, test_size=test_share, stratify=strata, random_state=seed
        )
        train, validation = train_test_split(
            rest,
            test_size=validation_share / (1 - test_share),
            stratify=None if strata is None else strata[rest],
            random_state=seed,
        )
    except ValueError as error:
        raise DatasetError(
            f"The {len(labels)} examples cannot be split by class: {error}",
            "Each class needs examples for train, validation and test: give at least ten.",
        ) from None
    return train, validation, test


def _content(values: NDArray[Any]) -> bytes:
    """Return bytes that differ where the values do, whatever their type."""
    if values.dtype.kind in "OT":
        texts = [str(value) for value in values.ravel()]
        lengths = ",".join(str(len(text)) for text in texts)
        return f"{lengths}|{''.join(texts)}".encode("utf-8", "surrogatepass")
    return np.ascontiguousarray(values).tobytes()
