from __future__ import annotations

import grpc
import numpy as np
import pytest

from agiwb import __version__
from agiwb.errors import InputError
from agiwb.serving.grpc.infer_tensors import read_inputs, write_output
from agiwb.serving.protobuf.messages import message_class
from agiwb.serving.rest_json.oip_types import DATATYPES
from tests.serving.grpc.grpc_client import INFERENCE, model, serving
from tests.serving.onnx_models import write_echo, write_half_plus_two, write_two_by_two


def message(kind, **fields):
    return message_class(f"inference.{kind}")(**fields)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_half_plus_two(folder / "half" / "3")
    write_two_by_two(folder / "two" / "1")
    write_echo(folder / "echo" / "1")
    with serving([model(name, folder / name) for name in ("half", "two", "echo")]) as served:
        yield served


def call(served, method, request):
    return served.call(INFERENCE, method, request, f"inference.{method}Response")


def refusal(served, request, method="ModelInfer"):
    with pytest.raises(grpc.RpcError) as error:
        call(served, method, request)
    return error.value.code().name, error.value.details()


def infer(name, raw=(), **tensors):
    request = message("ModelInferRequest", model_name=name, id="42", raw_input_contents=raw)
    for key, (datatype, shape, contents) in tensors.items():
        request.inputs.add(name=key, datatype=datatype, shape=shape, contents=contents)
    return request


def half(*values):
    return infer("half", x=("FP32", [len(values)], {"fp32_contents": values}))


def test_the_server_is_live_ready_and_named(served):
    assert call(served, "ServerLive", message("ServerLiveRequest")).live
    assert call(served, "ServerReady", message("ServerReadyRequest")).ready
    named = call(served, "ServerMetadata", message("ServerMetadataRequest"))
    assert (named.name, named.version) == ("agiwb", __version__)


@pytest.mark.parametrize(
    ("name", "version", "ready"),
    [("half", "", True), ("half", "3", True), ("half", "4", False), ("other", "", False)],
)
def test_readiness_is_told_for_each_version(served, name, version, ready):
    asked = message("ModelReadyRequest", name=name, version=version)
    assert call(served, "ModelReady", asked).ready == ready


def test_a_model_is_described(served):
    described = call(served, "ModelMetadata", message("ModelMetadataRequest", name="two"))
    assert (described.name, list(described.versions)) == ("two", ["1"])
    inputs = [(one.name, one.datatype, list(one.shape)) for one in described.inputs]
    assert inputs == [("a", "FP32", [-1]), ("b", "INT64", [-1])]
    assert [one.name for one in described.outputs] == ["sum", "b_twice"]


def test_typed_contents_are_answered_typed(served):
    response = call(served, "ModelInfer", half(1.0, 2.0))
    assert (response.model_name, response.model_version, response.id) == ("half", "3", "42")
    (output,) = response.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("y", "FP32", [2])
    assert list(output.contents.fp32_contents) == [2.5, 3.0]
    assert not response.raw_output_contents


def test_raw_contents_are_answered_raw(served):
    raw = [np.float32([1, 2]).tobytes(), np.int64([3, 4]).tobytes()]
    request = infer("two", raw, a=("FP32", [2], None), b=("INT64", [2], None))
    response = call(served, "ModelInfer", request)
    assert [output.name for output in response.outputs] == ["sum", "b_twice"]
    assert np.frombuffer(response.raw_output_contents[0], "<f4").tolist() == [4.0, 6.0]
    assert np.frombuffer(response.raw_output_contents[1], "<i8").tolist() == [6, 8]
    assert not response.outputs[0].HasField("contents")


def test_outputs_come_in_the_order_asked(served):
    request = infer(
        "two", a=("FP32", [1], {"fp32_contents": [1]}), b=("INT64", [1], {"int64_contents": [2]})
    )
    request.outputs.add(name="b_twice")
    request.outputs.add(name="sum")
    response = call(served, "ModelInfer", request)
    assert [output.name for output in response.outputs] == ["b_twice", "sum"]


@pytest.mark.parametrize("raw", [True, False])
def test_strings_pass(served, raw):
    texts = [b"a", "é".encode()]
    packed = [b"".join(len(text).to_bytes(4, "little") + text for text in texts)]
    contents = None if raw else {"bytes_contents": texts}
    request = infer("echo", packed if raw else (), text=("BYTES", [2], contents))
    response = call(served, "ModelInfer", request)
    if raw:
        assert list(response.raw_output_contents) == packed
    else:
        assert list(response.outputs[0].contents.bytes_contents) == texts


def test_the_repository_is_listed(served):
    listed = call(served, "RepositoryIndex", message("RepositoryIndexRequest", ready=True))
    assert {(one.name, one.version, one.state) for one in listed.models} == {
        ("half", "3", "READY"),
        ("two", "1", "READY"),
        ("echo", "1", "READY"),
    }


def test_what_does_not_fit_is_refused(served):
    assert refusal(served, infer("other"))[0] == "NOT_FOUND"
    assert refusal(served, infer(""))[0] == "INVALID_ARGUMENT"
    request = half(1.0)
    request.model_version = "new"
    assert "is not a number" in refusal(served, request)[1]
    request.model_version = "4"
    assert refusal(served, request)[0] == "NOT_FOUND"
    request = half(1.0)
    request.outputs.add(name="z")
    assert "output tensor alias not found in signature: z" in refusal(served, request)[1]
    request = half(1.0)
    request.parameters["signature_name"].string_param = "z"
    assert refusal(served, request) == (
        "FAILED_PRECONDITION",
        'Serving signature key "z" not found.',
    )


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (infer("m", x=("FP32", [2], {"fp32_contents": [1]})), "1 fp32_contents"),
        (infer("m", x=("FP32", [-1], {"fp32_contents": [1]})), "negative size"),
        (infer("m", x=("FP31", [1], {"fp32_contents": [1]})), "FP31"),
        (infer("m", x=("FP16", [1], None)), "Send it in raw_input_contents"),
        (infer("m", x=("INT8", [1], {"int_contents": [128]})), "from -128 to 127"),
        (infer("m", [b"123"], x=("FP32", [1], None)), "3 bytes"),
        (infer("m", [b"1234"] * 2, x=("FP32", [1], None)), "1 inputs, but 2 raw"),
        (infer("m", [b"1234"], x=("FP32", [1], {"fp32_contents": [1]})), "Send one of them"),
        (infer("m", [b"\x09\0\0\0ab"], x=("BYTES", [1], None)), "string"),
    ],
)
def test_tensors_that_contradict_themselves_are_refused(request_, words):
    with pytest.raises(InputError) as error:
        read_inputs(request_)
    assert words in str(error.value)


def test_an_input_that_is_there_twice_is_refused():
    request = half(1.0)
    request.inputs.add().CopyFrom(request.inputs[0])
    with pytest.raises(InputError, match="there twice"):
        read_inputs(request)


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("dtype", [dtype for dtype in DATATYPES.values() if dtype != "float16"])
def test_every_datatype_survives(dtype, raw):
    values = [["a", "b"], ["c", "é"]] if dtype == "object" else [[0, 1], [2, 3]]
    array = np.array(values).astype(dtype)
    response = message("ModelInferResponse")
    output = response.outputs.add(name="x")
    write_output(array, output, response.raw_output_contents if raw else None)
    request = message("ModelInferRequest", raw_input_contents=response.raw_output_contents)
    request.inputs.add().MergeFromString(output.SerializeToString())
    again = read_inputs(request)["x"]
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)
