"""A data set of old and fresh examples, for a model that learns the new and keeps the old."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset, Split, SplitName
from agiwb.errors import DatasetError
from agiwb.maintenance.served_rows import FRESH, NOT_KNOWN, ORIGIN
from agiwb.runs.files import write_atomic

REPLAYED = "replayed"
_SHARES: tuple[tuple[SplitName, float], ...] = (("train", 0.6), ("validation", 0.8), ("test", 1.0))
_HASHES = 1 << 32


def split_of_rows(features: NDArray[np.float32]) -> NDArray[np.str_]:
    """Return the split of each row, drawn by the digest of its features: 60, 20 and 20 %.

    The same row is in the same split whenever it comes, also twice and also in the next
    retraining: what a model was trained on never judges it, or its successor.
    """
    flat = np.ascontiguousarray(features.reshape(len(features), -1).astype(np.float32))
    digests = [
        int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=4).digest(), "big") / _HASHES
        for row in flat
    ]
    bounds = [share for _, share in _SHARES[:-1]]
    return np.array([name for name, _ in _SHARES])[np.searchsorted(bounds, digests, side="right")]


def mix(old: Dataset, fresh: Split, replay: float, seed: int) -> dict[SplitName, Split]:
    """Return the splits of old and fresh examples together.

    Validation and test keep all old examples: what the model must not forget is judged in full.

    Args:
        old: What the champion was trained on.
        fresh: Examples of the same shape and classes.
        replay: Share of the old training examples that are trained on again.
        seed: Of their draw.

    Raises:
        DatasetError: There is no fresh example for one of the splits.
    """
    where = split_of_rows(fresh.features)
    mixed: dict[SplitName, Split] = {}
    for name, _ in _SHARES:
        kept = old[name]
        if name == "train":
            count = round(replay * len(kept))
            index = np.random.default_rng(seed).permutation(len(kept))[:count]
            kept = kept.take(np.sort(index))
        more = fresh.take(np.flatnonzero(where == name))
        if not len(more):
            raise DatasetError(
                f"None of the {len(fresh)} fresh examples falls into the {name} split.",
                "Label more requests.",
            )
        mixed[name] = _together(kept, more)
    return mixed


def write_mixed(folder: Path, splits: dict[SplitName, Split]) -> Path:
    """Return the ``.npz`` below ``folder`` that holds these splits, named by their content."""
    arrays: dict[str, NDArray[np.generic]] = {}
    digest = hashlib.sha256()
    for name, split in splits.items():
        digest.update(split.digest().encode())
        arrays[f"x_{name}"], arrays[f"y_{name}"] = split.features, split.labels
        for column, values in split.slices.items():
            arrays[f"slice_{column}_{name}"] = values.astype(str)
    path = folder / f"{digest.hexdigest()[:16]}.npz"
    if not path.exists():
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
        write_atomic(path, content.getvalue())
    return path


def _together(kept: Split, fresh: Split) -> Split:
    columns = {
        name: np.concatenate([values, fresh.slices.get(name, np.full(len(fresh), NOT_KNOWN))])
        for name, values in kept.slices.items()
        if name != ORIGIN
    }
    columns[ORIGIN] = np.repeat([REPLAYED, FRESH], [len(kept), len(fresh)])
    return Split(
        np.concatenate([kept.features, fresh.features.astype(kept.features.dtype)]),
        np.concatenate([kept.labels, fresh.labels]),
        columns,
    )
