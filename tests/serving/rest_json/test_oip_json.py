from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.errors import InputError
from agiwb.serving.rest_json import oip_json
from agiwb.serving.rest_json.oip_json import InferRequest, decode_infer, encode_infer
from agiwb.serving.rest_json.oip_types import DATATYPES, datatype_of, describe_oip_model
from agiwb.serving.status import Code, Refusal

X = TensorSpec(name="x", dtype="float32", shape=(None, 2))
N = TensorSpec(name="n", dtype="int64", shape=(None,))
S = TensorSpec(name="s", dtype="object", shape=(None,))
Y = TensorSpec(name="y", dtype="float32", shape=(None,))
ONE = Signature(inputs=(X,), outputs=(Y, S))
THREE = Signature(inputs=(X, N, S), outputs=(Y,))


def infer(signature: Signature, *inputs, binary: bytes = b"", **more) -> InferRequest:
    text = json.dumps({"inputs": inputs, **more}).encode()
    length = str(len(text)).encode() if binary else None
    return decode_infer(text + binary, signature, length)


def tensor(**changes):
    return {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4], **changes}


def binary(name, shape, datatype, size):
    parameters = {"binary_data_size": size}
    return {"name": name, "shape": shape, "datatype": datatype, "parameters": parameters}


@pytest.mark.parametrize("data", [[1, 2, 3.0, 4], [[1, 2], [3.0, 4]]])
def test_data_may_be_flat_or_nested(data):
    array = infer(ONE, tensor(data=data)).tensors["x"]
    assert array.dtype == np.float32
    assert array.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("datatype", sorted(DATATYPES))
def test_every_datatype_goes_in_and_out_as_json_and_as_bytes(datatype):
    dtype = DATATYPES[datatype]
    signature = Signature(inputs=(X.model_copy(update={"dtype": dtype}),), outputs=())
    values = np.array([["a", "é"]], object) if dtype == "object" else np.array([[0, 1]], dtype)
    for wanted in (InferRequest({}), InferRequest({}, all_binary=True)):
        answer = encode_infer(wanted, {"x": values}, "m", 7)
        length = answer.json_length or len(answer.body)
        entry = json.loads(answer.body[:length])["outputs"][0]
        assert ("data" in entry) != wanted.all_binary
        got = infer(signature, entry, binary=answer.body[length:]).tensors["x"]
        assert got.dtype == dtype
        assert got.tolist() == values.tolist()


def test_binary_tensors_are_taken_in_the_order_of_the_inputs():
    x, n = np.array([[1, 2]], np.float32), np.array([5], np.int64)
    strings = struct.pack("<I", 1) + b"a"
    request = infer(
        THREE,
        binary("n", [1], "INT64", 8),
        {"name": "s", "shape": [1], "datatype": "BYTES", "data": ["b"]},
        binary("x", [1, 2], "FP32", 8),
        binary=n.tobytes() + x.tobytes(),
    )
    assert request.tensors["x"].tolist() == [[1, 2]]
    assert request.tensors["n"].tolist() == [5]
    assert request.tensors["s"].tolist() == ["b"]
    only_strings = Signature(inputs=(S,), outputs=())
    request = infer(only_strings, binary("s", [1], "BYTES", 5), binary=strings)
    assert request.tensors["s"].tolist() == ["a"]


def test_aligned_numbers_are_not_copied_and_others_are_aligned():
    raw = np.arange(4, dtype=np.float32).tobytes()
    aligned = {}
    for spaces in range(8):
        text = json.dumps({"inputs": [binary("x", [2, 2], "FP32", 16)]}).encode() + b" " * spaces
        array = decode_infer(text + raw, ONE, str(len(text)).encode()).tensors["x"]
        assert array.tolist() == [[0, 1], [2, 3]]
        assert array.flags.aligned
        aligned[array.flags.owndata] = True
    assert aligned == {True: True, False: True}


def test_bytes_that_are_no_text_stay_bytes():
    raw = struct.pack("<I", 2) + b"\xff\x00"
    signature = Signature(inputs=(S,), outputs=())
    assert infer(signature, binary("s", [1], "BYTES", 6), binary=raw).tensors["s"].tolist() == [
        b"\xff\x00"
    ]


