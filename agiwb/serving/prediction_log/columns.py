"""Predictions as columns of Parquet, and back.

A row is a request. ``input_<name>`` and ``output_<name>`` are lists, a tensor's values in C order;
null where a request had no such tensor. ``layout`` says how to put them together again: JSON, for
each tensor ``[side, name, type, shape, column]``. Where two requests have a tensor of the same name
and different types, the second has a column ``input_<name>:<type>``. ``segment`` and ``offset`` are
where the row was logged first, and together its key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agiwb.runtimes.runtime import Tensors
from agiwb.serving.prediction_log.prediction import Prediction

Side = Literal["input", "output"]

_OF_REQUEST = {
    "request_id": pa.string(),
    "time": pa.float64(),
    "model": pa.string(),
    "version": pa.int64(),
    "variant": pa.string(),
    "signature": pa.string(),
    "latency_ms": pa.float64(),
    "segment": pa.string(),
    "offset": pa.int64(),
    "layout": pa.string(),
}
_Key = tuple[tuple[Side, str, str, tuple[int, ...]], ...]
"""Side, name, type and shape of each tensor of a prediction."""

_TEXT, _BYTES = "text", "bytes"
_OF_TEXT = {_TEXT: pa.string(), _BYTES: pa.binary()}
# Arrow has no complex numbers: their real and imaginary parts follow each other.
_PARTS_OF_COMPLEX = {"complex64": np.float32, "complex128": np.float64}


@dataclass(frozen=True)
class LoggedRow:
    """A prediction and where it was logged first: the id of the segment, and the offset there."""

    segment: str
    offset: int
    prediction: Prediction


@dataclass(frozen=True)
class TensorLayout:
    """One tensor of a request: its values are in ``column``."""

    side: Side
    name: str
    type_name: str
    shape: tuple[int, ...]
    column: str


class Columns:
    """The columns that some predictions need; ``add`` each before asking for the schema."""

    def __init__(self) -> None:
        self._types: dict[str, str] = {}
        self._known: dict[_Key, tuple[list[TensorLayout], str]] = {}

    def add(self, prediction: Prediction) -> None:
        """Make sure that there is a column for each of the prediction's tensors."""
        self._layouts(prediction)

    @property
    def schema(self) -> Any:
        """The ``pyarrow.Schema``."""
        lists = {column: pa.list_(_arrow_type(name)) for column, name in self._types.items()}
        return pa.schema({**_OF_REQUEST, **lists})

    def batch(self, rows: Sequence[LoggedRow]) -> Any:
        """Return the rows as a ``pyarrow.RecordBatch``."""
        predictions = [row.prediction for row in rows]
        layouts = [self._layouts(prediction) for prediction in predictions]
        of_request = {
            "request_id": [prediction.request_id for prediction in predictions],
            "time": [prediction.time for prediction in predictions],
            "model": [prediction.model for prediction in predictions],
            "version": [prediction.version for prediction in predictions],
            "variant": [prediction.variant for prediction in predictions],
            "signature": [prediction.signature_name for prediction in predictions],
            "latency_ms": [prediction.latency_ms for prediction in predictions],
            "segment": [row.segment for row in rows],
            "offset": [row.offset for row in rows],
            "layout": [text for _, text in layouts],
        }
        values: dict[str, list[NDArray[Any] | None]] = {
            column: [None] * len(rows) for column in self._types
        }
        for index, (prediction, (its, _)) in enumerate(zip(predictions, layouts, strict=True)):
            for layout in its:
                tensors = prediction.inputs if layout.side == "input" else prediction.outputs
                values[layout.column][index] = tensors[layout.name].ravel()
        arrays = [pa.array(of_request[name], kind) for name, kind in _OF_REQUEST.items()]
        arrays += [_lists(values[column], name) for column, name in self._types.items()]
        return pa.record_batch(arrays, schema=self.schema)

    def _layouts(self, prediction: Prediction) -> tuple[list[TensorLayout], str]:
        """Return the layouts of a prediction's tensors, and the same as text."""
        key = self._key(prediction)
        found = self._known.get(key)
        if found is None:
            its = [self._layout(*tensor) for tensor in key]
            found = self._known[key] = its, _as_text(its)
        return found

    @staticmethod
    def _key(prediction: Prediction) -> _Key:
        sides: tuple[tuple[Side, Tensors], ...] = (
            ("input", prediction.inputs),
            ("output", prediction.outputs),
        )
        return tuple(
            (side, name, _type_name(array), array.shape)
            for side, tensors in sides
            for name, array in tensors.items()
        )

    def _layout(
        self, side: Side, name: str, type_name: str, shape: tuple[int, ...]
    ) -> TensorLayout:
        column = f"{side}_{name}"
        if self._types.get(column, type_name) != type_name:
            column = f"{column}:{type_name}"
        self._types.setdefault(column, type_name)
        return TensorLayout(side, name, type_name, shape, column)


