"""TensorFlow Serving's predict bodies: JSON to named arrays, and named arrays to JSON.

Two layouts: rows, ``{"instances": [...]}`` answered by ``{"predictions": [...]}``, and columns,
``{"inputs": ...}`` answered by ``{"outputs": ...}``. With one tensor its value stands alone; with
several, objects name them. NumPy reads a well-formed body at once; only when it cannot is the body
walked value by value, for the sentence TensorFlow Serving would give.

Strings are text: unlike TensorFlow Serving, ``{"b64": ...}`` is not decoded, nor are outputs whose
names end in ``_bytes`` encoded that way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import SIGNATURE_NAME, Signature, TensorSpec
from agiwb.errors import InputError
from agiwb.runtimes.runtime import Tensors
from agiwb.serving.json_text import dump_json, load_json, quote_json
from agiwb.serving.misfits import check_rows, check_value

Layout = Literal["row", "column"]

_LONGEST_EXAMPLE = 400
"""Characters; enough for a hundred features."""


@dataclass(frozen=True)
class PredictRequest:
    """A predict body: arrays by input name, not yet checked against the model's shapes."""

    tensors: Tensors
    layout: Layout


def decode_request(body: bytes, signature: Signature) -> PredictRequest:
    """Return what a predict body asks for.

    Keys other than ``signature_name``, ``instances`` and ``inputs`` are ignored.

    Raises:
        InputError: The body is not JSON, or its values do not form the inputs' tensors.
    """
    document = load_json(body)
    if not isinstance(document, dict):
        raise InputError(f"JSON Value: {quote_json(document)} Is not object")
    _check_signature_name(document)
    # A truth value among numbers would pass NumPy as 0 or 1.
    suspicious = b"true" in body or b"false" in body
    if "instances" in document and "inputs" in document:
        raise InputError(
            f"JSON Value: {quote_json(document)} Not formatted correctly expecting only one of "
            "'inputs' or 'instances' keys to exist"
        )
    if "instances" in document:
        columns = _gather(document, signature)
        tensors = {
            spec.name: _array(columns[spec.name], spec, "row", suspicious)
            for spec in signature.inputs
        }
        return PredictRequest(tensors, "row")
    if "inputs" in document:
        values = _named_values(document["inputs"], signature)
        tensors = {
            spec.name: _array(values[spec.name], spec, "column", suspicious)
            for spec in signature.inputs
        }
        return PredictRequest(tensors, "column")
    raise InputError("Missing 'inputs' or 'instances' key")


def encode_response(outputs: Mapping[str, NDArray[Any]], layout: Layout) -> bytes:
    """Return the body that answers a request of ``layout``.

    Raises:
        InputError: Rows were asked for, and an output has no first dimension or a different one.
    """
    if layout == "column":
        value: Any = next(iter(outputs.values())) if len(outputs) == 1 else dict(outputs)
        return dump_json({"outputs": value})
    _check_batch(outputs)
    if len(outputs) == 1:
        return dump_json({"predictions": next(iter(outputs.values()))})
    rows = zip(*outputs.values(), strict=True)
    return dump_json(
        {"predictions": [dict(zip(outputs, map(np.asarray, row), strict=True)) for row in rows]}
    )


def example_body(signature: Signature) -> dict[str, Any]:
    """Return a row-format body of zeros that fits the signature, with sizes of 1 where free."""
    values = {spec.name: _zeros(spec) for spec in signature.inputs}
    row = next(iter(values.values())) if len(values) == 1 else values
    rows = max((spec.shape[0] or 1 for spec in signature.inputs if spec.shape), default=1)
    return {"instances": [row] * rows}


def describe_inputs(signature: Signature) -> str:
    """Return, for an error, what the model takes and a body that fits, or its form if long."""
    specs = "; ".join(str(spec) for spec in signature.inputs)
    body = example_body(signature)
    text = dump_json(body).decode()
    if len(text) <= _LONGEST_EXAMPLE:
        return f"The model takes {specs}. A body that fits: {text}"
    return f"The model takes {specs}. A body of this form: {_sketch(body)}"


