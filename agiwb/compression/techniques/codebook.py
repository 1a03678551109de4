"""Codebooks: the few values that a kernel's weights share, found by k-means in one dimension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Init = Literal["linear", "density", "kmeans++"]
"""Where centroids start: evenly between the extremes; evenly among the weights; far apart."""

LARGEST = 256
"""Entries of a codebook: an index into it takes a byte."""

_ITERATIONS = 100
_WEIGHTS_PER_ENTRY = 2
"""Of a kernel said to have a codebook: in a small kernel of free weights all are distinct."""


@dataclass(frozen=True)
class Codebook:
    """A kernel as indices into shared values.

    Attributes:
        entries: float32 ``(entries,)``; the first is the zero that stays zero, whether or not
            any weight is.
        indices: int32 of the kernel's shape.
        per_channel: Whether each output channel has entries of its own.
    """

    entries: NDArray[np.float32]
    indices: NDArray[np.int32]
    per_channel: bool = False

    def kernel(self) -> NDArray[np.float32]:
        """Return the weights that the indices stand for."""
        return self.entries[self.indices]


def fit_codebook(
    kernel: NDArray[Any],
    clusters: int,
    init: Init,
    seed: int,
    channels: tuple[int, ...] | None = None,
) -> Codebook:
    """Return the codebook of at most ``clusters`` values, zero among them if the kernel has zeros.

    Zeros stay zeros, and nothing else becomes one by being near: all other entries are spent on
    the weights that are not zero.

    Args:
        kernel: The weights, of any shape.
        clusters: The most distinct values that the kernel, or each channel, may keep.
        init: Where the centroids start.
        seed: Of ``kmeans++``; the others draw nothing.
        channels: Axes, counted from the last, whose every index gets a codebook of its own; None
            for one codebook.
    """
    draw = np.random.default_rng(seed)

    def centroids(weights: NDArray[Any]) -> NDArray[np.float64]:
        rest = weights[weights != 0]
        return kmeans(rest, clusters - (len(rest) < len(weights)), init, draw)

    return _assemble(kernel, centroids, channels)


def found_codebook(kernel: NDArray[Any], channels: tuple[int, ...]) -> Codebook | None:
    """Return the codebook that an earlier stage left in ``kernel``, or None if it has none.

    A kernel, or each of its channels, has one if it has at most 256 distinct values other than
    zero, each shared by two weights on average.
    """
    whole = _few_values(kernel)
    if (
        whole is None
        and channels
        and all(_few_values(row) is not None for row in _rows(kernel, channels))
    ):
        return _assemble(kernel, _distinct, channels)
    return None if whole is None else _assemble(kernel, _distinct, None)


def kmeans(
    weights: NDArray[Any], clusters: int, init: Init, draw: np.random.Generator
) -> NDArray[np.float64]:
    """Return at most ``clusters`` centroids of ``weights``, sorted; fewer if fewer are distinct.

    Lloyd's algorithm (Lloyd 1982) until nothing moves. In one dimension clusters are intervals of
    the sorted weights, so that sums over them come from one cumulative sum. Initialisations are
    those of Deep Compression (Han et al. 2016, arXiv:1510.00149, section 3.2), and k-means++
    (Arthur & Vassilvitskii 2007).

    Args:
        weights: ``(weights,)``.
        clusters: At least 1.
        init: Where the centroids start.
        draw: Randomness for ``kmeans++``.
    """
    ordered = np.sort(weights.astype(np.float64))
    distinct = np.unique(ordered)
    if len(distinct) <= clusters:
        return distinct
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centroids = _starts(ordered, clusters, init, draw)
    for _ in range(_ITERATIONS):
        inner = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2, side="right")
        bounds = np.concatenate([[0], inner, [len(ordered)]])
        counts = np.diff(bounds)
        means = np.diff(sums[bounds]) / np.maximum(counts, 1)
        moved = np.sort(np.where(counts > 0, means, centroids))
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    return centroids


def _starts(
    ordered: NDArray[np.float64], clusters: int, init: Init, draw: np.random.Generator
) -> NDArray[np.float64]:
    if init == "linear":
        return np.linspace(ordered[0], ordered[-1], clusters)
    if init == "density":
        return np.unique(np.quantile(ordered, (np.arange(clusters) + 0.5) / clusters))
    chosen = [draw.choice(ordered)]
    squares = (ordered - chosen[0]) ** 2
    while len(chosen) < clusters:
        chosen.append(draw.choice(ordered, p=squares / squares.sum()))
        squares = np.minimum(squares, (ordered - chosen[-1]) ** 2)
    return np.sort(chosen)


def _assemble(kernel: NDArray[Any], centroids: Any, channels: tuple[int, ...] | None) -> Codebook:
    """Return the codebook of the nearest ``centroids(weights)``, of the whole or by channel."""
    rows = _rows(kernel, channels or ())
    entries, indices = [np.zeros(1)], np.zeros(rows.shape, np.int32)
    offset = 1
    for row, target in zip(rows, indices, strict=True):
        own = centroids(row)
        if not len(own):
            continue
        nearest = np.searchsorted((own[1:] + own[:-1]) / 2, row)
        used, nearest = np.unique(nearest, return_inverse=True)
        target[:] = np.where(row == 0, 0, nearest + offset)
        entries.append(own[used])
        offset += len(used)
    return Codebook(
        np.concatenate(entries).astype(np.float32),
        _unrows(indices, kernel.shape, channels or ()),
        per_channel=channels is not None,
    )


def _distinct(weights: NDArray[Any]) -> NDArray[Any]:
    return np.unique(weights[weights != 0]).astype(np.float64)


def _few_values(weights: NDArray[Any]) -> int | None:
    """Return the number of distinct values other than zero if weights share them, else None."""
    rest = weights[weights != 0]
    count = len(np.unique(rest))
    return count if count <= min(LARGEST, rest.size // _WEIGHTS_PER_ENTRY) else None


def _rows(kernel: NDArray[Any], channels: tuple[int, ...]) -> NDArray[Any]:
    """Return ``kernel`` as ``(channels, weights of a channel)``; one row without channels."""
    front = tuple(range(len(channels)))
    moved = np.moveaxis(kernel, channels, front)
    count = int(np.prod(moved.shape[: len(channels)]))
    return moved.reshape(count, -1)


def _unrows(
    rows: NDArray[np.int32], shape: tuple[int, ...], channels: tuple[int, ...]
) -> NDArray[np.int32]:
    """Undo ``_rows`` for a kernel of ``shape``."""
    front = tuple(range(len(channels)))
    others = [size for axis, size in enumerate(shape) if axis - len(shape) not in channels]
    moved = rows.reshape(*(shape[axis] for axis in channels), *others)
    return np.ascontiguousarray(np.moveaxis(moved, front, channels))