def rows_of(batch: Any) -> Iterator[LoggedRow]:
    """Yield the rows of a ``pyarrow.RecordBatch`` that ``Columns`` made."""
    of_request = {name: batch.column(name).to_pylist() for name in _OF_REQUEST}
    lists = {
        name: ListColumn(batch.column(name))
        for name in batch.schema.names
        if name not in _OF_REQUEST
    }
    for index, layout in enumerate(of_request["layout"]):
        sides: dict[str, Tensors] = {"input": {}, "output": {}}
        for tensor in read_layout(layout):
            values = lists[tensor.column].values_of(index, index + 1)
            sides[tensor.side][tensor.name] = as_typed(values, tensor).reshape(tensor.shape)
        yield LoggedRow(
            of_request["segment"][index],
            of_request["offset"][index],
            Prediction(
                request_id=of_request["request_id"][index],
                time=of_request["time"][index],
                model=of_request["model"][index],
                version=of_request["version"][index],
                inputs=sides["input"],
                outputs=sides["output"],
                latency_ms=of_request["latency_ms"][index],
                variant=of_request["variant"][index],
                signature_name=of_request["signature"][index],
            ),
        )


class ListColumn:
    """A column of lists as one array and where in it each row begins."""

    def __init__(self, column: Any) -> None:
        self._starts = column.offsets.to_numpy(zero_copy_only=False)
        self._values = column.values.to_numpy(zero_copy_only=False)

    def values_of(self, first: int, last: int) -> NDArray[Any]:
        """Return the values of the rows from ``first`` to before ``last``, on end."""
        values: NDArray[Any] = self._values[self._starts[first] : self._starts[last]]
        return values


@lru_cache(maxsize=1024)
def read_layout(text: str) -> tuple[TensorLayout, ...]:
    """Return what an entry of the column ``layout`` says: inputs first, each side in order."""
    return tuple(
        TensorLayout(side, name, type_name, tuple(shape), column)
        for side, name, type_name, shape, column in json.loads(text)
    )


def as_typed(values: NDArray[Any], layout: TensorLayout) -> NDArray[Any]:
    """Return a column's values as the tensor had them."""
    if layout.type_name in _PARTS_OF_COMPLEX:
        return values.view(layout.type_name)
    return values if layout.type_name in _OF_TEXT else values.astype(layout.type_name, copy=False)


def _as_text(layouts: Sequence[TensorLayout]) -> str:
    return json.dumps(
        [[one.side, one.name, one.type_name, one.shape, one.column] for one in layouts]
    )


def _type_name(array: NDArray[Any]) -> str:
    if array.dtype.kind != "O":
        return _name_of(array.dtype)
    return _BYTES if any(isinstance(value, bytes) for value in array.flat) else _TEXT


@lru_cache
def _name_of(dtype: np.dtype[Any]) -> str:
    return dtype.name  # NumPy takes microseconds to put it together


def _arrow_type(name: str) -> Any:
    return _OF_TEXT.get(name) or pa.from_numpy_dtype(_PARTS_OF_COMPLEX.get(name, np.dtype(name)))


def _lists(values: Sequence[NDArray[Any] | None], type_name: str) -> Any:
    """Return the column of lists with ``values``, one array or None a row."""
    given = [array for array in values if array is not None]
    if type_name in _OF_TEXT:
        flat = pa.array([v for array in given for v in array.tolist()], _OF_TEXT[type_name])
        sizes = [0 if array is None else array.size for array in values]
    else:
        parts = _PARTS_OF_COMPLEX.get(type_name, np.dtype(type_name))
        flat = pa.array(
            np.concatenate([array.view(parts) for array in given] or [np.zeros(0, parts)])
        )
        sizes = [0 if array is None else array.view(parts).size for array in values]
    starts = pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32))
    absent = pa.array([array is None for array in values])
    return pa.ListArray.from_arrays(starts, flat, mask=absent)
