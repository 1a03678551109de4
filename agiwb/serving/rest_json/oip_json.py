"""The Open Inference Protocol's infer bodies over HTTP: JSON, and binary tensors after it.

Source: kserve/open-inference-protocol, ``specification/protocol/inference_rest.md``, and Triton's
binary tensor extension.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import Signature
from agiwb.errors import InputError, did_you_mean
from agiwb.runtimes.runtime import Tensors
from agiwb.serving.rest_json.json_text import dump_json, quote_json
from agiwb.serving.rest_json.limits import DEFAULT_LIMITS, Limits
from agiwb.serving.rest_json.misfits import MOST_DIMENSIONS, check_value, is_possible
from agiwb.serving.rest_json.oip_binary import read_binary, write_binary
from agiwb.serving.rest_json.oip_layouts import Layout, Layouts, Place
from agiwb.serving.rest_json.oip_types import BYTES, datatype_of, dtype_of
from agiwb.serving.rest_json.predict_json import load_document
from agiwb.serving.rest_json.tensors import may_hold_literals, read_array
from agiwb.serving.status import Code, Refusal

JSON_LENGTH_HEADER = b"inference-header-content-length"
"""In lower case. Its value is the length of the JSON; binary tensors follow."""
BINARY_CONTENT_TYPE = b"application/octet-stream"

_layouts: Layouts[dict[str, Any]] = Layouts()


@dataclass(slots=True)
class InferRequest:
    """An infer body.

    Attributes:
        tensors: By input name, of the signature's dtypes where the request's agree; their shapes
            are as the request says, not checked against the signature.
        id: To be echoed; None if the request has none.
        outputs: Names of those wanted, in order; all if empty.
        binary: Names of those wanted as binary data.
        all_binary: Whether outputs that are not named are wanted as binary data.
        parameters: Of the request as a whole.
    """

    tensors: Tensors
    id: str | None = None
    outputs: tuple[str, ...] = ()
    binary: frozenset[str] = frozenset()
    all_binary: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class InferBody:
    """The body of an answer; ``json_length`` is None unless binary tensors follow the JSON."""

    body: bytes
    json_length: int | None = None


def decode_infer(
    body: bytes,
    signature: Signature,
    json_length: bytes | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> InferRequest:
    """Return what an infer body asks for.

    Args:
        body: JSON, and binary tensors if ``json_length`` says so.
        signature: What the model takes and gives.
        json_length: Value of the header ``Inference-Header-Content-Length``; None without it.
        limits: On the JSON.

    Raises:
        InputError: The body is not what the protocol says, or has inputs or outputs that the
            model does not have.
        Refusal: UNIMPLEMENTED, an extension is asked for that is not offered.
    """
    length = _json_length(json_length, len(body))
    text = body[:length] if length < len(body) else body
    binary = memoryview(body)[length:]
    if binary and limits is DEFAULT_LIMITS:
        layout = _layouts.recall(signature, text)
        if layout is not None and layout.bytes == len(binary):
            return InferRequest(layout.read(binary), **layout.rest)
    document = load_document(text, limits)
    inputs = _Inputs(binary, may_hold_literals(text))
    tensors = inputs.read(document, signature)
    parameters = _parameters(document, "The request")
    all_binary = parameters.get("binary_data_output") is True
    wanted = _wanted_outputs(document, signature)
    rest: dict[str, Any] = {
        "id": _id(document),
        "outputs": tuple(wanted),
        "binary": frozenset(
            name for name, output in wanted.items() if output.get("binary_data", all_binary) is True
        ),
        "all_binary": all_binary,
        "parameters": parameters,
    }
    if len(inputs.places) == len(tensors) and rest["id"] is None:
        _layouts.remember(text, Layout(signature, tuple(inputs.places), rest))
    return InferRequest(tensors, **rest)


def encode_infer(
    request: InferRequest, outputs: Mapping[str, NDArray[Any]], model: str, version: int
) -> InferBody:
    """Return the answer to ``request``, with its id, and the outputs that it wants in its order.

    Raises:
        InputError: An output has no datatype in the protocol, or bytes that are no text and are
            wanted as JSON.
    """
    described = []
    tail = []
    for name in request.outputs or tuple(outputs):
        array = outputs[name]
        entry: dict[str, Any] = {
            "name": name,
            "datatype": datatype_of(array.dtype),
            "shape": list(array.shape),
        }
        if name in request.binary or (request.all_binary and not request.outputs):
            raw = write_binary(array)
            entry["parameters"] = {"binary_data_size": len(raw)}
            tail.append(raw)
        else:
            entry["data"] = _data(name, array)
        described.append(entry)
    answer: dict[str, Any] = {"model_name": model, "model_version": str(version)}
    if request.id is not None:
        answer["id"] = request.id
    text = dump_json({**answer, "outputs": described})
    return InferBody(b"".join([text, *tail]), len(text)) if tail else InferBody(text)


class _Inputs:
    """Reads the inputs of one request; binary data is taken in the order of the inputs.

    Attributes:
        places: Of those that are binary.
    """

    def __init__(self, binary: memoryview, literals: bool) -> None:
        self.places: list[Place] = []
        self._binary = binary
        self._place = 0
        self._literals = literals

    def read(self, document: Mapping[str, Any], signature: Signature) -> Tensors:
        entries = document.get("inputs")
        if not isinstance(entries, list) or not entries:
            raise InputError(
                "The request has no list of `inputs`.",
                'Give {"inputs": [{"name": ..., "shape": ..., "datatype": ..., "data": ...}]}.',
            )
        names = [spec.name for spec in signature.inputs]
        tensors: Tensors = {}
        for place, entry in enumerate(entries):
            name = _name(entry, f"inputs[{place}]")
            if name not in names:
                raise InputError(f"The model has no input {name!r}.", did_you_mean(name, names))
            if name in tensors:
                raise InputError(f"The input {name} is given twice.")
            tensors[name] = self._tensor(name, entry)
        missing = [name for name in names if name not in tensors]
        if missing:
            raise InputError(f"The request lacks the inputs {', '.join(missing)}.")
        if self._place != len(self._binary):
            raise InputError(
                f"{len(self._binary)} bytes of binary data follow the JSON, but the inputs' "
                f"`binary_data_size` add up to {self._place}."
            )
        return tensors

    def _tensor(self, name: str, entry: Mapping[str, Any]) -> NDArray[Any]:
        dtype = dtype_of(entry.get("datatype"), name)
        shape = _shape(name, entry.get("shape"))
        size = _parameters(entry, f"The input {name}").get("binary_data_size")
        if size is not None:
            given = read_binary(self._take(name, size), dtype, shape, name)
            self.places.append(Place(name, dtype, shape, self._place - size, self._place))
            return given
        if "data" not in entry:
            raise InputError(
                f"The input {name} has no `data`, nor the parameter `binary_data_size`."
            )
        data = entry["data"]
        array = read_array(data, dtype, self._literals)
        if array is None:
            raise _misfit(name, data, dtype)
        if array.size != math.prod(shape) or (array.ndim > 1 and array.shape != shape):
            raise InputError(
                f"The input {name} has data of shape {list(array.shape)}, but its `shape` is "
                f"{list(shape)}.",
                "Give the data flat, or nested as the shape says.",
            )
        return array.reshape(shape)

    def _take(self, name: str, size: object) -> memoryview:
        """Return the next ``size`` bytes of the binary data."""
        remaining = len(self._binary) - self._place
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= remaining:
            raise InputError(
                f"The input {name} has the `binary_data_size` {size!r}, but {remaining} bytes "
                "remain after the JSON and the inputs before it.",
                "Tell the JSON's length in the header Inference-Header-Content-Length.",
            )
        self._place += size
        return self._binary[self._place - size : self._place]


def _json_length(header: bytes | None, most: int) -> int:
    if header is None:
        return most
    if not header.isdigit() or len(header) > len(str(most)) or int(header) > most:
        raise InputError(
            f"The header Inference-Header-Content-Length is "
            f"{header[:20].decode('ascii', 'replace')!r}; the body has {most} bytes."
        )
    return int(header)


def _misfit(name: str, data: Any, dtype: str) -> InputError:
    """Return what to raise for data that are no tensor of ``dtype``."""
    try:
        check_value(data, dtype)
    except InputError as error:
        return InputError(f"The data of the input {name} do not form a tensor: {error}")
    return InputError(f"The data of the input {name} are outside what {dtype} can hold.")


def _wanted_outputs(document: Mapping[str, Any], signature: Signature) -> dict[str, dict[str, Any]]:
    """Return the parameters of each output that the request names."""
    entries = document.get("outputs") or []
    if not isinstance(entries, list):
        raise InputError("`outputs` is not a list.")
    names = [spec.name for spec in signature.outputs]
    wanted: dict[str, dict[str, Any]] = {}
    for place, entry in enumerate(entries):
        name = _name(entry, f"outputs[{place}]")
        if name not in names:
            raise InputError(f"The model has no output {name!r}.", did_you_mean(name, names))
        if name in wanted:
            raise InputError(f"The output {name} is asked for twice.")
        parameters = _parameters(entry, f"The output {name}")
        if parameters.get("classification"):
            raise Refusal(
                Code.UNIMPLEMENTED,
                f"The output {name} is asked for with the classification extension, which this "
                "server does not offer.",
                "Ask for the scores, and sort them.",
            )
        wanted[name] = parameters
    return wanted


def _name(entry: Any, place: str) -> str:
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str):
        raise InputError(f"`{place}` is not an object with a `name`: {quote_json(entry)}")
    return name


def _shape(name: str, sizes: Any) -> tuple[int, ...]:
    # The type, and not isinstance: true is no size.
    if not isinstance(sizes, list) or not all(type(size) is int and size >= 0 for size in sizes):
        raise InputError(
            f"The input {name} has the `shape` {quote_json(sizes)}.",
            "Give a list of sizes of 0 or more, one a dimension.",
        )
    if len(sizes) > MOST_DIMENSIONS:
        raise InputError(
            f"The input {name} has {len(sizes)} dimensions; at most {MOST_DIMENSIONS} are possible."
        )
    if not is_possible(tuple(sizes)):
        raise InputError(f"The input {name} has the `shape` {quote_json(sizes)}: no array has.")
    return tuple(sizes)


def _parameters(entry: Mapping[str, Any], what: str) -> dict[str, Any]:
    parameters = entry.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InputError(f"{what} has `parameters` that are not an object.")
    return parameters


def _id(document: Mapping[str, Any]) -> str | None:
    given = document.get("id")
    if given is not None and not isinstance(given, str):
        raise InputError(f"The request's `id` is {quote_json(given)}, not a string.")
    return given


def _data(name: str, array: NDArray[Any]) -> Any:
    """Return an output as a flat list."""
    if datatype_of(array.dtype) != BYTES:
        return np.ascontiguousarray(array).reshape(-1)
    try:
        return [
            value.decode() if isinstance(value, bytes) else value
            for value in array.ravel().tolist()
        ]
    except UnicodeDecodeError:
        raise InputError(
            f"The output {name} holds bytes that are no text.",
            "Ask for it with the parameter `binary_data`.",
        ) from None
