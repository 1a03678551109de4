"""NumPy arrays from TensorFlow's ``TensorProto``, and back.

A TensorProto holds its values either as bytes, in ``tensor_content``, or one by one, in the field
for its type. Fewer values than the shape needs are no error: the last one fills the rest, and
without any the tensor is zero (TensorFlow's ``Tensor::FromProto``). Bytes are read without a copy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import InputError
from agiwb.serving.protobuf.messages import enum_numbers
from agiwb.serving.protobuf.string_list import read_string_list
from agiwb.serving.rest_json.misfits import MOST_DIMENSIONS, is_possible
from agiwb.serving.rest_json.strings import as_bytes, string_array

MOST_REPEATED_BYTES = 1 << 26
"""What one repeated value may grow to: a few bytes on the wire must not fill the memory."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How values of one type travel: their layout in bytes, and the field they have otherwise.

    ``dtype`` is the layout in this machine's order of bytes: NumPy's own object for the type, so
    that runtimes recognize it at once.
    """

    name: str
    layout: np.dtype[Any]
    dtype: np.dtype[Any]
    field: str


def _kind(name: str, layout: str, field: str) -> _Kind:
    return _Kind(name, np.dtype(layout), np.dtype(np.dtype(layout).name), field)


_KINDS = (
    _kind("DT_FLOAT", "<f4", "float_val"),
    _kind("DT_DOUBLE", "<f8", "double_val"),
    _kind("DT_INT32", "<i4", "int_val"),
    _kind("DT_UINT8", "u1", "int_val"),
    _kind("DT_INT16", "<i2", "int_val"),
    _kind("DT_INT8", "i1", "int_val"),
    _kind("DT_STRING", "O", "string_val"),
    _kind("DT_COMPLEX64", "<c8", "scomplex_val"),
    _kind("DT_INT64", "<i8", "int64_val"),
    _kind("DT_BOOL", "?", "bool_val"),
    _kind("DT_UINT16", "<u2", "int_val"),
    _kind("DT_COMPLEX128", "<c16", "dcomplex_val"),
    _kind("DT_HALF", "<f2", "half_val"),
    _kind("DT_UINT32", "<u4", "uint32_val"),
    _kind("DT_UINT64", "<u8", "uint64_val"),
)
_NUMBERS = enum_numbers("tensorflow.DataType")
_NAMES = {number: name for name, number in _NUMBERS.items()}
_BY_NUMBER = {_NUMBERS[kind.name]: kind for kind in _KINDS}
_BY_NUMPY = {kind.dtype.name: kind for kind in _KINDS}
_BFLOAT16 = _NUMBERS["DT_BFLOAT16"]
_FIELDS = sorted({kind.field for kind in _KINDS})


def data_type(dtype: str) -> int:
    """Return TensorFlow's number for NumPy's name of an element type; ``object`` is a string.

    Raises:
        InputError: TensorFlow has no such type, or this server does not carry it.
    """
    return _NUMBERS[_kind_of(np.dtype(dtype)).name]


def read_tensor(proto: Any, name: str = "") -> NDArray[Any]:
    """Return the values of a TensorProto; read-only where they came as bytes.

    Strings become an object array, of ``str`` where all are text and else of ``bytes``; bfloat16,
    which NumPy lacks, becomes float32.

    Args:
        proto: The message.
        name: The input's name, for the error.

    Raises:
        InputError: The type is not carried, or type, shape and values contradict one another.
    """
    shape = _shape(proto, name)
    if proto.dtype == _BFLOAT16:
        return _read_bfloat16(proto, shape, name)
    kind = _BY_NUMBER.get(proto.dtype)
    if kind is None:
        raise InputError(
            f"The tensor {name!r} has the type {_NAMES.get(proto.dtype, proto.dtype)}, "
            "which this server does not carry.",
            f"Use one of: {', '.join(entry.name for entry in _KINDS)}, DT_BFLOAT16.",
        )
    if proto.tensor_content:
        return _from_content(proto.tensor_content, kind, shape, name)
    return _fill(_from_field(proto, kind, name), shape, name)


def write_tensor(array: NDArray[Any], proto: Any, as_content: bool = False) -> None:
    """Write ``array`` to an empty TensorProto.

    Args:
        array: Any shape; text is written as UTF-8.
        proto: The message.
        as_content: Write bytes rather than values one by one; strings never are.

    Raises:
        InputError: TensorFlow has no type for the array's.
    """
    kind = _kind_of(array.dtype)
    proto.dtype = _NUMBERS[kind.name]
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add().size = size
    if kind.dtype.hasobject:
        proto.string_val.extend(map(as_bytes, array.ravel().tolist()))
    elif as_content:
        proto.tensor_content = array.astype(kind.layout, copy=False).tobytes()
    else:
        getattr(proto, kind.field).extend(_plain(array.ravel()).tolist())


def _kind_of(dtype: np.dtype[Any]) -> _Kind:
    name = "object" if dtype.kind in "SU" else dtype.name
    try:
        return _BY_NUMPY[name]
    except KeyError:
        raise InputError(
            f"A tensor of type {name} cannot be sent: TensorProto has no field for it.",
            f"Convert the model to one of: {', '.join(_BY_NUMPY)}.",
        ) from None


def _shape(proto: Any, name: str) -> tuple[int, ...]:
    if proto.tensor_shape.unknown_rank:
        raise InputError(
            f"The tensor {name!r} has an unknown number of dimensions.", "Send its shape."
        )
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if min(shape, default=0) < 0 or not is_possible(shape):
        raise InputError(
            f"The tensor {name!r} has the shape {_listed(shape)}.",
            f"Send at most {MOST_DIMENSIONS} sizes, none of them negative, of an array that "
            "fits in a memory.",
        )
    return shape


def _from_content(content: bytes, kind: _Kind, shape: tuple[int, ...], name: str) -> NDArray[Any]:
    count = math.prod(shape)
    if kind.dtype.hasobject:
        return string_array(read_string_list(content, count, name)).reshape(shape)
    if len(content) != count * kind.dtype.itemsize:
        raise InputError(
            f"The tensor {name!r} holds {len(content)} bytes of tensor_content, but its shape "
            f"{_listed(shape)} of {kind.name} needs {count * kind.dtype.itemsize}.",
            "Send the values row by row, little-endian.",
        )
    if kind.dtype.kind == "b":  # any byte but 0 is true, and NumPy relies on its being 1
        truths: NDArray[np.bool_] = np.frombuffer(content, np.uint8) != 0
        return truths.reshape(shape)
    values = np.frombuffer(content, kind.layout).reshape(shape)
    return values if kind.layout is kind.dtype else values.astype(kind.dtype)


def _from_field(proto: Any, kind: _Kind, name: str) -> NDArray[Any]:
    """Return the values of the field for ``kind``, one-dimensional."""
    values = getattr(proto, kind.field)
    if not values:
        _check_no_other(proto, kind, name)
    if kind.dtype.hasobject:
        return string_array(values)
    native = kind.dtype
    if kind.field == "half_val":
        return _bits(values, name).view(native)
    if native.kind == "c":
        return _complex(values, native, name)
    if kind.field == "int_val" and native.itemsize < 4:
        return _narrow(np.fromiter(values, np.int32, len(values)), native, name)
    return np.fromiter(values, native, len(values))


def _check_no_other(proto: Any, kind: _Kind, name: str) -> None:
    """Refuse values in the field of another type, which TensorFlow would read as zeros."""
    for field in _FIELDS:
        if getattr(proto, field):
            raise InputError(
                f"The tensor {name!r} is of {kind.name}, but its values are in {field}.",
                f"Send them in {kind.field}, or as tensor_content.",
            )


def _fill(values: NDArray[Any], shape: tuple[int, ...], name: str) -> NDArray[Any]:
    """Return ``values`` in ``shape``, the last one repeated where they do not suffice."""
    count = math.prod(shape)
    if len(values) == count:
        return values.reshape(shape)
    if len(values) > count:
        raise InputError(
            f"The tensor {name!r} holds {len(values)} values, but its shape {_listed(shape)} "
            f"has room for {count}.",
            "Send the shape of the values in tensor_shape.",
        )
    if count * values.dtype.itemsize > MOST_REPEATED_BYTES:
        raise InputError(
            f"The tensor {name!r} holds {len(values)} values to be repeated to the shape "
            f"{_listed(shape)}, which is more than {MOST_REPEATED_BYTES} bytes.",
            "Send every value.",
        )
    filler: Any = values[-1] if len(values) else ("" if values.dtype.hasobject else 0)
    filled = np.full(count, filler, values.dtype)
    filled[: len(values)] = values
    return filled.reshape(shape)


def _read_bfloat16(proto: Any, shape: tuple[int, ...], name: str) -> NDArray[Any]:
    """Return float32: a bfloat16 is the upper half of one."""
    if proto.tensor_content:
        bits = _from_content(proto.tensor_content, _kind("DT_BFLOAT16", "<u2", ""), shape, name)
    else:
        bits = _fill(_bits(proto.half_val, name), shape, name)
    widened = np.left_shift(bits.astype(np.uint32), np.uint32(16))
    return widened.view(np.float32)


def _bits(values: Any, name: str) -> NDArray[Any]:
    return _narrow(np.fromiter(values, np.int32, len(values)), np.dtype(np.uint16), name)


def _complex(values: Any, dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    if len(values) % 2:
        raise InputError(
            f"The tensor {name!r} holds {len(values)} parts of complex numbers.",
            "Send a real and an imaginary part for each.",
        )
    parts = np.dtype(np.float32 if dtype.itemsize == 8 else np.float64)
    return np.fromiter(values, parts, len(values)).view(dtype)


def _narrow(wide: NDArray[Any], dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    limits = np.iinfo(dtype)
    if wide.size and (wide.min() < limits.min or wide.max() > limits.max):
        raise InputError(
            f"The tensor {name!r} holds a value that {dtype.name} cannot hold.",
            f"Send values from {limits.min} to {limits.max}.",
        )
    return wide.astype(dtype)


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Return the numbers that the typed field takes for ``values``."""
    if values.dtype == np.float16:
        return values.view(np.uint16)
    if values.dtype.kind == "c":
        return values.view(np.float32 if values.dtype.itemsize == 8 else np.float64)
    return values


def _listed(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))})"
