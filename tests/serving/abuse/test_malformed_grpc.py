"""Calls over gRPC that are almost right: each has a status, none is the server's fault."""

from __future__ import annotations

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agiwb.serving.protobuf.messages import message_class
from tests.serving.abuse.abused_server import abused
from tests.serving.abuse.attackers import GrpcAttacker
from tests.serving.abuse.hostile_messages import VALID_CALLS, HostileCall, draw_call
from tests.serving.grpc.grpc_client import INFERENCE, PREDICTION, predict_request

pytestmark = pytest.mark.slow
PREDICT = f"/{PREDICTION}/Predict"
INFER = f"/{INFERENCE}/ModelInfer"
INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with abused(tmp_path_factory.mktemp("served")) as one:
        yield one


@pytest.fixture(scope="module")
def attacker(server):
    with GrpcAttacker(server) as one:
        yield one


def test_most_of_what_is_mutated_is_answered_before_it_is(attacker):
    codes = {
        method.rpartition("/")[2]: attacker.status_of(
            HostileCall(method, build().SerializeToString())
        )[0]
        for method, build in VALID_CALLS
    }
    # No model here has a signature for examples, and none may be administered.
    refused = {"Classify", "Regress", "MultiInference", "HandleReloadConfigRequest"}
    assert {name for name, code in codes.items() if code is not grpc.StatusCode.OK} == refused


@settings(
    max_examples=1500,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.randoms(use_true_random=True))
def test_no_call_is_the_servers_fault(attacker, random):
    call = draw_call(random)
    assert not attacker.faults(call), call


def test_after_all_that_the_right_answers_are_given(server):
    assert server.serves()


@pytest.mark.parametrize("sizes", [[0, 2**62, 2**62], [2**63 - 1, 0], [0] * 65, [0, -1]])
@pytest.mark.parametrize("dtype", [1, 7])
def test_a_shape_that_no_array_can_have_is_refused(attacker, sizes, dtype):
    tensors = predict_request("half")
    proto = tensors.inputs["x"]
    proto.dtype = dtype
    for size in sizes:
        proto.tensor_shape.dim.add().size = size
    infer = message_class("inference.ModelInferRequest")(model_name="half")
    infer.inputs.add(name="x", datatype="FP32" if dtype == 1 else "BYTES").shape.extend(sizes)
    raw = message_class("inference.ModelInferRequest")()
    raw.CopyFrom(infer)
    raw.raw_input_contents.append(b"")
    for method, message in ((PREDICT, tensors), (INFER, infer), (INFER, raw)):
        code, words = attacker.status_of(HostileCall(method, message.SerializeToString()))
        assert code is INVALID
        assert "'x'" in words


def many_inputs():
    request = predict_request("half")
    for place in range(20_000):
        request.inputs[f"input{place}"].dtype = 1
    return request


def long_signature():
    request = predict_request("half", x=np.float32([1]))
    request.model_spec.signature_name = "\xe9%\n" * 5000
    return request


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (many_inputs, INVALID),
        (long_signature, grpc.StatusCode.FAILED_PRECONDITION),
        (lambda: predict_request("half" * 20_000), grpc.StatusCode.NOT_FOUND),
    ],
)
def test_a_refusal_arrives_however_long_the_names_are(attacker, build, expected):
    code, words = attacker.status_of(HostileCall(PREDICT, build().SerializeToString()))
    assert code is expected
    assert words.endswith("...")
    assert len(words) < 5000


@pytest.mark.parametrize("dtype", [1, 7])
def test_a_few_bytes_do_not_fill_the_memory(server, attacker, dtype):
    request = predict_request("half")
    proto = request.inputs["x"]
    proto.dtype = dtype
    proto.tensor_shape.dim.add().size = 2**40
    with server.peak_rss_mb() as peak:
        before = server.rss_mb
        code, words = attacker.status_of(HostileCall(PREDICT, request.SerializeToString()))
    assert code is INVALID
    assert "more than" in words
    assert peak[0] < before + 20


def test_a_message_beyond_the_limit_is_refused(attacker):
    code, _ = attacker.status_of(HostileCall(PREDICT, bytes(65 << 20)))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
