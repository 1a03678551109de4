"""Writing an ONNX file one weight after another, so that no more than one of them is in memory.

Protobuf's own writer wants the whole message, and makes a second copy of it. The fields' numbers
are those of ``onnx.proto``; how a field is laid out is said at
https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from agiwb.conversion.lifted_weight import Weight

if TYPE_CHECKING:
    import onnx

_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9
"""Fields of ModelProto, GraphProto and TensorProto; each has a length and then that many bytes."""
_BYTES_APART = 1024
"""Smaller tensors stay in the model file, where shape inference can read them."""
_PAGE = 4096
"""Where weights beside the file begin: what begins with a page can be mapped into memory."""


def write_onnx_file(
    path: Path, model: onnx.ModelProto, weights: Sequence[Weight], most_bytes: int
) -> None:
    """Write ``model`` with its weights to ``path``.

    If all of it takes more than ``most_bytes``, the weights go into a file beside it, which is
    called ``<path>.data``. The model is changed.
    """
    if model.ByteSize() + sum(weight.nbytes for weight in weights) > most_bytes:
        apart = [*_taken_out(model), *weights]
        with path.with_name(f"{path.name}.data").open("wb") as file:
            model.graph.initializer.extend(_beside(weight, file) for weight in apart)
        path.write_bytes(model.SerializeToString())
        return
    graph = model.graph.SerializeToString()
    model.ClearField("graph")
    heads = [(weight, _head(weight)) for weight in weights]
    sizes = [len(head) + weight.nbytes for weight, head in heads]
    total = len(graph) + sum(len(_opening(_INITIALIZER, size)) + size for size in sizes)
    with path.open("wb") as file:
        file.write(model.SerializeToString())
        file.write(_opening(_GRAPH, total))
        file.write(graph)
        for (weight, head), size in zip(heads, sizes, strict=True):
            file.write(_opening(_INITIALIZER, size))
            file.write(head)
            _write_values(weight, file)


def _head(weight: Weight) -> bytes:
    """Return a tensor's message up to its values, which are its last field."""
    return bytes(_described(weight).SerializeToString() + _opening(_RAW_DATA, weight.nbytes))


def _described(weight: Weight) -> onnx.TensorProto:
    import onnx

    kind = onnx.helper.np_dtype_to_tensor_dtype(weight.dtype)
    return onnx.TensorProto(name=weight.name, data_type=kind, dims=weight.shape)


def _opening(field: int, size: int) -> bytes:
    """Return how a field of ``size`` bytes begins: its number and kind, and its length."""
    return _varint(field << 3 | 2) + _varint(size)


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _write_values(weight: Weight, file: BinaryIO) -> None:
    """Write a weight's values as ``raw_data`` has them: in rows, the lowest byte first."""
    values = np.ascontiguousarray(weight.values(), weight.dtype.newbyteorder("<"))
    file.write(values.reshape(-1).view(np.uint8).data)


def _beside(weight: Weight, file: BinaryIO) -> onnx.TensorProto:
    """Write a weight's values at the next page, and return the tensor that says where."""
    import onnx

    file.seek(-file.tell() % _PAGE, 1)
    tensor = _described(weight)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    place = {"location": Path(file.name).name, "offset": file.tell(), "length": weight.nbytes}
    for key, value in place.items():
        tensor.external_data.add(key=key, value=str(value))
    _write_values(weight, file)
    return tensor


def _taken_out(model: onnx.ModelProto) -> list[Weight]:
    """Return the model's own tensors of some size, which it has no more."""
    import onnx

    large = [each for each in model.graph.initializer if len(each.raw_data) >= _BYTES_APART]
    arrays = {each.name: onnx.numpy_helper.to_array(each) for each in large}
    small = [each for each in model.graph.initializer if each.name not in arrays]
    del model.graph.initializer[:]
    model.graph.initializer.extend(small)
    return [
        Weight(name, array.dtype, array.shape, partial(np.asarray, array))
        for name, array in arrays.items()
    ]
