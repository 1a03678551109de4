"""Equal examples, within a split and across splits."""

from __future__ import annotations

import hashlib
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Split
from agiwb.datasets.quality.report import Duplicates

Hashes = NDArray[np.uint64]


def find_duplicates(looked_at: dict[str, Split], rows: dict[str, NDArray[Any]]) -> Duplicates:
    """Return how many examples are equal, by 64-bit hashes of their features.

    Rows of a table are equal if their labels are, too: with few columns, or with gaps, different
    things have the same features.

    Among a million examples two different ones share a hash with a probability of 3 in 100 million.

    Args:
        looked_at: The examples, by the name of their split.
        rows: The row number of each of them in its split; empty if that is not known.
    """
    features = _hashes(looked_at)
    hashes = features
    if next(iter(looked_at.values())).features.dtype.names:
        hashes = {name: own ^ _of_labels(looked_at[name].labels) for name, own in features.items()}
    within, across, examples = {}, {}, {}
    for name, own in hashes.items():
        order = np.argsort(own, kind="stable")
        repeats = np.flatnonzero(own[order][1:] == own[order][:-1])
        within[name] = len(repeats)
        if len(repeats) and len(rows[name]):
            pair = order[repeats[0] : repeats[0] + 2]
            examples[name] = (int(rows[name][pair[0]]), int(rows[name][pair[1]]))
    for first, second in combinations(hashes, 2):
        name = f"{first} and {second}"
        shared = np.flatnonzero(np.isin(hashes[second], hashes[first]))
        across[name] = len(shared)
        if len(shared) and len(rows[first]) and len(rows[second]):
            twin = int(np.flatnonzero(hashes[first] == hashes[second][shared[0]])[0])
            examples[name] = (int(rows[first][twin]), int(rows[second][shared[0]]))
    labels = [split.labels for split in looked_at.values()]
    disagreeing = _disagreeing(np.concatenate(list(features.values())), np.concatenate(labels))
    return Duplicates(within=within, across=across, disagreeing=disagreeing, rows=examples)


def _hashes(looked_at: dict[str, Split]) -> dict[str, Hashes]:
    everything = [split.features for split in looked_at.values()]
    if everything[0].dtype.names:
        everything = _columns_as_numbers(everything)
    return {
        name: _hashes_of_rows(features)
        for name, features in zip(looked_at, everything, strict=True)
    }


def _columns_as_numbers(parts: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return the rows of tables as uint32 ``(rows, columns)``, equal where the values are."""
    import pandas as pd

    names = parts[0].dtype.names or ()
    whole = np.empty((sum(map(len, parts)), len(names)), np.uint32)
    for number, name in enumerate(names):
        values = np.concatenate([part[name] for part in parts])
        if values.dtype.kind == "f":
            whole[:, number] = (values.astype(np.float32) + 0.0).view(np.uint32)  # no minus zero
        else:
            whole[:, number] = pd.factorize(values)[0]
    return np.split(whole, np.cumsum([len(part) for part in parts])[:-1])


def _hashes_of_rows(features: NDArray[Any]) -> Hashes:
    if features.dtype.kind == "O":
        texts = (str(text).encode("utf-8", "surrogatepass") for text in features)
        return _joined(hashlib.blake2b(text, digest_size=8).digest() for text in texts)
    if features.dtype.kind == "f":
        features = features + features.dtype.type(0)  # minus zero becomes zero
    rows = np.ascontiguousarray(features.reshape(len(features), -1))
    return _joined(hashlib.blake2b(row, digest_size=8).digest() for row in rows.view(np.uint8))


def _of_labels(labels: NDArray[Any]) -> Hashes:
    return _hashes_of_rows(labels.astype(np.float64)[:, np.newaxis])


def _joined(digests: Any) -> Hashes:
    return np.frombuffer(b"".join(digests), np.uint64)


def _disagreeing(hashes: Hashes, labels: NDArray[Any]) -> int:
    """Return how many examples have an equal one with another label."""
    if labels.ndim == 2:
        labels = _hashes_of_rows(labels)
    order = np.argsort(hashes, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(hashes[order]) != 0]))
    ordered = labels[order]
    differs = np.maximum.reduceat(ordered, starts) != np.minimum.reduceat(ordered, starts)
    sizes = np.diff([*starts, len(hashes)])
    return int(sizes[differs].sum())
