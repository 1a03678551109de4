"""Requests over HTTP that are almost right: each is answered, none is the server's fault."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving.abuse.abused_server import abused, error_of
from tests.serving.abuse.attackers import HttpAttacker
from tests.serving.abuse.hostile_requests import VALID, HostileRequest, binary_headers, draw_request

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with abused(tmp_path_factory.mktemp("served")) as one:
        yield one


@pytest.fixture(scope="module")
def attacker(server):
    with HttpAttacker(server) as one:
        yield one


@pytest.mark.parametrize("valid", VALID, ids=lambda valid: valid.path)
def test_what_is_mutated_is_answered_before_it_is(server, valid):
    text = json.dumps(valid.document).encode()
    headers = [f"{name}: {value}" for name, value in binary_headers(valid, text)]
    assert server.post(valid.path, text + valid.binary, *headers).status == 200


@settings(
    max_examples=1500,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.randoms(use_true_random=True))
def test_no_request_is_the_servers_fault(attacker, random):
    request = draw_request(random)
    assert not attacker.faults(request), request


def test_after_all_that_the_right_answers_are_given(server):
    assert server.serves()


def infer(shape, **more):
    entry = {"name": "x", "shape": shape, "datatype": "FP32", **more}
    return json.dumps({"inputs": [entry]}).encode()


@pytest.mark.parametrize("shape", [[0, 2**62, 2**62], [2**40, 0, 2**40], [0] * 65, [2**63, 0]])
def test_a_shape_that_no_array_can_have_is_refused(server, shape):
    for body, headers in (
        (infer(shape, data=[]), []),
        (infer(shape, parameters={"binary_data_size": 0}), ["Inference-Header-Content-Length: {}"]),
    ):
        lines = [line.format(len(body)) for line in headers]
        reply = server.post("/v2/models/half/infer", body, *lines)
        assert reply.status == 400
        assert "x" in error_of(reply)


def test_the_version_in_sagemakers_header_may_have_any_number_of_digits(server):
    header = f"X-Amzn-SageMaker-Custom-Attributes: tfs-model-version={'9' * 5000}"
    reply = server.post("/invocations", b'{"instances": [1]}', header)
    assert reply.status == 400
    assert error_of(reply).startswith("Failed to convert version: 999")


@pytest.mark.parametrize(
    "request_lines",
    [
        "HEAD / HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab",
    ],
)
def test_head_has_no_body_however_it_is_refused(server, request_lines):
    with server.connect() as connection:
        connection.sendall(request_lines.encode())
        received = b""
        while part := connection.recv(65_536):
            received += part
    assert received.startswith(b"HTTP/1.1 4")
    assert received.endswith(b"\r\n\r\n")


def test_after_head_an_answer_has_its_body(server):
    with server.connect() as connection:
        connection.sendall(b"HEAD /ping HTTP/1.1\r\nHost: localhost\r\n\r\n\x00")
        received = b""
        while part := connection.recv(65_536):
            received += part
    assert b"not valid HTTP/1.1" in received


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/v1/models/half:predict", {"signature_name": "x" * 5_000_000, "instances": [1]}),
        ("/v1/models/half:classify", {"signature_name": "\xe9" * 90_000, "examples": [{"x": 1}]}),
        ("/v2/models/half/infer", {"inputs": [{"name": "n" * 5_000_000}]}),
        (
            "/v2/models/half/infer",
            {"inputs": [{"name": "x", "datatype": "F" * 5_000_000, "shape": [1], "data": [1]}]},
        ),
    ],
)
def test_a_long_name_is_not_sent_back(server, path, document):
    reply = server.post(path, json.dumps(document).encode())
    assert reply.status == 400
    assert len(reply.body) < 10_000
    assert error_of(reply).endswith("...")


def test_refusals_of_every_method_are_well_formed(attacker):
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD", "CONNECT"):
        for path in ("/v1/models/half", "/v2", "/metrics", "/admin/v1/models", "/nowhere", "*"):
            assert not attacker.faults(HostileRequest(method, path, b""))
