from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from agiwb.serving.batching import BatchingParameters
from agiwb.serving.protobuf.messages import message_class
from agiwb.serving.row_wise import Prepared
from agiwb.serving.servables.loader import load_servable
from tests.serving.grpc.grpc_client import PREDICTION, model, outputs_of, predict_request, serving
from tests.serving.onnx_models import write_echo, write_half_plus_two, write_two_by_two

F4 = np.float32


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_half_plus_two(folder / "half" / "00000123")
    write_two_by_two(folder / "two" / "1")
    write_echo(folder / "echo" / "1")
    with serving([model(name, folder / name) for name in ("half", "two", "echo")]) as served:
        served.engine.catalogue.set_label("half", "stable", 123)
        yield served


def refused(served, request, method="Predict", response="PredictResponse"):
    with pytest.raises(grpc.RpcError) as error:
        served.call(PREDICTION, method, request, response)
    return error.value.code().name, error.value.details()


def test_the_answer_names_model_version_and_signature(served):
    response = served.predict(predict_request("half", x=F4([1, 2])))
    assert outputs_of(response) == {"y": [2.5, 3.0]}
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("half", 123, "serving_default")


@pytest.mark.parametrize("as_content", [True, False])
def test_values_come_back_as_they_were_sent(served, as_content):
    output = served.predict(predict_request("half", as_content, x=F4([1, 2]))).outputs["y"]
    assert bool(output.tensor_content) == as_content
    assert len(output.float_val) == (0 if as_content else 2)


def test_one_value_is_broadcast_to_the_shape(served):
    request = predict_request("half", x=F4([3]))
    request.inputs["x"].tensor_shape.dim[0].size = 3
    assert outputs_of(served.predict(request)) == {"y": [3.5, 3.5, 3.5]}


def test_doubles_are_cast_to_the_signature(served):
    assert outputs_of(served.predict(predict_request("half", x=[1.0]))) == {"y": [2.5]}


def test_strings_pass(served):
    response = served.predict(predict_request("echo", text=np.array(["a", "é"], object)))
    assert list(response.outputs["same"].string_val) == [b"a", "é".encode()]


def test_a_version_and_a_label_are_found(served):
    request = predict_request("half", x=F4([1]))
    request.model_spec.version.value = 123
    assert outputs_of(served.predict(request)) == {"y": [2.5]}
    request.model_spec.version_label = "stable"
    assert served.predict(request).model_spec.version.value == 123


def test_the_filter_chooses_outputs(served):
    request = predict_request("two", a=F4([1]), b=np.int64([2]))
    assert outputs_of(served.predict(request)) == {"sum": [3.0], "b_twice": [4]}
    request.output_filter.append("b_twice")
    assert outputs_of(served.predict(request)) == {"b_twice": [4]}


def test_the_streaming_fields_are_ignored(served):
    request = predict_request("half", x=F4([1]))
    request.client_id = b"me"
    request.predict_streamed_options.request_state = 1
    request.request_options.return_stoptokens.append(1)
    assert outputs_of(served.predict(request)) == {"y": [2.5]}


def test_refusals_have_tensorflow_servings_codes_and_words(served):
    request = predict_request(x=F4([1]))
    assert refused(served, request) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    request.model_spec.signature_name = "s"
    assert refused(served, request) == ("INVALID_ARGUMENT", "ModelSpec has no name specified.")
    code, words = refused(served, predict_request("m"))
    assert code == "NOT_FOUND"
    assert words.startswith("Servable not found for request: Latest(m)")
    request = predict_request("half", x=F4([1]))
    request.model_spec.version.value = 5
    code, words = refused(served, request)
    assert code == "NOT_FOUND"
    assert words.startswith("Servable not found for request: Specific(half, 5)")
    request.model_spec.version_label = "x"
    code, words = refused(served, request)
    assert code == "INVALID_ARGUMENT"
    assert words.startswith("Unrecognized servable version label: x")
    request = predict_request("half", x=F4([1]))
    request.model_spec.signature_name = "x"
    assert refused(served, request) == (
        "FAILED_PRECONDITION",
        'Serving signature key "x" not found.',
    )


