"""The rows of a log as Parquet's columns, whether they are in Parquet yet or in segments."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from agiwb.serving.prediction_log.payload import decode_prediction, time_of
from agiwb.serving.prediction_log.places import Part
from agiwb.serving.prediction_log.sources import OpenSegment


def tail_of(
    segments: Sequence[OpenSegment], start: float = -math.inf, end: float = math.inf
) -> Any:
    """Return the rows of segments as a ``pyarrow.Table``; None if there are none.

    Memory: all of them.

    Args:
        segments: What is in no part yet.
        start: The first Unix time in seconds.
        end: The last.
    """
    import pyarrow as pa

    from agiwb.serving.prediction_log.columns import Columns, LoggedRow

    columns = Columns()
    rows = [
        LoggedRow(segment.identifier, offset, decode_prediction(payload))
        for segment in segments
        if segment.newest >= start
        for offset, payload in segment.frames()
        if start <= time_of(payload) <= end
    ]
    for row in rows:
        columns.add(row.prediction)
    return pa.Table.from_batches([columns.batch(rows)]) if rows else None


def tables_of(part: Part) -> Iterator[Any]:
    """Yield a part's row groups as ``pyarrow.Table``; none if the part was deleted."""
    try:
        file = part.open()
    except FileNotFoundError:
        return
    with file:
        for index in range(file.num_row_groups):
            yield file.read_row_group(index)
