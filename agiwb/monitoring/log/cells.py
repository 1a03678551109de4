"""Rows of the log counted: one cell for each hour, version, variant, slice and feature.

A cell is a row of a table: ``counts`` and ``sums`` are those of ``NumericSketch`` for a feature of
kind ``numeric``; for one of kind ``category``, ``counts`` are those of the profile's known ones.
Both are kept as bytes, little-endian int64 and float64: Parquet takes ten times as long to put
lists together. Cells of one key add up to one, whatever was counted in which order; those of a
day's hours add up to one more cell, of the span of a day.
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

HOUR_S, DAY_S = 3600, 86_400
EVERYTHING = ""
"""The slice that holds all rows."""

KEYS = ("span", "hour", "version", "variant", "slice", "feature", "kind")
"""``hour`` is the Unix time at which the ``span`` begins, in seconds as that is."""
FIGURES = {"counts": "<i8", "sums": "<f8"}
"""The columns of bytes, and what those are."""
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
            **dict.fromkeys(KEYS[:3], pa.int64()),
            **dict.fromkeys(KEYS[3:], pa.string()),
            **dict.fromkeys(_ADDED, pa.int64()),
            **dict.fromkeys(FIGURES, pa.binary()),
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
    """Return a table of cells in which each key is once, in the order of spans and features."""
    import pyarrow as pa

    if not len(table):
        return cell_schema().empty_table()
    key_columns = [table[name].to_pylist() for name in KEYS]
    places: dict[tuple[Any, ...], list[int]] = {}
    for place, key in enumerate(zip(*key_columns, strict=True)):
        places.setdefault(key, []).append(place)
    keys = sorted(places, key=lambda key: (key[0], key[5], key[4], key[1], key[2], key[3]))
    order = np.array([place for key in keys for place in places[key]], np.int64)
    starts = np.cumsum([0, *(len(places[key]) for key in keys)])[:-1].astype(np.int64)
    merged: dict[str, Any] = {name: [key[index] for key in keys] for index, name in enumerate(KEYS)}
    for name in _ADDED:
        merged[name] = np.add.reduceat(table[name].to_numpy()[order], starts)
    for name, kind in FIGURES.items():
        blobs = table[name].to_pylist()
        merged[name] = [_sum_blobs([blobs[place] for place in places[key]], kind) for key in keys]
    examples = table["examples"].to_pylist()
    merged["examples"] = [
        sorted({text for place in places[key] for text in examples[place]})[:_MOST_EXAMPLES]
        for key in keys
    ]
    return pa.table(merged, schema=cell_schema())


def as_table(cells: list[dict[str, Any]]) -> Any:
    """Return cells of hours as a ``pyarrow.Table``, each key once, and the cells of their days."""
    import pyarrow as pa

    hours = merge_cells(pa.Table.from_pylist(cells, schema=cell_schema()))
    started = hours["hour"].to_numpy()
    days = hours.set_column(0, "span", pa.array(np.full(len(hours), DAY_S)))
    days = days.set_column(1, "hour", pa.array(started - started % DAY_S))
    return merge_cells(pa.concat_tables([hours, days]))


def figures_of(column: Any, name: str, width: int) -> NDArray[Any]:
    """Return ``counts`` or ``sums``, all of ``width`` numbers, as ``(cells, width)``; read-only."""
    if not len(column) or not width:
        return np.zeros((len(column), width), FIGURES[name])
    blobs = column.combine_chunks()
    blobs = blobs.chunk(0) if hasattr(blobs, "chunks") else blobs
    _, offsets, content = blobs.buffers()
    start = int(np.frombuffer(offsets, np.int32)[blobs.offset])
    kept = memoryview(content)[start : start + 8 * width * len(blobs)]
    return np.frombuffer(kept, FIGURES[name]).reshape(-1, width)


def _sum_blobs(blobs: list[bytes], kind: str) -> bytes:
    if len(blobs) == 1:
        return blobs[0]
    total: NDArray[Any] = np.sum([np.frombuffer(blob, kind) for blob in blobs], axis=0, dtype=kind)
    return bytes(total.tobytes())


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
    key = {"span": HOUR_S, "hour": group.hour, "version": group.version, "variant": group.variant}
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
            "counts": sketch.counts[place].astype("<i8").tobytes(),
            "sums": sketch.sums[place].astype("<f8").tobytes(),
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
            "counts": np.array(counts, "<i8").tobytes(),
            "sums": b"",
            "examples": sorted(found)[:_MOST_EXAMPLES],
        }


def _texts(column: NDArray[Any]) -> NDArray[Any]:
    if column.dtype.kind in "OSU":
        return np.array([category_text(value) for value in column.tolist()])
    values, places = np.unique(column, return_inverse=True, equal_nan=True)
    texts: NDArray[Any] = np.array([category_text(value) for value in values.tolist()])[places]
    return texts
