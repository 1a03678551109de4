"""Sketches: what a million rows of a feature look like, in 256 bins that can be added up.

Sketches over the same bins add exactly: the sum of twenty-four hours' sketches is the day's. So a
reference is stored as a sketch, traffic is kept as one sketch an hour, and windows of any length
are compared without going back to the rows::

    bins = NumericBins.from_reference(training)          # once, and stored with the model
    hours = [NumericSketch.of(bins, rows) for rows in traffic]
    day = hours[0] + hours[1] + ...                      # or sum_sketches(hours)
    columns = day.to_arrays()                            # plain arrays, for Parquet
    again = NumericSketch.from_arrays(bins, columns)

``day.below`` and ``day.above`` count what lies outside all that the reference held, ``day.missing``
what is NaN or infinite. ``CategoryCounts`` is the same for columns of categories.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agiwb.errors import ConfigError

BINS = 256
"""Bins of a feature. Distances between distribution functions are off by at most 1/253."""

_EXAMPLES = 5


@dataclass(frozen=True)
class NumericBins:
    """Where the bins of each feature end; two sketches can be added if theirs are equal.

    Attributes:
        names: What the features are called.
        edges: Ascending upper ends, shape ``(features, 255)``; a bin holds its upper end. The first
            bin holds what is below all that the reference held, the last what is above. A feature
            with fewer values than bins has each value in a bin of its own; ends then repeat.
    """

    names: tuple[str, ...]
    edges: NDArray[np.float64]

    @classmethod
    def from_reference(
        cls, reference: ArrayLike, names: Sequence[str] | None = None
    ) -> NumericBins:
        """Return bins that hold equal shares of ``reference``, shape ``(rows, features)``.

        Values that are NaN or infinite are left out; a feature without any other has bins that
        put every finite value above or below the known ones.
        """
        values = _matrix(reference)
        edges = np.zeros((values.shape[1], BINS - 1))
        for place, column in enumerate(values.T):
            edges[place] = _edges(_sorted_finite(column))
        return cls(_names(names, values.shape[1]), edges)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of names and ends: what sketches of different origin are matched by."""
        digest = hashlib.sha256("\0".join(self.names).encode())
        digest.update(np.ascontiguousarray(self.edges).tobytes())
        return digest.hexdigest()

    @property
    def lowest(self) -> NDArray[np.float64]:
        """Smallest value that the reference held of each feature."""
        return np.asarray(np.nextafter(self.edges[:, 0], np.inf))

    @property
    def highest(self) -> NDArray[np.float64]:
        """Largest value that the reference held of each feature."""
        return self.edges[:, -1]

    def same(self, other: NumericBins) -> bool:
        """Return whether sketches over these and ``other`` can be added."""
        return self is other or (
            self.names == other.names and np.array_equal(self.edges, other.edges)
        )


@dataclass(frozen=True)
class NumericSketch:
    """How often the values of each feature fell into each bin.

    Attributes:
        bins: Where the bins end.
        counts: Values in each bin, shape ``(features, 256)``.
        sums: Sum of the values in each bin, same shape: means are exact, tails have a length.
        missing: Values that were NaN or infinite, shape ``(features,)``.
    """

    bins: NumericBins
    counts: NDArray[np.int64]
    sums: NDArray[np.float64]
    missing: NDArray[np.int64]

    @classmethod
    def empty(cls, bins: NumericBins) -> Self:
        """Return the sketch of no rows."""
        shape = len(bins.names), BINS
        return cls(bins, np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape[0], np.int64))

    @classmethod
    def of(cls, bins: NumericBins, rows: ArrayLike) -> Self:
        """Return the sketch of ``rows``, shape ``(rows, features)``.

        Raises:
            ConfigError: The rows have another number of features.
        """
        values = _matrix(rows)
        if values.shape[1] != len(bins.names):
            raise ConfigError(
                f"The rows have {values.shape[1]} features, and the reference has "
                f"{len(bins.names)}.",
                "Give rows with the reference's features, in its order.",
            )
        made = cls.empty(bins)
        for place, column in enumerate(values.T):
            finite = _sorted_finite(column)
            ends = np.searchsorted(finite, bins.edges[place], side="right")
            below = np.concatenate(([0.0], np.cumsum(finite)))
            made.counts[place] = np.diff(ends, prepend=0, append=len(finite))
            made.sums[place] = np.diff(below[ends], prepend=0.0, append=below[-1])
            made.missing[place] = len(column) - len(finite)
        return made

    def __add__(self, other: NumericSketch) -> Self:
        """Return the sketch of the rows of both.

        Raises:
            ConfigError: Their bins differ.
        """
        if not self.bins.same(other.bins):
            raise ConfigError(
                "Two sketches over different bins cannot be added.",
                "Make both with the bins of the same reference.",
            )
        return type(self)(
            self.bins,
            self.counts + other.counts,
            self.sums + other.sums,
            self.missing + other.missing,
        )

    @property
    def finite(self) -> NDArray[np.int64]:
        """Values that are neither NaN nor infinite, shape ``(features,)``."""
        return np.asarray(self.counts.sum(axis=1))

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows behind each feature, shape ``(features,)``."""
        return self.finite + self.missing

    @property
    def below(self) -> NDArray[np.int64]:
        """Values lower than all of the reference's, shape ``(features,)``."""
        return self.counts[:, 0]

    @property
    def above(self) -> NDArray[np.int64]:
        """Values higher than all of the reference's, shape ``(features,)``."""
        return self.counts[:, -1]

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean of each feature's finite values; NaN where there is none."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.sums.sum(axis=1) / self.finite)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return ``counts``, ``sums`` and ``missing``, with one row for each feature."""
        return {"counts": self.counts, "sums": self.sums, "missing": self.missing}

    @classmethod
    def from_arrays(cls, bins: NumericBins, arrays: Mapping[str, ArrayLike]) -> Self:
        """Return the sketch whose ``to_arrays`` these are."""
        return cls(
            bins,
            np.asarray(arrays["counts"], np.int64),
            np.asarray(arrays["sums"], np.float64),
            np.asarray(arrays["missing"], np.int64),
        )


