"""Single predictions with all their fields, for a question about one or a replay of many."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

from agiwb.serving.prediction_log.payload import decode_prediction, request_id_of, time_of
from agiwb.serving.prediction_log.places import Part, end_of
from agiwb.serving.prediction_log.prediction import Prediction
from agiwb.serving.prediction_log.sources import OpenSegment, open_sources

_ROWS_AT_ONCE = 256


def find_prediction(folder: Path, request_id: str) -> Prediction | None:
    """Return the prediction of a request logged in ``folder``, a model's; None if there is none.

    If a client gave the same id twice, it is one of the newest file with that id.

    Raises:
        WorkspaceError: There are more segments than a process may open.
    """
    wanted = request_id.encode()
    with open_sources(folder) as (segments, parts):
        for segment in sorted(segments, key=attrgetter("newest"), reverse=True):
            for _, payload in segment.frames(backwards=True):
                if request_id_of(payload) == wanted:
                    return decode_prediction(payload)
        for part in sorted(parts, key=attrgetter("day"), reverse=True):
            found = _find_in_part(part, request_id)
            if found is not None:
                return found
    return None


def iterate_predictions(
    folder: Path, start: float = -math.inf, end: float = math.inf
) -> Iterator[Prediction]:
    """Yield the predictions logged in ``folder``, a model's, from ``start`` to ``end``, by time.

    The log is read as it is at the first step. Memory: some 100 bytes a row that is not in Parquet
    yet, and a few hundred rows of each part of one day.

    Args:
        folder: The model's.
        start: The first Unix time in seconds.
        end: The last.

    Raises:
        WorkspaceError: There are more segments than a process may open.
    """
    by_time = attrgetter("time")
    with open_sources(folder) as (segments, parts):
        days = itertools.groupby(
            (part for part in sorted(parts, key=attrgetter("day")) if end_of(part.day) > start),
            key=attrgetter("day"),
        )
        # Days do not overlap, so that only one day's parts are open at a time.
        from_parts = itertools.chain.from_iterable(
            heapq.merge(*map(_rows_of_part, list(of_day)), key=by_time) for _, of_day in days
        )
        from_segments = [_rows_of_segment(segment, start, end) for segment in segments]
        for prediction in heapq.merge(from_parts, *from_segments, key=by_time):
            if prediction.time > end:
                return
            if prediction.time >= start:
                yield prediction


def _rows_of_segment(segment: OpenSegment, start: float, end: float) -> Iterator[Prediction]:
    places = [
        (moment, offset)
        for offset, payload in segment.frames()
        if start <= (moment := time_of(payload)) <= end
    ]
    for _, offset in sorted(places):
        yield segment.prediction_at(offset)


def _rows_of_part(part: Part) -> Iterator[Prediction]:
    from agiwb.serving.prediction_log.columns import rows_of

    file = _open(part)
    if file is not None:
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
            yield from (row.prediction for row in rows_of(batch))


def _find_in_part(part: Part, request_id: str) -> Prediction | None:
    from agiwb.serving.prediction_log.columns import rows_of

    file = _open(part)
    for index in reversed(range(file.metadata.num_row_groups if file else 0)):
        ids = file.read_row_group(index, columns=["request_id"])["request_id"].to_pylist()
        if request_id in ids:
            place = len(ids) - 1 - ids[::-1].index(request_id)
            group = file.read_row_group(index).slice(place, 1).combine_chunks()
            return next(rows_of(group.to_batches()[0])).prediction
    return None


def _open(part: Part) -> Any:
    """Return the part's ``ParquetFile``, or None if it was deleted."""
    try:
        return part.open()
    except FileNotFoundError:
        return None
