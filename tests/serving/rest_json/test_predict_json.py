"""The cases of TensorFlow Serving's own codec and handler tests that a predict call meets."""

from __future__ import annotations

import json

import numpy as np
import pytest

from agiwb.artifacts.signature import SIGNATURE_NAME, Signature, TensorSpec
from agiwb.errors import InputError
from agiwb.runtimes.checking import check_inputs
from agiwb.runtimes.served_signature import ServedSignature
from agiwb.serving.rest_json.example_body import describe_inputs, example_body
from agiwb.serving.rest_json.predict_json import PredictRequest, decode_request, encode_response

NAN, INFINITY = float("nan"), float("inf")


def signature(**inputs: str) -> Signature:
    return Signature(
        inputs=tuple(TensorSpec(name=n, dtype=d, shape=(None,)) for n, d in inputs.items()),
        outputs=(TensorSpec(name="y", dtype="float32", shape=(None,)),),
    )


def decode(body: bytes, wanted: Signature) -> PredictRequest:
    return decode_request(body, {SIGNATURE_NAME: ServedSignature(wanted)})


FLOAT = signature(x="float32")
INT = signature(int_tensor="int32")
TWO = signature(a="float32", b="int64")


@pytest.mark.parametrize(
    ("wanted", "body", "layout", "expected"),
    [
        (INT, '{"instances": [[1,2],[3,4],[5,6]]}', "row", [[1, 2], [3, 4], [5, 6]]),
        (INT, '{"instances": [{"int_tensor": 1}, {"int_tensor": 2}]}', "row", [1, 2]),
        (INT, '{"inputs": [[[1,2],[3,4],[5,6]]]}', "column", [[[1, 2], [3, 4], [5, 6]]]),
        (INT, '{"inputs": {"int_tensor": [[1,2]]}}', "column", [[1, 2]]),
        (INT, '{"signature_name": "serving_default", "instances": [1]}', "row", [1]),
        (INT, '{"instances": [1], "other": [[[{}]]]}', "row", [1]),
        (FLOAT, '{"instances": [1, 2.0, 3, 4, 5.5, 0.0]}', "row", [1, 2, 3, 4, 5.5, 0]),
        (FLOAT, '{"instances": [1.5], "true": "false"}', "row", [1.5]),
        (FLOAT, '{"instances": [NaN, Infinity, -Infinity]}', "row", [NAN, INFINITY, -INFINITY]),
        (FLOAT, '{"inputs": 3.5}', "column", 3.5),
        (FLOAT, '{"inputs": []}', "column", []),
        (signature(x="bool"), '{"instances": [true, false]}', "row", [True, False]),
        (signature(x="object"), '{"instances": ["a", "é"]}', "row", ["a", "é"]),
    ],
)
def test_one_input_is_read_in_either_layout(wanted, body, layout, expected):
    request = decode(body.encode(), wanted)
    assert request.layout == layout
    (array,) = request.tensors.values()
    np.testing.assert_array_equal(array, expected)


def test_several_inputs_are_read_by_name():
    for body in (
        b'{"instances": [{"b": 1, "a": 0.5}, {"a": 2, "b": 3}]}',
        b'{"inputs": {"a": [0.5, 2], "b": [1, 3], "c": "ignored"}}',
    ):
        tensors = check_inputs(TWO, decode(body, TWO).tensors)
        assert tensors["a"].tolist() == [0.5, 2]
        assert tensors["b"].tolist() == [1, 3]
        assert (tensors["a"].dtype, tensors["b"].dtype) == (np.float32, np.int64)


def test_large_integers_and_doubles_reach_float_as_in_c():
    body = b'{"instances": [1435774380, 1.7976931348623157e308, -1.7976931348623157e308]}'
    array = check_inputs(FLOAT, decode(body, FLOAT).tensors)["x"]
    assert array.tolist() == [float(np.float32(1435774380)), INFINITY, -INFINITY]


