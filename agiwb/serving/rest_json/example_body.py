"""A predict body that fits a signature: for documentation, curl lines and errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.serving.rest_json.json_text import dump_json

_LONGEST_EXAMPLE = 400
"""Characters; enough for a hundred features."""


def example_body(signature: Signature) -> dict[str, Any]:
    """Return a body of zeros that fits the signature, with sizes of 1 where free.

    It has rows, unless the inputs cannot be cut into as many: a recurrent state may have its
    examples along another axis than the first, and a sampling rate has none.
    """
    firsts = [spec.shape[0] if spec.shape else 0 for spec in signature.inputs]
    counts = {size for size in firsts if size is not None}
    has_rows = len(counts) < 2 and 0 not in counts
    values = {
        spec.name: _zeros(spec, spec.shape[1:] if has_rows else spec.shape)
        for spec in signature.inputs
    }
    value = next(iter(values.values())) if len(values) == 1 else values
    if not has_rows:
        return {"inputs": value}
    return {"instances": [value] * (counts.pop() if counts else 1)}


def describe_inputs(signature: Signature) -> str:
    """Return, for an error, what the model takes and a body that fits, or its form if long."""
    specs = "; ".join(str(spec) for spec in signature.inputs)
    body = example_body(signature)
    text = dump_json(body).decode()
    if len(text) <= _LONGEST_EXAMPLE:
        return f"The model takes {specs}. A body that fits: {text}"
    return f"The model takes {specs}. A body of this form: {_sketch(body)}"


def _zeros(spec: TensorSpec, sizes: Sequence[int | None]) -> Any:
    """Return lists of zeros, of empty strings, or of ``false``, with these sizes."""
    empty = "" if np.dtype(spec.dtype).kind == "O" else 0
    return np.full([size or 1 for size in sizes], empty, spec.dtype).tolist()


def _sketch(value: Any) -> str:
    """Return ``value`` as JSON with three dots for all but the first two entries of each list."""
    if isinstance(value, dict):
        entries = ",".join(f'"{name}":{_sketch(entry)}' for name, entry in value.items())
        return f"{{{entries}}}"
    if isinstance(value, list):
        dots = ["..."] if len(value) > 2 else []
        return f"[{','.join([*map(_sketch, value[:2]), *dots])}]"
    return dump_json(value).decode()
