from __future__ import annotations

import pytest

from agiwb.errors import InputError
from agiwb.serving.protobuf.examples import serialized_examples
from agiwb.serving.protobuf.messages import message_class

Example = message_class("tensorflow.Example")


def example(**features):
    message = Example()
    for name, value in features.items():
        message.features.feature[name].int64_list.value.append(value)
    return message


def values_of(data):
    features = Example.FromString(data).features.feature
    return {name: list(feature.int64_list.value) for name, feature in features.items()}


def test_each_example_is_its_own_bytes():
    message = message_class("Input")()
    message.example_list.examples.extend([example(a=1), example(a=2)])
    serialized = serialized_examples(message)
    assert serialized.shape == (2,)
    assert [values_of(data) for data in serialized] == [{"a": [1]}, {"a": [2]}]


def test_the_context_is_in_every_example_and_its_own_value_wins():
    message = message_class("Input")()
    message.example_list_with_context.context.CopyFrom(example(shared=9, a=0))
    message.example_list_with_context.examples.extend([example(a=1), example(b=2)])
    assert [values_of(data) for data in serialized_examples(message)] == [
        {"shared": [9], "a": [1]},
        {"shared": [9], "a": [0], "b": [2]},
    ]


@pytest.mark.parametrize("kind", [None, "example_list", "example_list_with_context"])
def test_no_example_is_refused(kind):
    message = message_class("Input")()
    if kind:
        getattr(message, kind).SetInParent()
    with pytest.raises(InputError, match=r"Input is empty\."):
        serialized_examples(message)
