"""What Classify and Regress send: examples, each a map from features' names to lists of values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import InputError


def serialized_examples(request_input: Any) -> NDArray[Any]:
    """Return the serialized ``tf.Example`` messages of an ``Input``, shape (examples,), as bytes.

    What the examples have in common, the context, goes before each one's own bytes: protobuf reads
    two messages on end as one in which the later value of a feature wins.

    Raises:
        InputError: There is no example.
    """
    if request_input.WhichOneof("kind") == "example_list_with_context":
        listed = request_input.example_list_with_context
        context = listed.context.SerializeToString()
    else:
        listed, context = request_input.example_list, b""
    if not listed.examples:
        raise InputError("Input is empty.", "Send at least one example.")
    serialized = np.empty(len(listed.examples), object)
    for place, example in enumerate(listed.examples):
        serialized[place] = context + example.SerializeToString()
    return serialized
