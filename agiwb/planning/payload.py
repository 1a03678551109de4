"""A request of the size that real ones have: random numbers, which are longer than zeros."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.serving.rest_json.json_text import dump_json
from agiwb.serving.rest_json.oip_binary import write_binary
from agiwb.serving.rest_json.oip_json import BINARY_CONTENT_TYPE, JSON_LENGTH_HEADER
from agiwb.serving.rest_json.oip_types import datatype_of

Encoding = Literal["json", "binary"]
_DIGITS = 6


@dataclass(frozen=True)
class Payload:
    """A body to POST below the server's address."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def payload(model: str, signature: Signature, rows: int, encoding: Encoding) -> Payload:
    """Return a request of ``rows`` examples: TensorFlow Serving's JSON, or Open Inference's binary.

    Floating-point inputs are random in 0..1, all others zeros and empty strings.
    """
    arrays = {spec.name: _array(spec, rows) for spec in signature.inputs}
    if encoding == "binary":
        return _binary(model, arrays)
    columns = {name: _as_list(array) for name, array in arrays.items()}
    only = next(iter(columns.values()))
    examples = [
        only[row] if len(columns) == 1 else {name: column[row] for name, column in columns.items()}
        for row in range(rows)
    ]
    return Payload(f"/v1/models/{model}:predict", dump_json({"instances": examples}))


def _array(spec: TensorSpec, rows: int) -> NDArray[Any]:
    shape = [rows, *(size or 1 for size in spec.shape[1:])]
    kind = np.dtype(spec.dtype).kind
    if kind == "O":
        return np.full(shape, b"", object)
    if kind == "f":
        return np.random.default_rng(0).random(shape).round(_DIGITS).astype(spec.dtype)
    return np.zeros(shape, spec.dtype)


def _as_list(array: NDArray[Any]) -> list[Any]:
    if array.dtype.kind == "f":
        array = array.astype(np.float64).round(_DIGITS)
    if array.dtype.kind == "O":
        array = np.full(array.shape, "")
    values: list[Any] = array.tolist()
    return values


def _binary(model: str, arrays: dict[str, NDArray[Any]]) -> Payload:
    parts = {name: write_binary(array) for name, array in arrays.items()}
    header = dump_json(
        {
            "inputs": [
                {
                    "name": name,
                    "shape": list(array.shape),
                    "datatype": datatype_of(array.dtype),
                    "parameters": {"binary_data_size": len(parts[name])},
                }
                for name, array in arrays.items()
            ],
            "parameters": {"binary_data_output": True},
        }
    )
    headers = {
        "Content-Type": BINARY_CONTENT_TYPE.decode(),
        JSON_LENGTH_HEADER.decode(): str(len(header)),
    }
    return Payload(f"/v2/models/{model}/infer", header + b"".join(parts.values()), headers)
