"""Reading the newest predictions as arrays, from Parquet and from the segments still written."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.serving.prediction_log.payload import decode_prediction
from agiwb.serving.prediction_log.places import Part, end_of
from agiwb.serving.prediction_log.sources import OpenSegment, open_sources
from agiwb.serving.prediction_log.window import PredictionWindow

_Shapes = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class _Block:
    """Rows of one segment or row group; ``segments`` and ``offsets`` set rows of one time apart."""

    times: NDArray[np.float64]
    versions: NDArray[np.int64]
    segments: NDArray[np.int64]
    offsets: NDArray[np.int64]
    features: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    @property
    def shapes(self) -> _Shapes:
        return self.features.shape[1:], self.probabilities.shape[1:]


@dataclass(frozen=True)
class _RowGroup:
    """A row group of a part."""

    file: Any
    index: int


def read_predictions(folder: Path, last_rows: int | None = None) -> PredictionWindow:
    """Return the newest ``last_rows`` predictions logged in ``folder``, a model's, or all of them.

    A frame that is still being written is skipped, and damage with a warning. So are, without,
    rows whose shapes are not the newest request's: they belong to a model with another signature;
    and requests whose first input or output is not numbers, or was redacted away. Memory: the rows
    returned, and one segment or row group.

    Raises:
        WorkspaceError: There are more segments than a process may open.
    """
    blocks: list[_Block] = []
    with open_sources(folder) as (segments, parts):
        # The newest source first; those that begin together as they come.
        order = itertools.count()
        queue: list[tuple[float, int, OpenSegment | Part | _RowGroup]] = [
            *((-segment.newest, next(order), segment) for segment in reversed(segments)),
            *((-end_of(part.day), next(order), part) for part in reversed(parts)),
        ]
        heapq.heapify(queue)
        while queue:
            bound, _, source = heapq.heappop(queue)
            if last_rows is not None and _rows_newer(blocks, -bound) >= last_rows:
                break
            if isinstance(source, Part):
                for newest, group in _row_groups(source):
                    heapq.heappush(queue, (-newest, next(order), group))
                continue
            shapes = blocks[0].shapes if blocks else None
            if isinstance(source, OpenSegment):
                blocks += _read_segment(source, last_rows, shapes)
            else:
                blocks += _read_row_group(source, shapes)
    return _window(blocks, last_rows)


def _rows_newer(blocks: Sequence[_Block], moment: float) -> int:
    return sum(int(np.count_nonzero(block.times > moment)) for block in blocks)


def _read_segment(
    segment: OpenSegment, last_rows: int | None, shapes: _Shapes | None
) -> list[_Block]:
    """Return the segment's newest rows of these shapes, by default of its newest request's."""
    found: list[tuple[float, int, int, NDArray[np.float32], NDArray[np.float32]]] = []
    rows = 0
    for offset, payload in segment.frames(backwards=True):
        if last_rows is not None and rows >= last_rows:
            break
        prediction = decode_prediction(payload)
        features, probabilities = _numbers(prediction.inputs), _numbers(prediction.outputs)
        if features is None or probabilities is None or len(features) != len(probabilities):
            continue
        its = features.shape[1:], probabilities.shape[1:]
        shapes = shapes or its
        if its == shapes:
            found.append((prediction.time, prediction.version, offset, features, probabilities))
            rows += len(features)
    if not found:
        return []
    times, versions, offsets, features_of, probabilities_of = zip(*found, strict=True)
    counts = [len(features) for features in features_of]
    return [
        _Block(
            times=np.repeat(np.array(times, np.float64), counts),
            versions=np.repeat(np.array(versions, np.int64), counts),
            segments=np.full(sum(counts), int(segment.identifier, 16), np.int64),
            offsets=np.repeat(np.array(offsets, np.int64), counts),
            features=np.concatenate(features_of),
            probabilities=np.concatenate(probabilities_of),
        )
    ]


def _row_groups(part: Part) -> Iterator[tuple[float, _RowGroup]]:
    """Yield the row groups with the time of their newest row; none if the part was deleted."""
    try:
        file = part.open()
    except FileNotFoundError:
        return
    time_column = file.schema_arrow.get_field_index("time")
    for index in range(file.metadata.num_row_groups):
        newest = file.metadata.row_group(index).column(time_column).statistics.max
        yield newest, _RowGroup(file, index)


def _read_row_group(group: _RowGroup, shapes: _Shapes | None) -> list[_Block]:
    """Return the group's rows of these shapes, by default of its newest request's."""
    from agiwb.serving.prediction_log.columns import read_layout
    from agiwb.serving.prediction_log.examples import examples_of

    layouts = group.file.read_row_group(group.index, columns=["layout"])["layout"].to_pylist()
    needed = set()
    for text in set(layouts):
        for side in ("input", "output"):
            first = next((layout for layout in read_layout(text) if layout.side == side), None)
            needed |= {first.column} if first else set()
    names = group.file.schema_arrow.names
    table = group.file.read_row_group(
        group.index,
        columns=[
            *("time", "version", "segment", "offset", "layout"),
            *(name for name in names if name in needed),
        ],
    )
    times, versions, offsets = (table[name].to_numpy() for name in ("time", "version", "offset"))
    segments = np.array([int(text, 16) for text in table["segment"].to_pylist()], np.int64)
    blocks: list[_Block] = []
    for examples in examples_of(table):
        features, probabilities = _numbers(examples.inputs), _numbers(examples.outputs)
        if features is None or probabilities is None:
            continue
        its = features.shape[1:], probabilities.shape[1:]
        shapes = shapes or its
        if its == shapes:
            rows = examples.requests
            blocks.append(
                _Block(
                    times=times[rows],
                    versions=versions[rows],
                    segments=segments[rows],
                    offsets=offsets[rows],
                    features=features,
                    probabilities=probabilities,
                )
            )
    return blocks


def _numbers(tensors: Mapping[str, NDArray[Any]]) -> NDArray[np.float32] | None:
    first = next(iter(tensors.values()), None)
    return None if first is None else _as_floats(np.atleast_1d(first))


def _as_floats(array: NDArray[Any]) -> NDArray[np.float32] | None:
    return array.astype(np.float32) if array.dtype.kind in "biuf" else None


def _window(blocks: Sequence[_Block], last_rows: int | None) -> PredictionWindow:
    if not blocks:
        nothing = np.zeros((0, 0), np.float32)
        return PredictionWindow(np.zeros(0), nothing, nothing, np.zeros(0, np.int64))
    times, versions, segments, offsets = (
        np.concatenate([getattr(block, name) for block in blocks])
        for name in ("times", "versions", "segments", "offsets")
    )
    order = np.lexsort((offsets, segments, times))
    if last_rows is not None:
        order = order[max(0, len(order) - last_rows) :]
    return PredictionWindow(
        times=times[order],
        features=np.concatenate([block.features for block in blocks])[order],
        probabilities=np.concatenate([block.probabilities for block in blocks])[order],
        versions=versions[order],
    )
