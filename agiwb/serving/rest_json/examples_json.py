"""TensorFlow Serving's classify and regress bodies: JSON to Examples, and results to JSON.

An Example is a mapping of features to lists; a list's entries are all bytes, all floats or all
integers, as in ``tf.Example``. A single value is a list of one, a truth value an integer, and a
string, or ``{"b64": "..."}``, bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.errors import InputError
from agiwb.serving.rest_json.json_text import dump_json, quote_json
from agiwb.serving.rest_json.limits import DEFAULT_LIMITS, Limits
from agiwb.serving.rest_json.misfits import json_name
from agiwb.serving.rest_json.predict_json import load_document, signature_name_of
from agiwb.serving.rest_json.strings import as_bytes, decode_base64, is_base64

Feature = Sequence[bytes] | Sequence[float] | Sequence[int]
Example = dict[str, Feature]

_KINDS: dict[type, str] = {bytes: "bytes", float: "float", int: "int64"}
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


@dataclass(slots=True)
class ExamplesRequest:
    """A classify or regress body.

    Attributes:
        signature_name: Never empty.
        examples: At least one.
        context: Features that all examples share; None if the body gives none.
    """

    signature_name: str
    examples: list[Example]
    context: Example | None = None


def decode_examples(body: bytes, limits: Limits = DEFAULT_LIMITS) -> ExamplesRequest:
    """Return what a classify or regress body asks for.

    Raises:
        InputError: The body is not JSON, or does not hold Examples; in TensorFlow Serving's words.
    """
    document = load_document(body, limits)
    name = signature_name_of(document) or SIGNATURE_NAME
    context = _example(document["context"]) if "context" in document else None
    if "examples" not in document:
        raise InputError(
            f"JSON Value: {quote_json(document)} When method is classify, key 'examples' is "
            "expected and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise InputError(
            f"JSON Value: {quote_json(document)} Expecting 'examples' value to be an list/array"
        )
    if not examples:
        raise InputError(f"JSON Value: {quote_json(document)} 'examples' value is an empty array")
    return ExamplesRequest(name, [_example(example) for example in examples], context)


def encode_classifications(labels: NDArray[Any] | None, scores: NDArray[Any] | None) -> bytes:
    """Return the body that answers a classify request: of each example, pairs of label and score.

    Args:
        labels: Strings of shape (batch, classes); None gives empty labels.
        scores: Numbers of the same shape; None gives scores of 0.

    Raises:
        InputError: There are neither, no examples, or not as many labels as scores.
    """
    if scores is None:
        if labels is None:
            raise InputError("Cannot convert empty ClassificationResults to JSON")
        scores = np.zeros(labels.shape, np.float32)
    elif labels is None:
        labels = np.full(scores.shape, "", object)
    if labels.ndim != 2 or labels.shape != scores.shape:
        raise InputError(
            f"The labels have shape {list(labels.shape)} and the scores {list(scores.shape)}; both "
            "should have the same two dimensions, batch and class."
        )
    if not len(labels):
        raise InputError("Cannot convert empty ClassificationResults to JSON")
    with np.errstate(over="ignore"):  # a double beyond float32's range becomes infinite
        scores = scores.astype(np.float32)
    texts = [[as_bytes(label).decode(errors="replace") for label in row] for row in labels.tolist()]
    return dump_json(
        {
            "results": [
                list(zip(row, map(np.asarray, values), strict=True))
                for row, values in zip(texts, scores, strict=True)
            ]
        }
    )


def encode_regressions(values: NDArray[Any]) -> bytes:
    """Return the body that answers a regress request: one number an example.

    Args:
        values: Shape (batch,) or (batch, 1).

    Raises:
        InputError: The shape is another, or there are no examples.
    """
    if values.ndim not in {1, 2} or (values.ndim == 2 and values.shape[1] != 1):
        raise InputError(
            f"The regression has shape {list(values.shape)}; expected [batch] or [batch, 1]."
        )
    if not values.size:
        raise InputError("Cannot convert empty RegressionResults to JSON")
    return dump_json({"results": np.ascontiguousarray(values.reshape(-1), np.float32)})


def _example(value: Any) -> Example:
    if not isinstance(value, dict):
        raise InputError(f"Example must be JSON object but got JSON {json_name(value)}")
    return {name: _feature(name, content) for name, content in _entries(value)}


def _entries(example: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    return [
        (name, content if isinstance(content, list) else [content])
        for name, content in example.items()
    ]


def _feature(name: str, content: list[Any]) -> Feature:
    """Return a feature's values, which are all of the first one's kind."""
    values = [_value(name, entry) for entry in content]
    for value in values:
        if type(value) is not type(values[0]):
            raise InputError(
                f"Unexpected element type in feature: {name} "
                f"expecting type: {_KINDS[type(values[0])]}"
            )
    return values  # type: ignore[return-value]  # all of one kind, as was just seen


def _value(name: str, entry: Any) -> bytes | float | int:
    if isinstance(entry, str):
        return entry.encode()
    if is_base64(entry):
        return decode_base64(entry)
    if isinstance(entry, float):
        return entry
    if isinstance(entry, int):  # a truth value, too
        if not _SMALLEST <= entry <= _LARGEST:
            raise InputError(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
        return int(entry)
    raise InputError(f"Feature: {name} has element with unexpected JSON type: {json_name(entry)}")