@pytest.mark.parametrize(
    ("wanted", "body", "message"),
    [
        (INT, "", "JSON Parse error: The document is empty"),
        (INT, '{"instances" = [1, 2]}', "JSON Parse error: Invalid value"),
        (INT, '{"instances": [1, 2]', "JSON Parse error: Invalid value"),
        (INT, '{"instances": [NaN, 2', "JSON Parse error: Invalid value"),
        (INT, "[1]", "JSON Value: [1] Is not object"),
        (INT, "{}", "Missing 'inputs' or 'instances' key"),
        (INT, '{"signature_name": 5, "instances": [1]}', "key must be a string value"),
        (INT, '{"signature_name": "x", "instances": [1]}', 'name: "x" not found in signature def'),
        (INT, '{"instances": [1], "inputs": [1]}', "Not formatted correctly"),
        (INT, '{"instances": 1}', "Expecting 'instances' to be an list/array"),
        (INT, '{"instances": []}', "No values in 'instances' array"),
        (INT, '{"instances": [[1,2],[3,4],[5,6,7]]}', "Expecting tensor size: 2 but got: 3"),
        (INT, '{"instances": [[1,2],[[5,6]]]}', "Expecting shape [2] but got: [1,2]"),
        (INT, '{"instances": [1, [1]]}', "Expecting shape [] but got: [1]"),
        (INT, '{"instances": [[1, [1]]]}', "unexpected level: 1 expected < 1"),
        (INT, '{"instances": [[[1], 1]]}', "found at incorrect level: 2"),
        (INT, '{"inputs": [[1, 2], [3]]}', "unexpected size: 1 at level: 1 expected size: 2"),
        (INT, '{"instances": [["a", "b"]]}', '"a" Type: String is not of expected type: int32'),
        (INT, '{"instances": [1, 2.5]}', "2.5 Type: Number is not of expected type: int32"),
        (INT, '{"instances": [{"x": 1}]}', "does not have named input: x"),
        (INT, '{"instances": [{}]}', "keys must be equal to: int_tensor"),
        (INT, '{"inputs": {"x": 1}}', "Missing named input: int_tensor in 'inputs' object."),
        (FLOAT, '{"instances": ["x", "y"]}', "is not of expected type: float"),
        (FLOAT, '{"instances": [1, null]}', "null Type: Null is not of expected type: float"),
        (FLOAT, '{"instances": [true, 2]}', "true Type: True is not of expected type: float"),
        (FLOAT, '{"instances": [[1, false]]}', "Type: False is not of expected type: float"),
        (FLOAT, '{"instances": [1, NaN, {}]}', "Expecting value/list but got object at item 2"),
        (FLOAT, '{"instances": [[{}]]}', "Type: Object is not of expected type: float"),
        (signature(x="bool"), '{"instances": [1]}', "is not of expected type: bool"),
        (signature(x="object"), '{"instances": ["a", 1]}', "is not of expected type: string"),
        (TWO, '{"instances": [1, 2]}', "instances is a plain list, but expecting list of objects"),
        (TWO, '{"inputs": [1, 2]}', "inputs is a plain value/list, but expecting an object"),
        (TWO, '{"instances": [{"a": 1}]}', "keys must be equal to: a,b"),
        (
            TWO,
            '{"instances": [{"a": 1, "b": 2, "c": 3}]}',
            "JSON object: does not have named input: c",
        ),
        (TWO, '{"instances": [{"a": 1, "b": 2}, [1]]}', "Expecting object but got list at item 1"),
        (TWO, '{"inputs": {"a": [1]}}', "Missing named input: b in 'inputs' object."),
    ],
)
def test_what_does_not_fit_gets_tensorflow_servings_sentence(wanted, body, message):
    with pytest.raises(InputError) as caught:
        decode(body.encode(), wanted)
    assert message in str(caught.value)


def test_the_element_at_fault_is_named():
    with pytest.raises(InputError, match="Failed to process element: 3 of 'instances' list"):
        decode(b'{"instances": [1, 2, 3, "x"]}', FLOAT)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**80])
def test_an_integer_beyond_64_bits_is_refused(value):
    with pytest.raises(InputError):
        check_inputs(TWO, decode(f'{{"inputs": {{"a": 1, "b": {value}}}}}'.encode(), TWO).tensors)


@pytest.mark.parametrize("depth", [70, 900, 100_000])
@pytest.mark.parametrize("key", ["instances", "inputs", "signature_name", "other"])
def test_deep_nesting_is_refused_and_no_stack_overflows(depth, key):
    body = f'{{"{key}": {"[" * depth}{"]" * depth}}}'.encode()
    with pytest.raises(InputError):
        decode(body, FLOAT)


def test_bytes_that_are_no_text_are_refused():
    for body in (b"\xff\xfe", b'{"instances": ["\xff"]}', b'{"instances": [NaN, "\xff"]}'):
        with pytest.raises(InputError, match="JSON Parse error"):
            decode(body, FLOAT)


