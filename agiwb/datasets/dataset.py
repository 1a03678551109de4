"""What a data set is: three splits of features, labels and slice columns."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import DatasetError

Task = Literal["classification"]
SplitName = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Split:
    """Examples in order.

    Attributes:
        features: float32, shape ``(examples, *feature_shape)``, in the data's own units.
        labels: int64, shape ``(examples,)``, an index into the data set's classes.
        slices: Columns to slice metrics by; each of shape ``(examples,)``, dtype str.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    slices: dict[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: NDArray[np.intp]) -> Split:
        """Return the examples at ``index``, in that order."""
        columns = {name: column[index] for name, column in self.slices.items()}
        return Split(self.features[index], self.labels[index], columns)


@dataclass(frozen=True)
class Dataset:
    """Named splits of one task's data.

    The ``test`` split is for the final report only: nothing is selected or calibrated on it.
    ``scale`` is the largest value a feature can take; models divide by it themselves.
    """

    name: str
    classes: tuple[str, ...]
    scale: float
    train: Split
    validation: Split
    test: Split
    task: Task = "classification"

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return tuple(self.train.features.shape[1:])

    @property
    def splits(self) -> dict[SplitName, Split]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def __getitem__(self, name: SplitName) -> Split:
        return self.splits[name]

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the content of every split: values, types, shapes and class names."""
        digest = hashlib.sha256(repr((self.task, self.classes, self.scale)).encode())
        for name, split in self.splits.items():
            columns: dict[str, NDArray[Any]] = {
                "features": split.features,
                "labels": split.labels,
                **split.slices,
            }
            for column, values in sorted(columns.items()):
                digest.update(f"{name}/{column} {values.dtype} {values.shape}".encode())
                digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()


def stratified_splits(
    whole: Split, shares: tuple[float, float], seed: int = 0
) -> tuple[Split, Split, Split]:
    """Return train, validation and test, drawn at random with the classes' proportions kept.

    Args:
        whole: All examples.
        shares: Share of the examples for validation and for test.
        seed: Equal seeds give equal splits.

    Raises:
        DatasetError: A class has too few examples to be in every split.
    """
    from sklearn.model_selection import train_test_split

    index = np.arange(len(whole))
    validation_share, test_share = shares
    try:
        rest, test = train_test_split(
            index, test_size=test_share, stratify=whole.labels, random_state=seed
        )
        train, validation = train_test_split(
            rest,
            test_size=validation_share / (1 - test_share),
            stratify=whole.labels[rest],
            random_state=seed,
        )
    except ValueError as error:
        raise DatasetError(
            f"The {len(whole)} examples cannot be split by class: {error}",
            "Each class needs examples for train, validation and test: give at least ten.",
        ) from None
    return whole.take(train), whole.take(validation), whole.take(test)
