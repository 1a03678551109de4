"""Sockets of every kind, TLS, and how a server stops."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import threading
import time

import pytest
import trustme

from agiwb.errors import InputError
from agiwb.serving.access.tls import TlsConfig, http_context
from agiwb.serving.address import listen
from agiwb.serving.http.listener import new_event_loop, serve_http
from agiwb.serving.http.messages import Request, Response
from tests.serving.http.answering_server import echo, read_all, serving, statuses

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"


async def slow(_request: Request) -> Response:
    await asyncio.sleep(0.3)
    return Response(200, b"{}")


def test_stopping_finishes_what_has_begun_and_says_close() -> None:
    with serving(slow) as server:
        with server.connect() as busy, server.connect() as idle, server.connect() as partial:
            busy.sendall(GET)
            partial.sendall(GET[:20])
            time.sleep(0.1)
            stopping = threading.Thread(target=lambda: server.do(server.server.stop(5)))
            stopping.start()
            assert read_all(idle) == b""
            partial.sendall(GET[20:])
            for client in (busy, partial):
                answer = read_all(client)
                assert statuses(answer) == [200]
                assert b"Connection: close\r\n" in answer
            stopping.join(60)
        with pytest.raises(ConnectionError):
            server.connect()


def test_stopping_cuts_what_takes_longer_than_the_grace() -> None:
    cancelled = threading.Event()

    async def endless(_request: Request) -> Response:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Response(200, b"")

    with serving(endless) as server, server.connect() as client:
        client.sendall(GET)
        time.sleep(0.1)
        began = time.monotonic()
        server.do(server.server.stop(0.2))
        assert time.monotonic() - began < 3
        assert _rest_of(client) == b""
        assert cancelled.wait(60)


def test_several_workers_share_a_port_if_all_want_to() -> None:
    first = listen("127.0.0.1", 0, reuse_port=True)
    port = first.getsockname()[1]
    with listen("127.0.0.1", port, reuse_port=True), first, pytest.raises(InputError):
        listen("127.0.0.1", port)


def test_rest_and_metrics_answer_in_one_loop() -> None:
    async def metrics(_request: Request) -> Response:
        return Response(200, b"up 1\n", b"text/plain")

    async def both() -> list[bytes]:
        sockets = [listen("127.0.0.1", 0), listen("127.0.0.1", 0)]
        servers = [await serve_http(echo, sockets[:1]), await serve_http(metrics, sockets[1:])]
        answers = []
        for listener in sockets:
            reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
            writer.write(GET)
            writer.write_eof()
            answers.append(await reader.read())
            writer.close()
        for server in servers:
            await server.stop(1)
        return answers

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        rest, counters = runner.run(both())
    assert b'"path":"/a"' in rest
    assert b"Content-Type: text/plain\r\n" in counters
    assert counters.endswith(b"\r\n\r\nup 1\n")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def config_of(authority: trustme.CA, *, client_verify: bool) -> TlsConfig:
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    return TlsConfig(
        certificate.private_key_pem.bytes(),
        b"".join(part.bytes() for part in certificate.cert_chain_pems),
        authority.cert_pem.bytes(),
        client_verify,
    )


@pytest.mark.parametrize("use_uvloop", [True, False])
def test_https_and_mutual_tls(authority: trustme.CA, use_uvloop: bool) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    known = ssl.create_default_context()
    authority.configure_trust(known)
    authority.issue_cert("ann@lab", common_name="ann").configure_cert(known)
    stranger = ssl.create_default_context()
    authority.configure_trust(stranger)
    trustme.CA().issue_cert("eve@lab", common_name="eve").configure_cert(stranger)

    def ask(context: ssl.SSLContext, port: int) -> dict[str, object]:
        client = http.client.HTTPSConnection("localhost", port, context=context, timeout=60)
        try:
            client.request("POST", "/a", body=b"x" * 300_000)
            answer: dict[str, object] = json.loads(client.getresponse().read())
        finally:
            client.close()
        return answer

    plain = http_context(config_of(authority, client_verify=False))
    with serving(ssl_context=plain, use_uvloop=use_uvloop) as server:
        told = ask(trusting, server.port)
        assert len(str(told["body"])) == 300_000
        assert told["certificate"] == ""
        assert b"HTTP/1.1" not in _plainly(server.port)
        old = ssl.create_default_context()
        authority.configure_trust(old)
        old.set_alpn_protocols(["h2", "http/1.1"])
        with (
            server.connect() as raw,
            old.wrap_socket(raw, server_hostname="localhost") as client,
        ):
            assert client.selected_alpn_protocol() == "http/1.1"
            assert client.version() in {"TLSv1.2", "TLSv1.3"}
    mutual = http_context(config_of(authority, client_verify=True))
    with serving(ssl_context=mutual, use_uvloop=use_uvloop) as server:
        assert "CN=ann" in str(ask(known, server.port)["certificate"])
        for context in (trusting, stranger):
            with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
                ask(context, server.port)


def _plainly(port: int) -> bytes:
    """Return what plain HTTP gets from an HTTPS port."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(GET)
        return _rest_of(client)


def _rest_of(client: socket.socket) -> bytes:
    """Return what comes until the server closes or resets the connection."""
    try:
        return read_all(client)
    except ConnectionError:
        return b""