def test_quoted_values_are_cut():
    with pytest.raises(InputError) as caught:
        decode(json.dumps({"instances": 1, "other": "x" * 10_000}).encode(), FLOAT)
    assert len(str(caught.value)) < 400


ONE = {"y": np.array([[0.2, 3.0], [9e6, 1e-7]], np.float32)}
SEVERAL = {"y": np.array([0.5, 2], np.float32), "n": np.array([[1, 2], [3, 4]])}


def test_one_output_stands_alone():
    assert json.loads(encode_response(ONE, "row")) == {"predictions": [[0.2, 3.0], [9e6, 1e-7]]}
    assert json.loads(encode_response(ONE, "column")) == {"outputs": [[0.2, 3.0], [9e6, 1e-7]]}


def test_several_outputs_are_named():
    assert json.loads(encode_response(SEVERAL, "row")) == {
        "predictions": [{"y": 0.5, "n": [1, 2]}, {"y": 2.0, "n": [3, 4]}]
    }
    assert json.loads(encode_response(SEVERAL, "column")) == {
        "outputs": {"y": [0.5, 2.0], "n": [[1, 2], [3, 4]]}
    }


def test_floats_have_the_fewest_digits_and_whole_numbers_a_point():
    values = np.array([0.5, 0.0003, 3, 555557.5, 0.2], np.float32)
    assert encode_response({"y": values}, "row") == b'{"predictions":[0.5,0.0003,3.0,555557.5,0.2]}'


def test_what_json_has_no_number_for_is_written_as_a_token():
    values = np.array([NAN, INFINITY, -INFINITY, 0.2], np.float32)
    assert encode_response({"y": values}, "row") == b'{"predictions":[NaN,Infinity,-Infinity,0.2]}'


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "uint64", "bool"])
def test_every_dtype_is_written(dtype):
    answer = encode_response({"y": np.array([[0, 1]], dtype)}, "row")
    assert json.loads(answer) == {"predictions": [[0, 1]]}


def test_strings_and_views_are_written():
    assert encode_response({"y": np.array(["a"], object)}, "row") == b'{"predictions":["a"]}'
    view = np.arange(6).reshape(2, 3).T
    assert encode_response({"y": view}, "row") == b'{"predictions":[[0,3],[1,4],[2,5]]}'


def test_no_rows_give_no_predictions():
    assert encode_response({"y": np.zeros((0, 2))}, "row") == b'{"predictions":[]}'


def test_rows_need_one_batch_size():
    with pytest.raises(InputError, match="Tensor name: y has no shape information"):
        encode_response({"y": np.float32(1).reshape(())}, "row")
    with pytest.raises(InputError, match="b has inconsistent batch size: 1 expecting: 0"):
        encode_response({"a": np.zeros(0), "b": np.zeros(1)}, "row")


@pytest.mark.parametrize(
    "shape", [(None,), (None, 3), (4, 2), (None, None, 2), (None, 28, 28, 1), (1, 64)]
)
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "object"])
def test_the_example_body_fits(shape, dtype):
    wanted = Signature(inputs=(TensorSpec(name="x", dtype=dtype, shape=shape),), outputs=())
    body = json.dumps(example_body(wanted)).encode()
    check_inputs(wanted, decode(body, wanted).tensors)


@pytest.mark.parametrize(
    "shapes", [[(None, 2), (3, None, 4)], [(2, None), (3, None)], [(None, 2), ()], [()]]
)
def test_the_example_body_of_inputs_that_are_no_rows_fits_too(shapes):
    specs = [TensorSpec(name=f"x{n}", dtype="int64", shape=s) for n, s in enumerate(shapes)]
    wanted = Signature(inputs=tuple(specs), outputs=())
    body = json.dumps(example_body(wanted)).encode()
    check_inputs(wanted, decode(body, wanted).tensors)


def test_an_error_shows_the_signature_and_an_example_that_fits():
    text = describe_inputs(TWO)
    assert "a: float32 (?); b: int64 (?)" in text
    body = text.partition("A body that fits: ")[2]
    check_inputs(TWO, decode(body.encode(), TWO).tensors)


def test_a_large_example_is_cut_short():
    image = Signature(
        inputs=(TensorSpec(name="x", dtype="float32", shape=(None, 28, 28)),), outputs=()
    )
    assert describe_inputs(image).endswith(
        'A body of this form: {"instances":[[[0.0,0.0,...],[0.0,0.0,...],...]]}'
    )
