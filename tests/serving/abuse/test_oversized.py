"""Requests larger than any use for them: refused early, and without the memory for them."""

from __future__ import annotations

import contextlib
import gzip
import select
import threading
import time

import pytest

from tests.serving.abuse.abused_server import abused, error_of, read_reply

pytestmark = pytest.mark.slow
GIGABYTE = 1 << 30
LIMIT_MB = 67.2
"""Of a body; twice that much may be held while its parts are joined."""
LEVELS = 500_000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with abused(tmp_path_factory.mktemp("served")) as one:
        yield one


@pytest.fixture
def others(server):
    """Ask as an ordinary client all the while; yields the answers and the longest wait so far."""
    stopped = threading.Event()
    seen: list[tuple[bool, float]] = []

    def go_on():
        while not stopped.is_set():
            start = time.monotonic()
            right = server.serves()
            seen.append((right, time.monotonic() - start))
            stopped.wait(0.02)

    thread = threading.Thread(target=go_on)
    thread.start()
    yield seen
    stopped.set()
    thread.join(60)
    assert seen
    assert all(right for right, _ in seen)


def stream(server, head, part, end=b""):
    """Send ``part`` up to a gigabyte or the answer; return it and the number of bytes sent."""
    with server.connect(60) as connection:
        connection.sendall(head)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < GIGABYTE and not select.select([connection], [], [], 0)[0]:
                connection.sendall(part)
                sent += len(part)
            connection.sendall(end)
        return read_reply(connection), sent


HEAD = b"POST /v1/models/half:predict HTTP/1.1\r\nHost: localhost\r\n"


def test_a_gigabyte_is_refused_by_its_length(server, others):
    head = HEAD + b"Content-Length: %d\r\n\r\n" % GIGABYTE
    with server.peak_rss_mb() as peak:
        before = server.rss_mb
        reply, sent = stream(server, head, bytes(1 << 16))
    assert reply.status == 413
    assert "67,108,864 bytes" in error_of(reply)
    assert sent < 16 << 20
    assert peak[0] < before + 10


def test_a_gigabyte_in_chunks_is_refused_at_the_limit(server, others):
    part = b"10000\r\n" + b" " * (1 << 16) + b"\r\n"
    with server.peak_rss_mb() as peak:
        before = server.rss_mb
        reply, sent = stream(server, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", part)
    assert reply.status == 413
    assert sent < 128 << 20
    assert peak[0] < before + LIMIT_MB * 2 + 20


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances":' + b"[" * LEVELS + b"]" * LEVELS + b"}",
        b'{"ignored":' + b"[" * LEVELS + b"]" * LEVELS + b',"instances":[1]}',
        b'{"signature_name":' + b'{"a":' * LEVELS + b"1" + b"}" * LEVELS + b',"instances":[1]}',
        b'{"instances":[NaN,' + b"[" * LEVELS + b"]" * LEVELS + b"]}",
        b"[" * LEVELS,
    ],
    ids=["instances", "ignored", "signature_name", "beside NaN", "unclosed"],
)
@pytest.mark.parametrize(
    "path", ["/v1/models/half:predict", "/v2/models/half/infer", "/invocations"]
)
def test_half_a_million_levels_are_refused(server, others, path, body):
    with server.peak_rss_mb() as peak:
        before = server.rss_mb
        reply = server.post(path, body)
    assert reply.status == 400
    assert "levels" in error_of(reply)
    assert peak[0] < before + 50


def test_a_million_headers_are_refused(server, others):
    with server.peak_rss_mb() as peak:
        before = server.rss_mb
        reply, sent = stream(server, HEAD, b"a:b\r\n" * 1000)
    assert reply.status == 431
    assert sent < 5_000_000
    assert peak[0] < before + 10


def test_headers_in_one_packet_are_counted_too(server):
    assert server.ask(HEAD + b"a:b\r\n" * 1000 + b"\r\n").status == 431


def test_a_million_trailers_are_refused(server, others):
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n"
    reply, _ = stream(server, head, b"a:b\r\n" * 1000)
    assert reply.status == 431


def bomb(size):
    """Return ``size`` spaces as gzip, in a thousandth of their bytes."""
    return gzip.compress(b" " * (size >> 4), mtime=0) * 16


@pytest.mark.parametrize("repeats", [1, 20])
def test_a_gzip_bomb_is_inflated_up_to_the_limit(server, others, repeats):
    body = bomb(GIGABYTE) * repeats
    with server.peak_rss_mb() as peak:
        before = server.rss_mb
        reply = server.post("/v1/models/half:predict", body, "Content-Encoding: gzip")
    assert reply.status == 413
    assert "inflates" in error_of(reply)
    assert peak[0] < before + LIMIT_MB * 2 + len(body) / 1e6 * 2 + 20


def test_millions_of_small_lists_are_read_in_seconds_and_forgotten(server, others):
    before = server.rss_mb
    body = b'{"ignored":[' + b"[]," * 10_000_000 + b'1],"instances":[1]}'
    start = time.monotonic()
    assert server.post("/v1/models/half:predict", body).status == 200
    assert time.monotonic() - start < 30  # a hundred times what it takes, not a claim
    assert server.rss_mb < before + 100  # they were ten million objects