def sum_sketches(sketches: Iterable[NumericSketch], bins: NumericBins) -> NumericSketch:
    """Return the sketch of all rows of ``sketches``; of no rows if there is none."""
    return sum(sketches, NumericSketch.empty(bins))


@dataclass(frozen=True)
class CategoryCounts:
    """How often each category of a column was seen.

    Attributes:
        known: The reference's categories.
        counts: Rows of each known category, shape ``(categories,)``.
        unseen: Rows whose category the reference never held.
        missing: Rows without a category (None, or NaN).
        examples: A few of the categories that the reference never held.
    """

    known: tuple[str, ...]
    counts: NDArray[np.int64]
    unseen: int = 0
    missing: int = 0
    examples: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, values: Iterable[Any], known: Sequence[str] | None = None) -> Self:
        """Return the counts of ``values``; by default all their categories are known."""
        counter = Counter(None if _absent(value) else str(value) for value in values)
        missing = counter.pop(None, 0)
        named = {str(value): count for value, count in counter.items()}
        kept = tuple(sorted(named)) if known is None else tuple(known)
        counts = np.array([named.pop(name, 0) for name in kept], np.int64)
        examples = tuple(sorted(named, key=lambda name: (-named[name], name))[:_EXAMPLES])
        return cls(kept, counts, sum(named.values()), missing, examples)

    def __add__(self, other: CategoryCounts) -> Self:
        """Return the counts of both.

        Raises:
            ConfigError: Their known categories differ.
        """
        if self.known != other.known:
            raise ConfigError(
                "Two counts of different categories cannot be added.",
                "Make both with the categories of the same reference.",
            )
        return type(self)(
            self.known,
            self.counts + other.counts,
            self.unseen + other.unseen,
            self.missing + other.missing,
            tuple(dict.fromkeys(self.examples + other.examples))[:_EXAMPLES],
        )


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, (float, np.floating)) and bool(np.isnan(value)))


def _matrix(rows: ArrayLike) -> NDArray[np.floating[Any]]:
    values = np.asarray(rows)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    return values.reshape(len(values), math.prod(values.shape[1:]))


def _names(names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    return tuple(names) if names is not None else tuple(f"feature[{i}]" for i in range(count))


def _sorted_finite(column: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    ordered = np.sort(column)  # NaN comes last
    first = np.searchsorted(ordered, -np.inf, side="right")
    last = np.searchsorted(ordered, np.inf, side="left")
    return ordered[first:last].astype(np.float64)


def _edges(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 255 ascending ends for sorted values: just below the first, quantiles, the last."""
    if len(ordered) == 0:
        return np.zeros(BINS - 1)
    values = np.unique(ordered)
    if len(values) > BINS - 2:
        places = np.ceil(np.linspace(0, 1, BINS - 2) * len(ordered)).astype(int).clip(1) - 1
        values = np.unique(ordered[places])
    ends = np.concatenate(([np.nextafter(ordered[0], -np.inf)], values))
    return np.asarray(np.pad(ends, (0, BINS - 1 - len(ends)), mode="edge"))
