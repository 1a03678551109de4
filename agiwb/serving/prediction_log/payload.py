"""A prediction as bytes, and back.

Format 1, little-endian, without padding::

    u8   format, 1              u8   reserved, 0
    u16  number of inputs       u16  number of outputs
    u16  bytes of request_id    u16  bytes of model
    u16  bytes of variant       u16  bytes of signature_name
    f64  time, Unix seconds     f64  latency, milliseconds
    i64  version of the model
    request_id, model, variant, signature_name in UTF-8, one after another
    the inputs, then the outputs, each:
        u16  bytes of the name  u8   type (below)       u8   rank
        u64  bytes of the values
        u64  for each dimension, its size
        the name in UTF-8
        the values in C order

Types 1 to 14 are bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, float32,
float64, complex64 and complex128. Values of type 64 (text, UTF-8) and 65 (bytes) are each
a u32 of their bytes and then those; a lone surrogate becomes "?". What has no type of its own and
no loss as float32, such as bfloat16, is kept as that.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.runtimes.runtime import Tensors
from agiwb.serving.prediction_log.prediction import Prediction

FORMAT = 1

_HEAD = struct.Struct("<BBHHHHHHddq")
_TENSOR = struct.Struct("<HBBQ")
_VALUE = struct.Struct("<I")
_TEXT, _BYTES = 64, 65
_NAMES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
_DTYPES = {code: np.dtype(name).newbyteorder("<") for code, name in enumerate(_NAMES, 1)}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


def encode_prediction(prediction: Prediction) -> bytes:
    """Return the payload of a frame.

    Raises:
        TypeError, ValueError: An array holds neither numbers nor text.
        struct.error: A string is longer than 65,535 bytes, or there are as many tensors.
    """
    request_id = prediction.request_id.encode()
    model = prediction.model.encode()
    variant = prediction.variant.encode()
    signature_name = prediction.signature_name.encode()
    inputs, outputs = prediction.inputs, prediction.outputs
    parts = [
        _HEAD.pack(
            FORMAT,
            0,
            len(inputs),
            len(outputs),
            len(request_id),
            len(model),
            len(variant),
            len(signature_name),
            prediction.time,
            prediction.latency_ms,
            prediction.version,
        ),
        request_id,
        model,
        variant,
        signature_name,
    ]
    for tensors in (inputs, outputs):
        for name, array in tensors.items():
            head = _number_head(name, array.dtype, array.shape)
            if head is None:
                parts += _encode_unusual(name, array)
            else:
                parts += (head, array.tobytes())
    return b"".join(parts)


def decode_prediction(payload: bytes | memoryview) -> Prediction:
    """Return the prediction in a payload whose checksum fits; its arrays are read-only.

    Text and bytes come back as arrays of objects, ``str`` or ``bytes``.

    Raises:
        ValueError: It is of another format, or not what its lengths say.
    """
    if format_of(payload) != FORMAT:
        raise ValueError(f"format {format_of(payload)} is not {FORMAT}")
    view = memoryview(payload)
    try:
        head = _HEAD.unpack_from(view)
        place = _HEAD.size
        strings = []
        for size in head[4:8]:
            strings.append(str(view[place : place + size], "utf-8"))
            place += size
        inputs, place = _decode_tensors(view, place, head[2])
        outputs, place = _decode_tensors(view, place, head[3])
    except (struct.error, KeyError) as error:
        raise ValueError(f"not a prediction: {error}") from None
    request_id, model, variant, signature_name = strings
    return Prediction(
        request_id=request_id,
        time=head[8],
        model=model,
        version=head[10],
        inputs=inputs,
        outputs=outputs,
        latency_ms=head[9],
        variant=variant,
        signature_name=signature_name,
    )


def format_of(payload: bytes | memoryview) -> int | None:
    """Return the number of a payload's format, None if it is empty."""
    return payload[0] if payload else None


def request_id_of(payload: bytes | memoryview) -> bytes:
    """Return a payload's request id in UTF-8, without decoding the rest."""
    size = _HEAD.unpack_from(payload)[4]
    return bytes(payload[_HEAD.size : _HEAD.size + size])


def time_of(payload: bytes | memoryview) -> float:
    """Return a payload's Unix time in seconds, without decoding the rest."""
    return float(_HEAD.unpack_from(payload)[8])


@lru_cache(maxsize=4096)
def _number_head(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes | None:
    """Return what precedes the values, or None for what is not one of the types of numbers."""
    code = _CODES.get(dtype)
    if code is None:
        return None
    size = dtype.itemsize
    for length in shape:
        size *= length
    return _tensor_head(name, code, shape, size)


def _tensor_head(name: str, code: int, shape: tuple[int, ...], size: int) -> bytes:
    text = name.encode()
    head = _TENSOR.pack(len(text), code, len(shape), size)
    return head + struct.pack(f"<{len(shape)}Q", *shape) + text


def _encode_unusual(name: str, array: NDArray[Any]) -> tuple[bytes, bytes]:
    if array.dtype.kind not in "OSU":
        if array.dtype.kind in "mM" or array.dtype.names:
            raise TypeError(f"{name!r} of type {array.dtype} holds neither numbers nor text")
        little = array.dtype.newbyteorder("<")
        numbers = array.astype(little if little in _CODES else np.float32)
        if little not in _CODES and not _is_same(numbers, array):
            raise ValueError(f"{name!r} of type {array.dtype} does not fit float32")
        head = _tensor_head(name, _CODES[numbers.dtype], numbers.shape, numbers.nbytes)
        return head, numbers.tobytes()
    values = array.ravel().tolist()
    if not all(isinstance(value, str | bytes) for value in values):
        raise TypeError(f"{name!r} holds objects that are not text")
    code = _BYTES if any(isinstance(value, bytes) for value in values) else _TEXT
    encoded = [v if isinstance(v, bytes) else v.encode("utf-8", "replace") for v in values]
    data = b"".join(part for value in encoded for part in (_VALUE.pack(len(value)), value))
    return _tensor_head(name, code, array.shape, len(data)), data


def _is_same(numbers: NDArray[np.float32], array: NDArray[Any]) -> bool:
    back = numbers.astype(array.dtype)
    return bool(np.all((back == array) | ((back != back) & (array != array))))  # noqa: PLR0124  NaN


def _decode_tensors(view: memoryview, place: int, count: int) -> tuple[Tensors, int]:
    tensors: Tensors = {}
    for _ in range(count):
        name_size, code, rank, size = _TENSOR.unpack_from(view, place)
        place += _TENSOR.size
        shape = struct.unpack_from(f"<{rank}Q", view, place)
        place += 8 * rank
        name = str(view[place : place + name_size], "utf-8")
        place += name_size
        values = view[place : place + size]
        place += size
        tensors[name] = _decode_values(values, code).reshape(shape)
    return tensors, place


def _decode_values(data: memoryview, code: int) -> NDArray[Any]:
    if code not in {_TEXT, _BYTES}:
        return np.frombuffer(bytes(data), _DTYPES[code])
    values: list[str | bytes] = []
    place = 0
    while place < len(data):
        size = _VALUE.unpack_from(data, place)[0]
        place += _VALUE.size
        value = bytes(data[place : place + size])
        values.append(value if code == _BYTES else value.decode())
        place += size
    array = np.empty(len(values), object)
    array[:] = values
    return array