def _check_signature_name(document: Mapping[str, Any]) -> None:
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise InputError(
            f"JSON Value: {quote_json(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    if name not in {"", SIGNATURE_NAME}:
        raise InputError(f'Serving signature name: "{name}" not found in signature def')


def _gather(document: Mapping[str, Any], signature: Signature) -> dict[str, list[Any]]:
    """Return each input's values over all rows."""
    rows = document["instances"]
    if not isinstance(rows, list):
        raise InputError(
            f"JSON Value: {quote_json(document)} Excepting 'instances' to be an list/array"
        )
    if not rows:
        raise InputError(f"JSON Value: {quote_json(document)} No values in 'instances' array")
    names = [spec.name for spec in signature.inputs]
    objects = isinstance(rows[0], dict)
    if not objects and len(names) > 1:
        raise InputError(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    for place, row in enumerate(rows):
        if isinstance(row, dict) != objects:
            wanted, got = ("object", "list") if objects else ("value/list", "object")
            raise InputError(f"Expecting {wanted} but got {got} at item {place} of input list")
        if objects and row.keys() != set(names):
            raise InputError(
                f"Failed to process element: {place} of 'instances' list. JSON object: "
                f"{quote_json(row)} keys must be equal to: {','.join(sorted(names))}"
            )
    return {name: [row[name] for row in rows] for name in names} if objects else {names[0]: rows}


def _named_values(value: Any, signature: Signature) -> dict[str, Any]:
    """Return each input's value from the columnar format."""
    names = [spec.name for spec in signature.inputs]
    if not isinstance(value, dict):
        if len(names) > 1:
            raise InputError(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        return {names[0]: value}
    for name in names:
        if name not in value:
            raise InputError(f"Missing named input: {name} in 'inputs' object.")
    return value


def _array(value: Any, spec: TensorSpec, layout: Layout, suspicious: bool) -> NDArray[Any]:
    """Return the values as an array of a dtype that can be cast to the input's.

    Raises:
        InputError: They do not form an array of that type.
    """
    kind = np.dtype(spec.dtype).kind
    # NumPy would make text of numbers among strings, and numbers of truth values.
    if kind in "iuf" and not suspicious:
        array = _read(value)
        if array is not None and array.dtype.kind in ("iuf" if kind == "f" else "iu"):
            return array
    if layout == "row":
        check_rows(value, spec.dtype)
    else:
        check_value(value, spec.dtype)
    try:
        return np.array(value, object).astype(spec.dtype)
    except (ValueError, OverflowError):
        raise InputError(f"A value of {spec.name} is outside what {spec.dtype} can hold.") from None


def _read(value: Any) -> NDArray[Any] | None:
    """Return what NumPy makes of ``value``, or None for lists of unequal length."""
    try:
        return np.array(value)
    except ValueError:
        return None


def _check_batch(outputs: Mapping[str, NDArray[Any]]) -> None:
    expected: int | None = None
    for name, array in outputs.items():
        if array.ndim == 0:
            raise InputError(f"Tensor name: {name} has no shape information")
        if expected is not None and expected != len(array):
            raise InputError(
                f"Tensor name: {name} has inconsistent batch size: {len(array)} "
                f"expecting: {expected}"
            )
        expected = len(array)


def _zeros(spec: TensorSpec) -> Any:
    """Return one row of zeros, or of empty strings."""
    shape = [size or 1 for size in spec.shape[1:]]
    empty = "" if np.dtype(spec.dtype).kind == "O" else 0
    return np.full(shape, empty, spec.dtype).tolist()


def _sketch(value: Any) -> str:
    """Return ``value`` as JSON with three dots for all but the first two entries of each list."""
    if isinstance(value, dict):
        entries = ",".join(f'"{name}":{_sketch(entry)}' for name, entry in value.items())
        return f"{{{entries}}}"
    if isinstance(value, list):
        dots = ["..."] if len(value) > 2 else []
        return f"[{','.join([*map(_sketch, value[:2]), *dots])}]"
    return dump_json(value).decode()
