"""NumPy arrays from the Open Inference Protocol's tensors, and back.

Contents are raw, one piece of bytes a tensor, or typed, in the field for the datatype. FP16 is
always raw.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import InputError
from agiwb.serving.rest_json.misfits import MOST_DIMENSIONS, is_possible
from agiwb.serving.rest_json.oip_binary import read_binary, write_binary
from agiwb.serving.rest_json.oip_types import datatype_of, dtype_of
from agiwb.serving.rest_json.strings import as_bytes, string_array

_FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The field of typed contents for each datatype that has one."""


def read_inputs(request: Any) -> dict[str, NDArray[Any]]:
    """Return the inputs of a ``ModelInferRequest`` by name.

    Raises:
        InputError: Datatype, shape and contents contradict one another, or a name is there twice.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InputError(
            f"The request has {len(request.inputs)} inputs, but {len(raw)} raw_input_contents.",
            "Send one for each input, in their order, or none.",
        )
    arrays: dict[str, NDArray[Any]] = {}
    for place, tensor in enumerate(request.inputs):
        if tensor.name in arrays:
            raise InputError(f"The input {tensor.name!r} is there twice.", "Send it once.")
        arrays[tensor.name] = _read(tensor, raw[place] if raw else None)
    return arrays


def write_output(array: NDArray[Any], tensor: Any, raw_contents: Any | None) -> None:
    """Write ``array``, name aside, to an empty ``InferOutputTensor``.

    Args:
        array: Any shape; text is written as UTF-8.
        tensor: The message.
        raw_contents: The response's list to add the bytes to; None writes typed contents.

    Raises:
        InputError: The protocol has no such datatype.
    """
    tensor.datatype = datatype_of(array.dtype)
    tensor.shape.extend(array.shape)
    if raw_contents is not None:
        raw_contents.append(write_binary(array))
        return
    values = array.ravel().tolist()
    if tensor.datatype == "BYTES":
        values = list(map(as_bytes, values))
    getattr(tensor.contents, _FIELDS[tensor.datatype]).extend(values)


def has_typed_contents(array: NDArray[Any]) -> bool:
    """Return whether there is a field for the array's values.

    Raises:
        InputError: The protocol has no such datatype.
    """
    return datatype_of(array.dtype) in _FIELDS


def _read(tensor: Any, raw: bytes | None) -> NDArray[Any]:
    shape = tuple(tensor.shape)
    if min(shape, default=0) < 0:
        raise _misfit(tensor, "a negative size", "Send the sizes of the tensor.")
    if not is_possible(shape):
        fix = f"Send at most {MOST_DIMENSIONS} sizes, of an array that fits in a memory."
        raise _misfit(tensor, "a shape that no array has", fix)
    dtype = dtype_of(tensor.datatype, tensor.name)
    if raw is None:
        return _typed(tensor, dtype, shape)
    if tensor.HasField("contents"):
        raise _misfit(tensor, "contents and raw_input_contents", "Send one of them.")
    return read_binary(memoryview(raw), dtype, shape, tensor.name)


def _typed(tensor: Any, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    field = _FIELDS.get(tensor.datatype)
    if field is None:
        raise _misfit(tensor, "no raw contents", "Send it in raw_input_contents.")
    values = getattr(tensor.contents, field)
    if len(values) != math.prod(shape):
        raise _misfit(tensor, f"{len(values)} {field}", f"Its shape needs {math.prod(shape)}.")
    if tensor.datatype == "BYTES":
        return string_array(values).reshape(shape)
    if field in {"int_contents", "uint_contents"}:
        limits = np.iinfo(dtype)
        wide = np.fromiter(values, np.int64, len(values))
        if wide.size and (wide.min() < limits.min or wide.max() > limits.max):
            ends = f"Send values from {limits.min} to {limits.max}."
            raise _misfit(tensor, "a value that it cannot hold", ends)
        return wide.astype(dtype).reshape(shape)
    return np.fromiter(values, dtype, len(values)).reshape(shape)


def _misfit(tensor: Any, came: str, fix: str) -> InputError:
    shape = ", ".join(map(str, tensor.shape))
    return InputError(
        f"The input {tensor.name!r} of {tensor.datatype} ({shape}) came with {came}.", fix
    )
