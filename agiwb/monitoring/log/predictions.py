"""Logged predictions by time and version, asked of DuckDB: Parquet and what is not in it yet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import WorkError
from agiwb.monitoring.log.database import connect, let_read_shared, listed
from agiwb.monitoring.log.tail import tail_of
from agiwb.runtimes.runtime import Tensors
from agiwb.serving.prediction_log.examples import Examples, examples_of
from agiwb.serving.prediction_log.places import Part, day_of
from agiwb.serving.prediction_log.prediction import LOAD_TEST
from agiwb.serving.prediction_log.sources import open_sources
from agiwb.serving.prediction_log.window import PredictionWindow

_NUMBERS = "biuf"
_ATTEMPTS = 20
"""Retention may delete a part while it is read; each time that is what happened."""


@dataclass(frozen=True)
class LoggedPredictions:
    """Requests in order of time, as a ``pyarrow.Table`` with the columns of the log's Parquet."""

    table: Any

    def __len__(self) -> int:
        return len(self.table)

    @property
    def request_ids(self) -> NDArray[Any]:
        """The clients' or the server's ids, objects of shape ``(requests,)``."""
        return np.array(self.table["request_id"].to_pylist(), object)

    def window(self) -> PredictionWindow:
        """Return the examples as arrays, one row each: what was asked and the first output.

        Requests of another form than the newest one's are left out, and those without numbers in
        the answer.
        """
        return window_and_places(self.table)[0]


def read_predictions(
    folder: Path,
    start: float = -math.inf,
    end: float = math.inf,
    *,
    version: int | None = None,
    variant: str | None = None,
    last_requests: int | None = None,
) -> LoggedPredictions:
    """Return the requests logged in ``folder``, a model's, with all their columns.

    A server's newest requests are in it: what is not in Parquet is read from its segments.

    Args:
        folder: The model's.
        start: The first Unix time in seconds.
        end: The last.
        version: Those that this version answered; by default all.
        variant: ``champion``, ``challenger`` or ``load_test``; by default all but the last.
        last_requests: So many of the newest of them; by default all.

    Raises:
        WorkspaceError: There are more segments than a process may open.
        WorkError: Parts were deleted again and again while they were read.
    """
    condition, values = condition_of(start, end, version, variant)
    limit = "" if last_requests is None else f" LIMIT {int(last_requests)}"
    newest_first = 'ORDER BY time DESC, segment DESC, "offset" DESC'
    # What the user gave are parameters, and a number.
    query = f"SELECT * FROM predictions WHERE {condition} {newest_first}{limit}"  # noqa: S608
    for connection in attempts(folder, start, end):
        with connection as ours:
            table = ours.sql(query, params=values).to_arrow_table()
            return LoggedPredictions(table.take(np.arange(len(table))[::-1]))
    raise WorkError(
        f"Parts of the log in {folder} were deleted each time they were read.", "Try it again."
    )


def read_latencies(
    folder: Path, before: float, *, version: int | None = None, last_requests: int = 5_000
) -> NDArray[np.float64]:
    """Return the milliseconds of the newest requests logged before a moment, the newest first.

    Args:
        folder: The model's.
        before: Unix time in seconds.
        version: Those that this version answered; by default all.
        last_requests: At most so many.

    Raises:
        WorkspaceError: There are more segments than a process may open.
        WorkError: Parts were deleted again and again while they were read.
    """
    end = math.nextafter(before, -math.inf)
    condition, values = condition_of(-math.inf, end, version, None)
    query = (
        f"SELECT latency_ms FROM predictions WHERE {condition} "  # noqa: S608  as above
        f"ORDER BY time DESC LIMIT {int(last_requests)}"
    )
    for connection in attempts(folder, -math.inf, end):
        with connection as ours:
            return np.asarray(ours.sql(query, params=values).to_arrow_table()["latency_ms"])
    raise WorkError(
        f"Parts of the log in {folder} were deleted each time they were read.", "Try it again."
    )


def condition_of(
    start: float, end: float, version: int | None, variant: str | None
) -> tuple[str, list[Any]]:
    """Return what a request must fulfil, in SQL, and the values in it."""
    wanted: list[tuple[str, Any]] = [("time >= ?", start), ("time <= ?", end)]
    if version is not None:
        wanted.append(("version = ?", version))
    wanted.append(("variant <> ?", LOAD_TEST) if variant is None else ("variant = ?", variant))
    return " AND ".join(text for text, _ in wanted), [value for _, value in wanted]