def test_a_wrong_set_of_inputs_is_told(served):
    assert refused(served, predict_request("two", a=F4([1]), c=F4([1]), d=F4([1]))) == (
        "INVALID_ARGUMENT",
        (
            "input size does not match signature: 3!=2 len({a,c,d}) != len({a,b}). "
            "Sent extra: {c,d}. Missing but required: {b}."
        ),
    )


def test_a_wrong_filter_is_told(served):
    request = predict_request("two", a=F4([1]), b=np.int64([2]))
    request.output_filter.append("nope")
    assert refused(served, request) == (
        "INVALID_ARGUMENT",
        (
            "output tensor alias not found in signature: nope "
            "Outputs expected to be in the set {b_twice,sum}."
        ),
    )
    request.output_filter[:] = ["sum", "sum"]
    assert refused(served, request) == (
        "INVALID_ARGUMENT",
        "duplicate output tensor alias: sum",
    )


def test_tensors_that_do_not_fit_are_the_clients_error(served):
    assert refused(served, predict_request("half", x=F4([[1]])))[0] == "INVALID_ARGUMENT"
    request = predict_request("half", True, x=F4([1]))
    request.inputs["x"].tensor_shape.dim[0].size = 2
    code, words = refused(served, request)
    assert code == "INVALID_ARGUMENT"
    assert "4 bytes of tensor_content" in words


def test_bytes_that_are_no_message_are_the_clients_error(served):
    stub = served.channel.unary_unary(f"/{PREDICTION}/Predict")
    with pytest.raises(grpc.RpcError) as error:
        stub(b"\xff\xff", timeout=60)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_many_threads_get_their_own_answers(served):
    def ask(number):
        return outputs_of(served.predict(predict_request("half", x=F4([number]))))["y"]

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(ask, range(200)))
    assert answers == [[number / 2 + 2] for number in range(200)]


def test_calls_without_a_deadline_share_batches(tmp_path):
    write_half_plus_two(tmp_path / "half" / "1")

    def load(name, version):
        return Prepared(load_servable(name, version))

    parameters = BatchingParameters(max_batch_size=8, batch_timeout_micros=20_000)
    with serving(
        [model("half", tmp_path / "half")], load=load, batching=parameters, threads=8
    ) as served:

        def ask(number):
            request = predict_request("half", x=F4([number]))
            return outputs_of(served.predict(request, timeout=None))["y"]

        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(ask, range(32)))
        assert answers == [[number / 2 + 2] for number in range(32)]
        runs = re.search(
            r"^agiwb_runtime_seconds_count\S* (\d+)",
            served.engine.metrics.render().decode(),
            re.MULTILINE,
        )
        assert int(runs[1]) < 32


def test_metadata_describes_the_signatures(served):
    request = message_class("GetModelMetadataRequest")()
    request.model_spec.name = "half"
    response_name = "GetModelMetadataResponse"
    assert refused(served, request, "GetModelMetadata", response_name) == (
        "INVALID_ARGUMENT",
        "GetModelMetadataRequest must specify at least one metadata_field",
    )
    request.metadata_field.append("signature_def")
    response = served.call(PREDICTION, "GetModelMetadata", request, response_name)
    assert response.model_spec.version.value == 123
    described = message_class("SignatureDefMap")()
    response.metadata["signature_def"].Unpack(described)
    signature = described.signature_def["serving_default"]
    assert [dim.size for dim in signature.inputs["x"].tensor_shape.dim] == [-1]
    request.metadata_field.append("weights")
    assert refused(served, request, "GetModelMetadata", response_name) == (
        "INVALID_ARGUMENT",
        "Metadata field weights is not supported",
    )


def test_requests_are_counted(served):
    before = served.engine.metrics.render()
    served.predict(predict_request("half", x=F4([1, 2])))
    refused(served, predict_request("half"))
    after = served.engine.metrics.render().decode()
    assert after.encode() != before
    counted = [line for line in after.splitlines() if 'protocol="tfs_grpc"' in line]
    assert any('code="OK"' in line and 'model="half"' in line for line in counted)
    assert any('code="INVALID_ARGUMENT"' in line for line in counted)
