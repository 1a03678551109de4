"""What holds for every call: who may, until when, how long, how many; and how errors are told."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import trustme

from agiwb.errors import ServingError
from agiwb.serving.access.gate import ANY_CERTIFICATE, Gate
from agiwb.serving.access.identity import Identity
from agiwb.serving.grpc.calls import peer_address
from agiwb.serving.grpc.server import start_grpc
from agiwb.serving.protobuf.messages import message_class
from agiwb.serving.servables.loader import load_servable
from agiwb.serving.status import Code, Refusal
from tests.serving.grpc.grpc_client import (
    HEALTH,
    INFERENCE,
    PREDICTION,
    model,
    outputs_of,
    predict_request,
    serving,
)
from tests.serving.onnx_models import write_half_plus_two

REQUEST = predict_request("half", x=np.float32([1]))


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "half"
    write_half_plus_two(folder / "1")
    return model("half", folder)


class OneKey:
    """A gate that knows one key, which may predict."""

    def __init__(self):
        self.seen = []

    def check(self, scope, *, api_key, bearer, certificate="", peer=""):
        self.seen.append((scope, api_key, bearer, certificate, peer))
        if "busy" in (api_key, bearer):
            raise Refusal(Code.RESOURCE_EXHAUSTED, "Too fast.", retry_after_s=1.5)
        if "secret" not in (api_key, bearer):
            raise Refusal(Code.UNAUTHENTICATED, "Who asks?")
        if scope != "predict":
            raise Refusal(Code.PERMISSION_DENIED, "Not you.")
        return Identity("ann", frozenset({"predict"}))


def code_of(call):
    with pytest.raises(grpc.RpcError) as error:
        call()
    return error.value.code()


def test_a_key_or_a_token_lets_in(half):
    gate = OneKey()
    with serving([half], gate=gate, admin=True) as served:
        for metadata in [("x-api-key", "secret")], [("authorization", "Bearer secret")]:
            assert outputs_of(served.predict(REQUEST, metadata=metadata)) == {"y": [2.5]}
        assert gate.seen[0] == ("predict", "secret", None, "", "127.0.0.1")
        assert gate.seen[1][1:3] == (None, "secret")
        for metadata in [], [("x-api-key", "wrong")], [("authorization", "Basic secret")]:
            code = code_of(lambda sent=metadata: served.predict(REQUEST, metadata=sent))
            assert code is grpc.StatusCode.UNAUTHENTICATED
        reload = message_class("ReloadConfigRequest")()
        arguments = ("tensorflow.serving.ModelService", "HandleReloadConfigRequest", reload)
        denied = code_of(
            lambda: served.call(
                *arguments, "ReloadConfigResponse", metadata=[("x-api-key", "secret")]
            )
        )
        assert denied is grpc.StatusCode.PERMISSION_DENIED


def test_probes_need_no_key(half):
    with serving([half], gate=OneKey()) as served:
        check = message_class("grpc.health.v1.HealthCheckRequest")()
        assert served.call(HEALTH, "Check", check, "grpc.health.v1.HealthCheckResponse").status
        for name, field in ("ServerLive", "live"), ("ServerReady", "ready"):
            asked = message_class(f"inference.{name}Request")()
            answer = served.call(INFERENCE, name, asked, f"inference.{name}Response")
            assert getattr(answer, field)


def test_how_long_to_wait_is_told_as_grpc_wants_it(half):
    with serving([half], gate=OneKey()) as served:
        with pytest.raises(grpc.RpcError) as error:
            served.predict(REQUEST, metadata=[("x-api-key", "busy")])
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert ("grpc-retry-pushback-ms", "1500") in tuple(error.value.trailing_metadata())


def test_the_request_id_comes_back(half):
    with serving([half]) as served:
        arguments = (PREDICTION, "Predict", REQUEST, "PredictResponse")
        _, call = served.with_call(*arguments, metadata=[("x-request-id", "abc-1")])
        assert ("x-request-id", "abc-1") in tuple(call.trailing_metadata())
        _, call = served.with_call(*arguments)
        assert len(dict(call.trailing_metadata())["x-request-id"]) == 32
        with pytest.raises(grpc.RpcError) as error:
            served.predict(predict_request("m"), metadata=[("x-request-id", "abc-2")])
        assert ("x-request-id", "abc-2") in tuple(error.value.trailing_metadata())


def test_mutual_tls_names_the_client(half):
    authority = trustme.CA()
    host = authority.issue_cert("localhost", "127.0.0.1")
    credentials = grpc.ssl_server_credentials(
        [(host.private_key_pem.bytes(), host.cert_chain_pems[0].bytes())],
        authority.cert_pem.bytes(),
        require_client_auth=True,
    )
    gate = Gate(certificates={ANY_CERTIFICATE: frozenset({"predict"})})
    with serving([half], gate=gate, credentials=credentials) as served:
        client = authority.issue_cert("client@example.org", common_name="ann")
        trusted = grpc.ssl_channel_credentials(
            authority.cert_pem.bytes(),
            client.private_key_pem.bytes(),
            client.cert_chain_pems[0].bytes(),
        )
        with grpc.secure_channel(f"127.0.0.1:{served.server.port}", trusted) as channel:
            served.channel, plain = channel, served.channel
            assert outputs_of(served.predict(REQUEST)) == {"y": [2.5]}
        served.channel = plain
        assert code_of(lambda: served.predict(REQUEST)) is grpc.StatusCode.UNAVAILABLE


class Waiting:
    """A servable that answers once it is let."""

    inline = False

    def __init__(self, servable):
        self._servable = servable
        self.signatures = servable.signatures
        self.run_time = servable.run_time
        self.gate = threading.Event()
        self.running = threading.Semaphore(0)

    def run(self, *arguments):
        self.running.release()
        assert self.gate.wait(60)
        return self._servable.run(*arguments)

    def close(self):
        self._servable.close()


@pytest.fixture
def waiting():
    made = []

    def load(name, version):
        made.append(Waiting(load_servable(name, version)))
        return made[-1]

    return load, made


def test_a_call_whose_deadline_passes_in_the_queue_is_not_run(half, waiting):
    load, made = waiting
    with serving([half], load=load, threads=1) as served, ThreadPoolExecutor() as threads:
        first = threads.submit(served.predict, REQUEST)
        assert made[0].running.acquire(timeout=60)
        code = code_of(lambda: served.predict(REQUEST, timeout=0.2))
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        made[0].gate.set()
        assert outputs_of(first.result(60)) == {"y": [2.5]}
        outputs_of(served.predict(REQUEST))
        assert made[0].running.acquire(timeout=60)  # the last call's run, and no other
        assert not made[0].running.acquire(blocking=False)


def test_more_calls_than_allowed_are_refused(half, waiting):
    load, made = waiting
    options = {"load": load, "threads": 2, "most_calls": 2}
    with serving([half], **options) as served, ThreadPoolExecutor() as threads:
        running = [threads.submit(served.predict, REQUEST) for _ in range(2)]
        assert all(made[0].running.acquire(timeout=60) for _ in running)
        assert code_of(lambda: served.predict(REQUEST)) is grpc.StatusCode.RESOURCE_EXHAUSTED
        made[0].gate.set()
        assert [outputs_of(call.result(60)) for call in running] == [{"y": [2.5]}] * 2


def test_stopping_lets_calls_in_progress_end(half, waiting):
    load, made = waiting
    with serving([half], load=load) as served, ThreadPoolExecutor() as threads:
        running = threads.submit(served.predict, REQUEST)
        assert made[0].running.acquire(timeout=60)
        stopping = threads.submit(served.server.stop, 20)
        time.sleep(0.1)
        made[0].gate.set()
        assert outputs_of(running.result(60)) == {"y": [2.5]}
        stopping.result(60)
        assert code_of(lambda: served.predict(REQUEST)) is grpc.StatusCode.UNAVAILABLE


def test_a_message_that_is_too_long_is_refused(half):
    with serving([half], max_message_bytes=10_000) as served:
        long = predict_request("half", True, x=np.zeros(4000, np.float32))
        assert code_of(lambda: served.predict(long)) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert outputs_of(served.predict(REQUEST)) == {"y": [2.5]}


def test_what_nobody_foresaw_is_internal_and_leaks_nothing(half, caplog):
    class Broken(Waiting):
        def run(self, *arguments):
            raise ZeroDivisionError("a secret path /etc/x")

    with serving([half], load=lambda *given: Broken(load_servable(*given))) as served:
        with pytest.raises(grpc.RpcError) as error:
            served.predict(REQUEST, metadata=[("x-request-id", "abc")])
        assert error.value.code() is grpc.StatusCode.INTERNAL
        assert error.value.details() == (
            "The server failed; its log tells why, under the request id abc."
        )
    assert "The call abc failed." in caplog.text
    assert "a secret path" in caplog.text


def test_a_port_that_is_taken_is_told(half):
    with serving([half]) as served, pytest.raises(ServingError, match="gRPC cannot listen on"):
        start_grpc(served.engine, Gate.open(), "127.0.0.1", served.server.port)


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.0.0.1:50000", "10.0.0.1"),
        ("ipv6:%5B::1%5D:50000", "::1"),
        ("unix:/tmp/socket", ""),
    ],
)
def test_the_peers_address_is_without_its_port(peer, address):
    assert peer_address(peer) == address
