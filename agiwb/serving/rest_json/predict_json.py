"""TensorFlow Serving's predict bodies: JSON to named arrays, and named arrays to JSON.

Two layouts: rows, ``{"instances": [...]}`` answered by ``{"predictions": [...]}``, and columns,
``{"inputs": ...}`` answered by ``{"outputs": ...}``. With one tensor its value stands alone; with
several, objects name them. A well-formed body is read at once; only when it cannot be is it walked
value by value, for the sentence TensorFlow Serving would give.
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
from agiwb.runtimes.served_signature import ServedSignature
from agiwb.serving.rest_json.json_text import dump_array, dump_json, load_json, quote_json
from agiwb.serving.rest_json.limits import DEFAULT_LIMITS, Limits
from agiwb.serving.rest_json.misfits import check_rows, check_value, is_named_row, type_name
from agiwb.serving.rest_json.strings import BYTES_SUFFIX, base64_objects, is_base64
from agiwb.serving.rest_json.tensors import may_hold_literals, misfit_of_range, read_array

Layout = Literal["row", "column"]

_NUMBERS_AND_STRINGS = "biufOSU"
"""NumPy's kinds that JSON has values for."""


@dataclass(slots=True)
class PredictRequest:
    """A predict body: arrays by input name, of the signature's dtypes, their shapes unchecked.

    ``signature_name`` is never empty.
    """

    tensors: Tensors
    layout: Layout
    signature_name: str = SIGNATURE_NAME


def decode_request(
    body: bytes, signatures: Mapping[str, ServedSignature], limits: Limits = DEFAULT_LIMITS
) -> PredictRequest:
    """Return what a predict body asks for.

    Keys other than ``signature_name``, ``instances`` and ``inputs`` are ignored.

    Raises:
        InputError: The body is not JSON, names no signature of ``signatures``, or its values do
            not form the inputs' tensors.
        Refusal: UNIMPLEMENTED, an input is of a type that JSON has no values for.
    """
    document = load_document(body, limits)
    name = signature_name_of(document) or SIGNATURE_NAME
    signature = _signature(name, signatures)
    literals = may_hold_literals(body)
    if "instances" in document:
        if "inputs" in document:
            raise InputError(
                f"JSON Value: {quote_json(document)} Not formatted correctly expecting only one of "
                "'inputs' or 'instances' keys to exist"
            )
        return PredictRequest(_read_rows(document, signature, literals), "row", name)
    if "inputs" in document:
        tensors = _read_columns(document["inputs"], signature, literals)
        return PredictRequest(tensors, "column", name)
    raise InputError("Missing 'inputs' or 'instances' key")


def load_document(body: bytes, limits: Limits = DEFAULT_LIMITS) -> dict[str, Any]:
    """Return the JSON object that a body holds.

    Raises:
        InputError: It is not JSON, not an object, or beyond ``limits``.
    """
    document = load_json(body, limits)
    if not isinstance(document, dict):
        raise InputError(f"JSON Value: {quote_json(document)} Is not object")
    return document


def signature_name_of(document: Mapping[str, Any]) -> str:
    """Return the signature that a body names; "" if none.

    Raises:
        InputError: The name is not a string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise InputError(
            f"JSON Value: {quote_json(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name


def encode_response(outputs: Mapping[str, NDArray[Any]], layout: Layout) -> bytes:
    """Return the body that answers a request of ``layout``.

    Raises:
        InputError: There is no output, or one of a type that JSON has no values for; or rows were
            asked for, and an output has no first dimension or a different one.
    """
    if not outputs:
        raise InputError("Cannot convert empty tensor map to JSON")
    values = {name: _writable(name, array) for name, array in outputs.items()}
    if layout == "column":
        if len(values) == 1:
            return b'{"outputs":%b}' % dump_array(next(iter(values.values())))
        pairs = (b"%b:%b" % (dump_json(name), dump_array(one)) for name, one in values.items())
        return b'{"outputs":{%b}}' % b",".join(pairs)
    _check_batch(values)
    if len(values) == 1:
        return b'{"predictions":%b}' % dump_array(next(iter(values.values())))
    rows = zip(*values.values(), strict=True)
    return dump_json(
        {"predictions": [dict(zip(values, map(_row, row), strict=True)) for row in rows]}
    )


def _signature(name: str, signatures: Mapping[str, ServedSignature]) -> Signature:
    try:
        signature = signatures[name].signature
    except KeyError:
        raise InputError(f'Serving signature name: "{name}" not found in signature def') from None
    if not signature.inputs:
        raise InputError(f"Failed to get input map for signature: {name}")
    return signature


def _read_rows(document: Mapping[str, Any], signature: Signature, literals: bool) -> Tensors:
    """Return each input's values over all rows."""
    rows = document["instances"]
    if not isinstance(rows, list):
        raise InputError(
            f"JSON Value: {quote_json(document)} Expecting 'instances' to be an list/array"
        )
    if not rows:
        raise InputError(f"JSON Value: {quote_json(document)} No values in 'instances' array")
    specs = signature.inputs
    if len(specs) > 1 and not isinstance(rows[0], dict):
        raise InputError(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    columns = _columns_of(rows, specs)
    tensors = {}
    for spec in specs:
        array = None if columns is None else read_array(columns[spec.name], spec.dtype, literals)
        if array is None:
            check_rows(rows, specs)
            raise misfit_of_range(spec)
        tensors[spec.name] = array
    return tensors


def _columns_of(rows: list[Any], specs: tuple[TensorSpec, ...]) -> dict[str, list[Any]] | None:
    """Return each input's values, or None if the rows do not all name all inputs."""
    if not is_named_row(rows[0]):
        return {specs[0].name: rows}
    names = {spec.name for spec in specs}
    if not all(is_named_row(row) and row.keys() == names for row in rows):
        return None
    return {name: [row[name] for row in rows] for name in names}


def _read_columns(value: Any, signature: Signature, literals: bool) -> Tensors:
    """Return each input's value from the columnar format."""
    specs = signature.inputs
    if isinstance(value, dict) and not is_base64(value):
        for name in sorted(spec.name for spec in specs):
            if name not in value:
                raise InputError(f"Missing named input: {name} in 'inputs' object.")
    elif len(specs) > 1:
        raise InputError(
            "inputs is a plain value/list, but expecting an object as multiple "
            "input tensors required as per tensorinfo_map"
        )
    else:
        value = {specs[0].name: value}
    tensors = {}
    for spec in specs:
        array = read_array(value[spec.name], spec.dtype, literals)
        if array is None:
            check_value(value[spec.name], spec.dtype)
            raise misfit_of_range(spec)
        tensors[spec.name] = array
    return tensors


def _writable(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return an output as what the JSON encoder writes."""
    kind = array.dtype.kind
    if kind not in _NUMBERS_AND_STRINGS:
        raise InputError(
            f"Failed to write JSON value for tensor type: {type_name(array.dtype.name)}"
        )
    if kind in "OSU" and name.endswith(BYTES_SUFFIX):
        return base64_objects(array)
    return array


def _row(value: Any) -> Any:
    """Return one row of an output; a string stands for itself."""
    return value if isinstance(value, str | bytes | dict) else np.asarray(value)


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
