"""Rows of the log counted: one cell for each hour, version, variant, slice and feature.

A cell is a row of a table: ``counts`` and ``sums`` are those of ``NumericSketch`` for a feature of
kind ``numeric``; for one of kind ``category``, ``counts`` are those of the profile's known ones.
Cells of one key add up to one, whatever was counted in which order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agiwb.monitoring.log.profile import (
    Profile,
    category_text,
    columns_of,
    count_categories,
    form_of,
)
from agiwb.monitoring.sketches import NumericSketch
from agiwb.serving.prediction_log.examples import Examples, examples_of

HOUR_S = 3600
EVERYTHING = ""
"""The slice that holds all rows."""

KEYS = ("hour", "version", "variant", "slice", "feature", "kind")
_ADDED = ("rows", "missing", "below", "above", "unseen")
_MOST_EXAMPLES = 5


class _Group(NamedTuple):
    """Examples of one hour, version and variant: their places."""

    hour: int
    version: int
    variant: str
    places: NDArray[np.intp]


def cell_schema() -> Any:
    """Return the ``pyarrow.Schema`` of a table of cells."""
    import pyarrow as pa

    return pa.schema(
        {
            "hour": pa.int64(),
            "version": pa.int64(),
            **dict.fromkeys(KEYS[2:], pa.string()),
            **dict.fromkeys(_ADDED, pa.int64()),
            "counts": pa.list_(pa.int64()),
            "sums": pa.list_(pa.float64()),
            "examples": pa.list_(pa.string()),
        }
    )


def examples_and_requests(table: Any) -> Iterator[tuple[Examples, Mapping[str, NDArray[Any]]]]:
    """Yield the examples of a table of logged rows, and of each its request's columns.

    The columns are ``time``, ``version``, ``variant`` and ``latency_ms``, of shape ``(rows,)``.
    """
    requests = {
        name: table[name].to_numpy() for name in ("time", "version", "variant", "latency_ms")
    }
    for examples in examples_of(table):
        yield examples, {name: column[examples.requests] for name, column in requests.items()}


def count_table(profile: Profile, table: Any) -> list[dict[str, Any]]:
    """Return the cells of those rows of a table that are of the profile's form."""
    cells: list[dict[str, Any]] = []
    for examples, requests in examples_and_requests(table):
        if form_of(examples) == profile.form:
            columns = columns_of(examples, requests["latency_ms"])
            for group in _groups(requests):
                cells += _count_group(profile, columns, group)
    return cells


def merge_cells(table: Any) -> Any:
    """Return a table of cells in which each key is once, in the order of features and hours."""
    import pyarrow as pa

    key_columns = [table[name].to_pylist() for name in KEYS]
    places: dict[tuple[Any, ...], list[int]] = {}
    for place, key in enumerate(zip(*key_columns, strict=True)):
        places.setdefault(key, []).append(place)
    keys = sorted(places, key=lambda key: (key[4], key[3], key[0], key[1], key[2]))
    order = np.array([place for key in keys for place in places[key]], np.int64)
    starts = np.cumsum([0, *(len(places[key]) for key in keys)])[:-1].astype(np.int64)
    merged: dict[str, Any] = {name: [key[index] for key in keys] for index, name in enumerate(KEYS)}
    if not keys:
        return table.schema.empty_table()
    for name in _ADDED:
        merged[name] = np.add.reduceat(table[name].to_numpy()[order], starts)
    for name in ("counts", "sums"):
        lists = np.empty(len(table), object)
        lists[:] = [np.asarray(values) for values in lists_of(table[name])]
        ordered = lists[order]
        ends = np.append(starts[1:], len(order))
        merged[name] = [
            np.stack(list(ordered[start:end])).sum(axis=0) if end - start > 1 else ordered[start]
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]
    examples = table["examples"].to_pylist()
    merged["examples"] = [
        sorted({text for place in places[key] for text in examples[place]})[:_MOST_EXAMPLES]
        for key in keys
    ]
    return pa.table(merged, schema=cell_schema())


def lists_of(column: Any) -> list[NDArray[Any]]:
    """Return the lists of a column of numbers as arrays that share its memory."""
    found: list[NDArray[Any]] = []
    for chunk in column.chunks:
        values, offsets = chunk.values.to_numpy(), chunk.offsets.to_numpy()
        found += np.split(values[offsets[0] : offsets[-1]], offsets[1:-1] - offsets[0])
    return found


def as_table(cells: list[dict[str, Any]]) -> Any:
    """Return cells as a ``pyarrow.Table``, each key once."""
    import pyarrow as pa

    table = pa.Table.from_pylist(cells, schema=cell_schema())
    return merge_cells(table)


def _groups(requests: Mapping[str, NDArray[Any]]) -> Iterator[_Group]:
    hours = np.floor(requests["time"] / HOUR_S).astype(np.int64) * HOUR_S
    variants, variant_of = np.unique(requests["variant"].astype(str), return_inverse=True)
    keys = np.column_stack([hours, requests["version"], variant_of])
    found, group_of = np.unique(keys, axis=0, return_inverse=True)
    order = np.argsort(group_of.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(group_of.ravel()))
    for (hour, version, variant), places in zip(
        found.tolist(), np.split(order, ends[:-1]), strict=True
    ):
        yield _Group(hour, version, str(variants[variant]), places)


def _count_group(
    profile: Profile, columns: Mapping[str, NDArray[Any]], group: _Group
) -> Iterator[dict[str, Any]]:
    its = {name: column[group.places] for name, column in columns.items()}
    key = {"hour": group.hour, "version": group.version, "variant": group.variant}
    yield from _count(profile, its, {**key, "slice": EVERYTHING})
    for name in profile.slices:
        texts = _texts(its[name])
        for value in np.unique(texts).tolist():
            chosen = texts == value
            if value not in profile.categories[name]:
                continue
            rows = {other: column[chosen] for other, column in its.items()}
            yield from _count(profile, rows, {**key, "slice": f"{name}={value}"})


def _count(
    profile: Profile, columns: Mapping[str, NDArray[Any]], key: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield the cells of some rows of one key."""
    sketch = NumericSketch.of(profile.bins, profile.numbers(columns))
    for place, name in enumerate(profile.bins.names):
        yield {
            **key,
            "feature": name,
            "kind": "numeric",
            "rows": int(sketch.rows[place]),
            "missing": int(sketch.missing[place]),
            "below": int(sketch.below[place]),
            "above": int(sketch.above[place]),
            "unseen": 0,
            "counts": sketch.counts[place],
            "sums": sketch.sums[place],
            "examples": [],
        }
    for name, known in profile.categories.items():
        found = count_categories(columns[name])
        missing = found.pop("", 0)
        counts = [found.pop(text, 0) for text in known]
        unseen = sum(found.values())
        yield {
            **key,
            "feature": name,
            "kind": "category",
            "rows": missing + sum(counts) + unseen,
            "missing": missing,
            "below": 0,
            "above": 0,
            "unseen": unseen,
            "counts": counts,
            "sums": [],
            "examples": sorted(found)[:_MOST_EXAMPLES],
        }


def _texts(column: NDArray[Any]) -> NDArray[Any]:
    if column.dtype.kind in "OSU":
        return np.array([category_text(value) for value in column.tolist()])
    values, places = np.unique(column, return_inverse=True, equal_nan=True)
    texts: NDArray[Any] = np.array([category_text(value) for value in values.tolist()])[places]
    return texts
