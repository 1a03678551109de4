from __future__ import annotations

import numpy as np

from agiwb.serving.protobuf.messages import message_class
from agiwb.serving.rest_json.example_protos import serialize_request
from agiwb.serving.rest_json.examples_json import decode_examples


def parse(serialized: bytes):
    return message_class("tensorflow.Example").FromString(serialized).features.feature


def test_examples_become_messages():
    body = b"""{"examples": [
        {"age": 20, "names": ["foo", {"b64": "/w=="}], "ratings": [8.5], "old": false, "e": []},
        {}
    ]}"""
    first, second = serialize_request(decode_examples(body))
    features = parse(first)
    assert list(features["age"].int64_list.value) == [20]
    assert list(features["names"].bytes_list.value) == [b"foo", b"\xff"]
    assert list(features["ratings"].float_list.value) == [8.5]
    assert list(features["old"].int64_list.value) == [0]
    assert features["e"].WhichOneof("kind") is None
    assert second == b""


def test_a_context_is_in_every_example_and_gives_way():
    body = b'{"context": {"a": 1, "b": 2}, "examples": [{"b": 3}, {"c": 0.5}]}'
    first, second = map(parse, serialize_request(decode_examples(body)))
    assert list(first["a"].int64_list.value) == [1]
    assert list(first["b"].int64_list.value) == [3]
    assert list(second["b"].int64_list.value) == [2]
    assert list(second["c"].float_list.value) == [0.5]


def test_large_doubles_become_infinite():
    (one,) = serialize_request(decode_examples(b'{"examples": [{"a": 1e300}]}'))
    assert np.isinf(parse(one)["a"].float_list.value[0])