@pytest.mark.parametrize(
    ("inputs", "tail", "message"),
    [
        ([], b"", "no list of `inputs`"),
        (["x"], b"", "`inputs[0]` is not an object with a `name`"),
        ([tensor(name="z")], b"", "The model has no input 'z'. Choose from: x."),
        ([tensor(), tensor()], b"", "The input x is given twice."),
        ([tensor(datatype="FP3")], b"", "Did you mean `FP32`?"),
        ([tensor(datatype=None)], b"", "has the datatype None"),
        ([tensor(shape=[2, 3])], b"", "data of shape [4], but its `shape` is [2, 3]"),
        ([tensor(shape=[2, 2], data=[[1, 2, 3, 4]])], b"", "data of shape [1, 4]"),
        ([tensor(shape=[-1, 2])], b"", "The input x has the `shape` [-1,2]"),
        ([tensor(shape=[True, 4])], b"", "has the `shape` [true,4]"),
        ([tensor(shape="2")], b"", 'has the `shape` "2"'),
        ([tensor(shape=[1] * 65)], b"", "65 dimensions; at most 64"),
        ([tensor(shape=[10**30, 0], data=[])], b"", ""),
        ([tensor(data=[1, 2, 3, "4"])], b"", '"4" Type: String is not of expected type: float'),
        ([tensor(data=[1, 2, 3, True])], b"", "true Type: True is not of expected type: float"),
        ([tensor(data=[[1, 2], [3]])], b"", "Encountered list at unexpected size"),
        ([{"name": "x", "shape": [1, 2], "datatype": "FP32"}], b"", "has no `data`, nor"),
        ([tensor(parameters=[])], b"", "The input x has `parameters` that are not an object."),
        ([binary("x", [1, 2], "FP32", 16)], b"1" * 8, "`binary_data_size` 16, but 8 bytes remain"),
        ([binary("x", [1, 2], "FP32", -1)], b"1" * 8, "`binary_data_size` -1"),
        ([binary("x", [1, 2], "FP32", 4)], b"1" * 4, "4 bytes of binary data, but its shape"),
        ([binary("x", [1, 2], "FP32", 8)], b"1" * 9, "9 bytes of binary data follow the JSON"),
        ([binary("x", [1, 1], "BOOL", 1)], b"\2", "truth values other than the bytes 0 and 1"),
        ([binary("x", [1, 1], "BYTES", 3)], b"123", "end within a string, at byte 0"),
        ([binary("x", [1, 1], "BYTES", 5)], b"\5\0\0\0a", "end within a string, at byte 4"),
        ([binary("x", [1, 2], "BYTES", 5)], b"\1\0\0\0a", "has 1 strings in its binary data"),
    ],
)
def test_what_does_not_fit_is_told(inputs, tail, message):
    with pytest.raises(InputError) as caught:
        infer(ONE, *inputs, binary=tail)
    assert message in str(caught.value)


def test_all_inputs_are_asked_for():
    with pytest.raises(InputError, match=r"The request lacks the inputs n, s\."):
        infer(THREE, tensor())


@pytest.mark.parametrize("length", [b"-1", b"x", b"", b"1000000", b"9" * 5000, b"\xb2"])
def test_a_wrong_length_of_the_json_is_told(length):
    with pytest.raises(InputError, match="Inference-Header-Content-Length"):
        decode_infer(b'{"inputs": []}', ONE, length)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"id": 5}, "The request's `id` is 5"),
        ({"outputs": {}}, ""),
        ({"outputs": "y"}, "`outputs` is not a list."),
        ({"outputs": [{"name": "z"}]}, "The model has no output 'z'."),
        ({"outputs": [{"name": "y"}] * 2}, "The output y is asked for twice."),
        ({"parameters": 1}, "The request has `parameters` that are not an object."),
    ],
)
def test_what_is_wrong_beside_the_inputs_is_told(more, message):
    if not message:  # an empty object is as good as none
        assert infer(ONE, tensor(), **more).outputs == ()
        return
    with pytest.raises(InputError) as caught:
        infer(ONE, tensor(), **more)
    assert message in str(caught.value)


