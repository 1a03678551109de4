"""Examples that came as JSON, as the serialized ``tf.Example`` messages that models take."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from agiwb.serving.protobuf.examples import serialized_examples
from agiwb.serving.protobuf.messages import message_class
from agiwb.serving.rest_json.examples_json import Example, ExamplesRequest


def serialize_request(request: ExamplesRequest) -> NDArray[Any]:
    """Return the examples as ``tf.Example`` messages, shape (examples,), each as ``bytes``.

    What the context holds is part of each; an example's own feature of the same name wins.
    """
    message = message_class("Input")()
    if request.context is None:
        listed = message.example_list
    else:
        listed = message.example_list_with_context
        _fill(listed.context, request.context)
    for example in request.examples:
        _fill(listed.examples.add(), example)
    return serialized_examples(message)


def _fill(proto: Any, example: Example) -> None:
    for name, values in example.items():
        feature = proto.features.feature[name]
        if not values:  # a feature without a kind
            continue
        first = values[0]
        if isinstance(first, bytes):
            feature.bytes_list.value.extend(values)
        elif isinstance(first, float):
            feature.float_list.value.extend(values)
        else:
            feature.int64_list.value.extend(values)
