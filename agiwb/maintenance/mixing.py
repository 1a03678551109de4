"""A data set of old and fresh examples, for a model that learns the new and keeps the old."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.add import AddDatasetConfig
from agiwb.datasets.dataset import Dataset, Split, SplitName
from agiwb.errors import DatasetError
from agiwb.maintenance.served_rows import ORIGIN, together
from agiwb.runs.files import write_atomic

REPLAYED = "replayed"
_SHARES: tuple[tuple[SplitName, float], ...] = (("train", 0.6), ("validation", 0.8), ("test", 1.0))
_HASHES = 1 << 32


def split_of_rows(features: NDArray[Any]) -> NDArray[np.str_]:
    """Return the split of each row, drawn by the digest of its features: 60, 20 and 20 %.

    The same row is in the same split whenever it comes, also twice and also in the next
    retraining: what a model was trained on never judges it, or its successor.
    """
    digests = [
        int.from_bytes(hashlib.blake2b(row, digest_size=4).digest(), "big") / _HASHES
        for row in _bytes_of(features)
    ]
    bounds = [share for _, share in _SHARES[:-1]]
    return np.array([name for name, _ in _SHARES])[np.searchsorted(bounds, digests, side="right")]


def _bytes_of(features: NDArray[Any]) -> Iterator[bytes]:
    """Yield what tells an example from others: an array's numbers, or a row or text as written."""
    if features.dtype.names or features.dtype.kind == "O":
        for example in features.tolist():
            yield repr(example).encode("utf-8", "surrogatepass")
    else:
        for row in np.ascontiguousarray(features.reshape(len(features), -1), np.float32):
            yield row.tobytes()


def mix(old: Dataset, fresh: Split, replay: float, seed: int) -> dict[SplitName, Split]:
    """Return the splits of old and fresh examples together.

    Validation and test keep all old examples: what the model must not forget is judged in full.

    Args:
        old: What the champion was trained on.
        fresh: Examples of the same form and classes.
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
        mixed[name] = together(kept, more, np.full(len(kept), REPLAYED))
    return mixed


def write_mixed(
    folder: Path, model: str, old: Dataset, splits: dict[SplitName, Split]
) -> AddDatasetConfig:
    """Return how to add these splits, once they are in a file that is named by their content.

    Arrays are in an ``.npz``, rows of a table and texts in Parquet.

    Args:
        folder: Of the file.
        model: Begins the name of the data set.
        old: The kind, task and classes are its.
        splits: As of ``mix``.

    Raises:
        DatasetError: A column has the name of the one that tells old from fresh.
    """
    if ORIGIN in old.columns:
        raise DatasetError(
            f"{old.name} has a column `{ORIGIN}`, by which a retraining tells old rows from fresh.",
            "Rename that column, and train and serve a version on the renamed data.",
        )
    digest = hashlib.sha256()
    for split in splits.values():
        digest.update(split.digest().encode())
    stem = digest.hexdigest()[:16]
    name = re.sub(r"[^\w-]", "-", f"{model}-{stem}")
    about: dict[str, Any] = {"name": name, "classes": old.classes, "task": old.task}
    if old.features_are_numbers:
        path = folder / f"{stem}.npz"
        _write_once(path, lambda: _as_npz(splits))
        kind = old.kind if old.kind in {"image", "sequence"} else "array"
        return AddDatasetConfig(path=path, kind=kind, **about)
    path = folder / f"{stem}.parquet"
    text, label, whose = _free_names(("text", "label", "split"), {*old.columns, *old.train.slices})
    _write_once(path, lambda: _as_parquet(splits, old.classes, text, label, whose))
    about |= {"label": label, "split": whose, "slices": tuple(splits["train"].slices)}
    if old.kind == "text":
        return AddDatasetConfig(path=path, kind="text", text=text, **about)
    return AddDatasetConfig(path=path, kind="table", features=old.columns, **about)


def _write_once(path: Path, content: Callable[[], bytes]) -> None:
    if not path.exists():
        write_atomic(path, content())


def _as_npz(splits: dict[SplitName, Split]) -> bytes:
    arrays: dict[str, NDArray[Any]] = {}
    for name, split in splits.items():
        arrays[f"x_{name}"], arrays[f"y_{name}"] = split.features, split.labels
        for column, values in split.slices.items():
            arrays[f"slice_{column}_{name}"] = values.astype(str)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    return content.getvalue()


def _as_parquet(
    splits: dict[SplitName, Split], classes: tuple[str, ...], text: str, label: str, whose: str
) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for name, rows in splits.items():
        features = rows.features
        columns = {column: values.tolist() for column, values in rows.slices.items()}
        # A slice of a table that is a column of it is read from that column.
        columns |= {column: features[column].tolist() for column in features.dtype.names or ()}
        if not features.dtype.names:
            columns[text] = features.tolist()
        columns[label] = [classes[index] for index in rows.labels]
        columns[whose] = [name] * len(rows)
        tables.append(pa.table(columns))
    content = io.BytesIO()
    pq.write_table(pa.concat_tables(tables, promote_options="permissive"), content)
    return content.getvalue()


def _free_names(wanted: tuple[str, ...], taken: set[str]) -> list[str]:
    """Return names like those wanted that no column has."""
    free = []
    for name in wanted:
        while name in taken:
            name += "_"  # noqa: PLW2901
        free.append(name)
    return free