def test_classification_is_said_not_to_be_offered():
    wanted = {"name": "y", "parameters": {"classification": 3}}
    with pytest.raises(Refusal) as caught:
        infer(ONE, tensor(), outputs=[wanted])
    assert caught.value.code == Code.UNIMPLEMENTED


def test_the_answer_echoes_the_id_and_has_the_outputs_asked_for():
    request = infer(ONE, tensor(), id="42", outputs=[{"name": "s"}, {"name": "y"}])
    outputs = {"y": np.array([[0.5, 2]], np.float32), "s": np.array([b"a"], object)}
    answer = encode_infer(request, outputs, "m", 3)
    assert answer.json_length is None
    assert json.loads(answer.body) == {
        "model_name": "m",
        "model_version": "3",
        "id": "42",
        "outputs": [
            {"name": "s", "datatype": "BYTES", "shape": [1], "data": ["a"]},
            {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 2.0]},
        ],
    }


def test_one_output_may_be_binary_and_another_not():
    wanted = [{"name": "y", "parameters": {"binary_data": False}}, {"name": "s"}]
    request = infer(ONE, tensor(), parameters={"binary_data_output": True}, outputs=wanted)
    outputs = {"y": np.array([1], np.float32), "s": np.array(["é", b"\xff"], object)}
    answer = encode_infer(request, outputs, "m", 3)
    entries = json.loads(answer.body[: answer.json_length])["outputs"]
    assert entries[0]["data"] == [1]
    assert entries[1]["parameters"] == {"binary_data_size": 11}
    assert answer.body[answer.json_length :] == b"\2\0\0\0\xc3\xa9\1\0\0\0\xff"


def test_bytes_that_are_no_text_cannot_be_json():
    with pytest.raises(InputError, match="Ask for it with the parameter `binary_data`"):
        encode_infer(InferRequest({}), {"s": np.array([b"\xff"], object)}, "m", 1)


def test_views_are_written_in_their_own_order():
    view = np.arange(6, dtype=np.int32).reshape(2, 3).T
    for request in (InferRequest({}), InferRequest({}, all_binary=True)):
        answer = encode_infer(request, {"y": view}, "m", 1)
        if answer.json_length is None:
            assert json.loads(answer.body)["outputs"][0]["data"] == [0, 3, 1, 4, 2, 5]
        else:
            tail = answer.body[answer.json_length :]
            assert np.frombuffer(tail, np.int32).tolist() == [0, 3, 1, 4, 2, 5]


def test_a_model_is_described():
    assert describe_oip_model("m", (1, 2), THREE, "onnxruntime_onnx") == {
        "name": "m",
        "versions": ["1", "2"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [-1, 2]},
            {"name": "n", "datatype": "INT64", "shape": [-1]},
            {"name": "s", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}],
    }


def test_complex_numbers_have_no_datatype():
    with pytest.raises(InputError, match="no datatype for complex64"):
        datatype_of("complex64")
    assert datatype_of(np.array(["a"]).dtype) == "BYTES"


def test_what_is_said_again_of_binary_tensors_is_read_again_as_it_was(monkeypatch):
    said = binary("x", [2, 2], "FP32", 16)
    wanted = [{"name": "y", "parameters": {"binary_data": True}}]
    first, second = (np.arange(4, dtype=np.float32).reshape(2, 2) + more for more in (0, 10))
    asked = infer(ONE, said, binary=first.tobytes(), outputs=wanted)
    with monkeypatch.context() as patch:
        patch.setattr(oip_json, "load_document", None)  # nothing is read as JSON again
        again = infer(ONE, said, binary=second.tobytes(), outputs=wanted)
    assert again.tensors["x"].tolist() == second.tolist()
    assert (again.outputs, again.binary, again.id) == (asked.outputs, asked.binary, None)
    with pytest.raises(InputError, match="12 bytes remain"):
        infer(ONE, said, binary=second.tobytes()[:-4], outputs=wanted)
    with pytest.raises(InputError, match="20 bytes of binary data follow"):
        infer(ONE, said, binary=second.tobytes() + bytes(4), outputs=wanted)
    with pytest.raises(InputError, match="has no input 'x'"):
        infer(Signature(inputs=(N,), outputs=(Y,)), said, binary=second.tobytes(), outputs=wanted)
