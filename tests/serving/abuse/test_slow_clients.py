"""Clients that hold on to what they have: others are served all the same."""

from __future__ import annotations

import contextlib
import time

import pytest

from tests.serving.abuse.abused_server import HALF, abused, read_reply, request_bytes

pytestmark = pytest.mark.slow
CLIENTS = 300
HALVES = (
    b"",
    b"POST /v1/models/half:pre",
    b"POST /v1/models/half:predict HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    request_bytes("POST", "/v1/models/half:predict", HALF)[:-3],
    b"POST /v1/models/half:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
)
HEADER_S = 10.0
"""The server's limit for a request's line and headers."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with abused(tmp_path_factory.mktemp("served")) as one:
        yield one


def test_hundreds_of_half_requests_do_not_keep_others_waiting(server):
    before = server.rss_mb
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(server.connect()) for _ in range(CLIENTS)]
        for place, connection in enumerate(slow):
            connection.sendall(HALVES[place % len(HALVES)])
        begun = time.monotonic()
        answered = 0
        while time.monotonic() < begun + HEADER_S + 3:
            assert server.serves()
            answered += 1
            for connection in slow[2 :: len(HALVES)]:  # one byte more, now and then
                with contextlib.suppress(OSError):
                    connection.sendall(b"x")
            time.sleep(0.05)
        assert answered > 10
        for place, connection in enumerate(slow):
            kind = place % len(HALVES)
            if kind == 0:  # nothing was begun, so nothing is told
                with contextlib.suppress(ConnectionResetError):
                    assert connection.recv(100) == b""
            elif kind in {1, 2}:
                assert read_reply(connection).status == 408
            elif kind == 3:  # its body still has time
                connection.sendall(HALF[-3:])
                assert read_reply(connection).status == 200
        assert server.rss_mb < before + 30
    assert server.serves()


def test_clients_that_ask_and_never_read_cost_little(server):
    before = server.rss_mb
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            connection = stack.enter_context(server.connect(0.2))
            with contextlib.suppress(OSError):  # at some time the server reads no more
                for _ in range(200):
                    connection.sendall(request_bytes("GET", "/metrics") * 10)
        # What each has asked is answered in turns, however much it is.
        assert server.serves()
        assert server.rss_mb < before + 100
    assert server.serves()


def test_clients_that_leave_in_the_middle_cost_nothing(server):
    before = server.rss_mb
    for place in range(1000):
        with server.connect() as connection:
            connection.sendall(HALVES[place % len(HALVES)])
    assert server.serves()
    assert server.rss_mb < before + 10