def attempts(folder: Path, start: float, end: float) -> Iterator[Any]:
    """Yield a few times a context with a DuckDB connection that has the view ``predictions``.

    The view holds each request once, also while a server and a compaction are at work. A context
    in which a part turned out to be gone is left quietly, and the next one yielded.
    """
    import duckdb

    @contextmanager
    def attempt() -> Iterator[Any]:
        for tries_left in reversed(range(_ATTEMPTS)):
            with open_sources(folder) as (segments, parts), connect() as connection:
                read = _between(parts, start, end)
                try:
                    _define(connection, read, tail_of(segments, start, end))
                except duckdb.Error:
                    if not tries_left or all(part.exists() for part in read):
                        raise
                    continue
                try:
                    yield connection
                except duckdb.Error:
                    if all(part.exists() for part in read):
                        raise
            return

    for _ in range(_ATTEMPTS):
        yield attempt()


def window_and_places(table: Any) -> tuple[PredictionWindow, NDArray[np.int64], NDArray[np.int64]]:
    """Return the window of some requests; of each row, its request's place and its own in that.

    Args:
        table: Requests in order of time.
    """
    found = []
    form = None
    for examples in examples_of(table) if len(table) else ():
        pair = _asked_and_answered(examples)
        if pair is None:
            continue
        its = tuple((array.dtype, array.shape[1:]) for array in pair)
        form = form or its
        if its == form:
            found.append((examples.requests, *pair))
    if not found:
        nothing = np.zeros((0, 0), np.float32)
        empty = np.zeros(0, np.int64)
        return PredictionWindow(np.zeros(0), nothing, nothing, empty), empty, empty
    requests, features, probabilities = map(np.concatenate, zip(*found, strict=True))
    order = np.argsort(requests, kind="stable")
    requests = requests[order]
    firsts = np.searchsorted(requests, requests, side="left")
    window = PredictionWindow(
        times=table["time"].to_numpy()[requests],
        features=features[order],
        probabilities=probabilities[order],
        versions=table["version"].to_numpy()[requests],
    )
    return window, requests, np.arange(len(requests), dtype=np.int64) - firsts


def _between(parts: Sequence[Part], start: float, end: float) -> list[Part]:
    """Return the parts that may hold rows of a stretch of time."""
    earliest = "" if math.isinf(start) else day_of(start)
    latest = "9" if math.isinf(end) else day_of(end)
    return [part for part in parts if earliest <= part.day <= latest]


def _define(connection: Any, parts: Sequence[Part], tail: Any) -> None:
    """Make the view ``predictions`` of parts and of what is in none."""
    from agiwb.serving.prediction_log.columns import Columns

    let_read_shared(connection, parts)
    # One without rows has the columns of every request.
    connection.register("tail", tail if tail is not None else Columns().schema.empty_table())
    source = "SELECT * FROM tail"
    if parts:
        files = listed([part.address for part in parts])
        parts_of_it = f"read_parquet({files}, union_by_name = true, hive_partitioning = 0)"
        source = f"SELECT * FROM {parts_of_it} UNION ALL BY NAME {source}"  # noqa: S608  quoted
    connection.sql(source).create_view("predictions")


def _asked_and_answered(examples: Examples) -> tuple[NDArray[Any], NDArray[np.float32]] | None:
    asked = _as_features(examples.inputs)
    answered = next(iter(examples.outputs.values()), None)
    if asked is None or answered is None or answered.dtype.kind not in _NUMBERS:
        return None
    return asked, answered.astype(np.float32)


def _as_features(inputs: Tensors) -> NDArray[Any] | None:
    """Return inputs as data sets hold examples (see ``Kind``); None if they are nothing of that.

    One input of numbers is an array, one of texts objects, and several, each of one value an
    example, are the columns of a table. Of several others it is the first that counts.
    """
    known = {name: array for name, array in inputs.items() if array.dtype.kind in _NUMBERS + "OSU"}
    if not known:
        return None
    are_columns = len(known) == len(inputs) > 1
    if are_columns and all(array.size == len(array) for array in known.values()):
        columns = {name: _column(array) for name, array in known.items()}
        made = np.empty(
            len(next(iter(columns.values()))),
            dtype=[(name, column.dtype) for name, column in columns.items()],
        )
        for name, column in columns.items():
            made[name] = column
        return made
    first = next(iter(known.values()))
    if first.dtype.kind in _NUMBERS:
        return first.astype(np.float32)
    return _column(first) if first.size == len(first) else None


def _column(array: NDArray[Any]) -> NDArray[Any]:
    flat = array.reshape(len(array))
    if flat.dtype.kind in _NUMBERS:
        return flat.astype(np.float32)
    texts = np.empty(len(flat), object)
    texts[:] = [_text_of(value) for value in flat.tolist()]
    return texts


def _text_of(value: Any) -> str:
    """Return a logged text as a ``str``; bytes that are no UTF-8 have replacements in it."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)
