"""A predict body that fits a signature: for documentation, curl lines and errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.serving.rest_json.json_text import dump_json

_LONGEST_EXAMPLE = 400
"""Characters; enough for a hundred features."""


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


def _zeros(spec: TensorSpec) -> Any:
    """Return one row of zeros, of empty strings, or of ``false``."""
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
