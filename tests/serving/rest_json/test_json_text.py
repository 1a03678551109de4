from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.errors import AgiwbError, InputError
from agiwb.runtimes.served_signature import ServedSignature
from agiwb.serving.rest_json.json_text import dump_json, load_json, quote_json
from agiwb.serving.rest_json.predict_json import decode_request, encode_response


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('["Inf NaN", Inf, -Inf]', ["Inf NaN", math.inf, -math.inf]),
        ('{"Inf": "\\" Inf \\\\", "x": Infinity}', {"Inf": '" Inf \\', "x": math.inf}),
        ("[1] rest", [1]),
        ("\ufeff[1]", [1]),
        (" {} [", {}),
    ],
)
def test_what_rapidjson_reads_is_read(text, expected):
    assert load_json(text.encode()) == expected


def test_a_negative_nan_is_one():
    assert math.isnan(load_json(b"[-NaN]")[0])


@pytest.mark.parametrize(
    "text", ["", "   ", "[1,]", "nan", "Info", "[1 NaN]", "{'a': 1}", '["\\ud800", NaN]', "[01]"]
)
def test_what_is_not_json_is_refused(text):
    with pytest.raises(InputError, match="JSON Parse error"):
        load_json(text.encode())


def test_a_value_is_quoted_in_256_bytes_and_whole_characters():
    quoted = quote_json("é" * 1000)
    assert quoted.endswith("é...")
    assert len(quoted.encode()) <= 256 + 3
    assert quote_json({"a": [1.5]}) == '{"a":[1.5]}'


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@given(data=st.data())
def test_numbers_come_back_to_the_last_bit(dtype, data):
    array = data.draw(arrays.arrays(dtype, arrays.array_shapes(min_side=0, max_side=4)))
    specs = (TensorSpec(name="x", dtype=np.dtype(dtype).name, shape=(None,)),)
    signatures = {"serving_default": ServedSignature(Signature(inputs=specs, outputs=()))}
    body = encode_response({"x": array}, "column").replace(b'"outputs"', b'"inputs"', 1)
    got = decode_request(body, signatures).tensors["x"]
    if array.size:
        np.testing.assert_array_equal(got, array)
        assert got.dtype == dtype


SIGNATURES = {
    "serving_default": ServedSignature(
        Signature(
            inputs=tuple(
                TensorSpec(name=dtype, dtype=dtype, shape=(None,))
                for dtype in ("float32", "int8", "bool", "object")
            ),
            outputs=(),
        )
    ),
    "one": ServedSignature(
        Signature(inputs=(TensorSpec(name="x", dtype="float32", shape=(None,)),), outputs=())
    ),
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "b64", "float32", "int8", "bool", "object"]), inner)
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from(["instances", "inputs", "signature_name", "other"]), VALUES)
    | VALUES
)
def test_any_json_is_read_or_refused(document):
    body = json.dumps(document).encode()
    for signature in ({}, {"signature_name": "one"}):
        if isinstance(document, dict) and signature:
            body = json.dumps({**document, **signature}).encode()
        try:
            decode_request(body, SIGNATURES)
        except AgiwbError as error:
            assert str(error)  # noqa: PT017


def test_whole_floats_keep_their_point():
    assert dump_json(np.float32(3)) == b"3.0"
    assert dump_json({"a": np.array(0.2, np.float32)}) == b'{"a":0.2}'
