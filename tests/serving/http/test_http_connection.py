"""How a connection lives: kept, paused, refused, timed out; over real sockets, on both loops."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from agiwb.serving.http.limits import Limits
from agiwb.serving.http.messages import Request, Response
from agiwb.serving.status import Code, Refusal
from tests.serving.http.answering_server import (
    Running,
    echo,
    echo_late,
    read_all,
    serving,
    statuses,
)

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(params=["uvloop", "asyncio"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    with serving(by_path, use_uvloop=request.param == "uvloop") as running:
        yield running


async def by_path(request: Request) -> Response:
    """Answer as the path says."""
    if request.path == "/raise":
        raise RuntimeError("the password is hunter2")
    if request.path == "/raise-late":
        await asyncio.sleep(0.001)
        raise RuntimeError("the password is hunter2")
    if request.path == "/inject":
        return Response(200, b"", headers=[(b"X-Echo", b"a\r\nSet-Cookie: b")])
    if request.path == "/none":
        return Response(204, b"")
    if request.path == "/large":
        return Response(200, bytes(1 << 20))
    if request.path.endswith("7"):  # some wait, some do not: the order must be kept
        return await echo_late(request)
    return await echo(request)


def paths(answer: bytes) -> list[str]:
    answers = answer.split(b"HTTP/1.1 200 OK\r\n")[1:]
    return [json.loads(one.partition(b"\r\n\r\n")[2])["path"] for one in answers]


def test_pipelined_requests_are_answered_in_order(server: Running) -> None:
    answer = server.exchange(b"".join(GET % n for n in range(200)))
    assert paths(answer) == [f"/{n}" for n in range(200)]


def test_a_kept_connection_answers_request_after_request(server: Running) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    for n in range(20):
        client.request("POST", f"/{n}", body=b"x" * n * 10_000)
        response = client.getresponse()
        assert response.headers["Date"]
        assert response.headers["Connection"] is None
        assert len(json.loads(response.read())["body"]) == n * 10_000
    client.close()


def test_connection_close_and_http_1_0(server: Running) -> None:
    closing = b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET % 2
    old = b"GET /1 HTTP/1.0\r\n\r\n"
    kept = b"GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    for sent, count, line in (
        (closing, 1, b"Connection: close\r\n"),
        (old, 1, b"Connection: close\r\n"),
        (kept + kept, 2, b"Connection: keep-alive\r\n"),
    ):
        answer = server.exchange(sent)
        assert len(statuses(answer)) == count
        assert answer.count(line) == count


def test_head_has_the_length_but_no_body_and_204_has_neither(server: Running) -> None:
    answer = server.exchange(b"HEAD /1 HTTP/1.1\r\nHost: a\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) > 0
    assert body == b""
    answer = server.exchange(b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n" + GET % 1)
    assert statuses(answer) == [204, 200]
    assert b"Content-Length" not in answer.partition(b"\r\n\r\n")[0]


def test_100_continue_comes_before_the_body_and_not_for_one_too_large() -> None:
    with serving(limits=Limits(body_bytes=100)) as server:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        with server.connect() as client:
            client.sendall(head % 3)
            assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.sendall(b"abc")
            assert statuses(client.recv(10_000)) == [200]
            client.sendall(head % 101)
            assert statuses(client.recv(10_000)) == [413]
        assert statuses(server.exchange(head % 3 + b"abc")) == [200]


def test_what_a_handler_raises_is_a_500_without_its_words(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    for path in (b"/raise", b"/raise-late"):
        with caplog.at_level(logging.ERROR):
            answer = server.exchange(
                b"GET %b HTTP/1.1\r\nHost: a\r\nX-Request-Id: r-17\r\n\r\n" % path + GET % 1
            )
        assert statuses(answer) == [500, 200]
        assert b"r-17" in answer
        assert b"hunter2" not in answer
        assert b"Traceback" not in answer
        assert "hunter2" in caplog.text
        caplog.clear()


def test_a_header_with_a_line_break_is_never_sent(server: Running) -> None:
    answer = server.exchange(b"GET /inject HTTP/1.1\r\nHost: a\r\n\r\n" + GET % 1)
    assert statuses(answer) == [500, 200]
    assert b"Set-Cookie" not in answer


def test_a_refusal_by_the_limit_in_flight_keeps_the_connection() -> None:
    release = asyncio.Event()

    async def wait(request: Request) -> Response:
        if request.path == "/wait":
            await release.wait()
        return Response(200, b"{}")

    with serving(wait, Limits(in_flight=1)) as server:
        with server.connect() as first, server.connect() as second:
            first.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
            _until(lambda: server.server.in_flight == 1)
            second.sendall(GET % 1)
            answer = second.recv(10_000)
            assert statuses(answer) == [503]
            assert b"Retry-After: 1\r\n" in answer
            server.loop.call_soon_threadsafe(release.set)
            assert statuses(first.recv(10_000)) == [200]
            second.sendall(GET % 1)
            assert statuses(second.recv(10_000)) == [200]
        assert server.server.in_flight == 0


@pytest.mark.parametrize("limits", [Limits(connections=2), Limits(connections_per_peer=2)])
def test_too_many_connections_are_refused_until_one_closes(limits: Limits) -> None:
    with serving(limits=limits) as server:
        kept = [server.connect() for _ in range(2)]
        _until(lambda: server.server.connections == 2)
        assert statuses(server.exchange()) == [503]
        kept.pop().close()
        _until(lambda: server.server.connections == 1)
        assert statuses(server.exchange(GET % 1)) == [200]
        kept.pop().close()


SLOW = Limits(header_s=0.2, body_s=0.2, idle_s=0.2, write_s=0.3, drain_s=0.2)


@pytest.mark.parametrize(
    ("sent", "drip", "expected"),
    [
        (b"", b"", []),  # says nothing
        (b"GET / HT", b"", [408]),  # stops in the request line
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n", [408]),  # slow loris
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n", b"x", [408]),
        (GET % 1, b"", [200]),  # idle afterwards
        (GET % 1, b"\r\n", [200]),  # line ends are no request
        (GET % 1 + b"GET", b"", [200, 408]),
    ],
)
def test_slow_clients_are_timed_out(sent: bytes, drip: bytes, expected: list[int]) -> None:
    with serving(limits=SLOW) as server, server.connect() as client:
        client.sendall(sent)
        began = time.monotonic()
        client.settimeout(0.04)
        answer = b""
        while time.monotonic() - began < 60:
            try:
                part = client.recv(65536)
            except TimeoutError:
                try:
                    client.sendall(drip)
                except OSError:
                    break
                continue
            except ConnectionError:
                break
            if not part:
                break
            answer += part
        assert statuses(answer) == expected
        assert time.monotonic() - began < 60
        _until(lambda: server.server.connections == 0)


def test_a_slow_handler_is_not_a_slow_client() -> None:
    async def slow(_request: Request) -> Response:
        await asyncio.sleep(0.6)
        return Response(200, b"{}")

    with serving(slow, SLOW) as server:
        assert statuses(server.exchange(GET % 1)) == [200]


@pytest.mark.parametrize("use_uvloop", [True, False])
def test_a_client_that_does_not_read_is_not_read_from_and_then_cut(use_uvloop: bool) -> None:
    answered = 0

    async def large(_request: Request) -> Response:
        nonlocal answered
        answered += 1
        return Response(200, bytes(1 << 20))

    limits = Limits(write_s=0.4)
    with serving(large, limits, use_uvloop=use_uvloop) as server, server.connect() as client:
        client.settimeout(0.2)
        try:
            for _ in range(2000):
                client.sendall(GET % 1 * 50)
        except OSError:  # its buffers are full: nobody reads
            pass
        assert answered < 50
        _until(lambda: server.server.connections == 0)


def test_a_client_that_reads_late_gets_everything(server: Running) -> None:
    count = 20
    with server.connect() as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n" * count + GET % 1)
        time.sleep(0.2)
        client.shutdown(socket.SHUT_WR)
        assert statuses(read_all(client)) == [200] * (count + 1)


def test_a_refusal_reaches_a_client_that_is_still_sending() -> None:
    with serving(limits=Limits(body_bytes=1000, drain_bytes=4 << 20)) as server:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n"
        assert statuses(server.exchange(head, b"x" * 2_000_000)) == [413]


def test_a_client_that_goes_away_costs_nothing_but_its_answer(server: Running) -> None:
    for _ in range(20):
        with server.connect() as client:
            client.sendall(GET % 7)
    _until(lambda: server.server.connections == 0)
    assert server.server.in_flight == 0
    assert statuses(server.exchange(GET % 1)) == [200]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_agrees(server: Running) -> None:
    url = f"http://127.0.0.1:{server.port}/a?b"
    for flags in ([], ["--http1.0"], ["--http2"], ["-H", "Transfer-Encoding: chunked"]):
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "10", *flags, "--data-binary", "x" * 5000, url],
            capture_output=True,
            check=True,
        )
        assert json.loads(done.stdout)["body"] == "x" * 5000


def test_refusals_before_the_handler_are_told_to_be_counted() -> None:
    told: list[int] = []
    with serving(
        limits=Limits(body_bytes=1), on_refusal=lambda refusal: told.append(refusal.http_status)
    ) as server:
        server.exchange(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
        server.exchange(GET % 1 + b"noise\r\n")
    assert told == [413, 400]


def test_a_refusal_says_when_to_come_back() -> None:
    from agiwb.serving.http.answering import refuse

    response = refuse(Refusal(Code.RESOURCE_EXHAUSTED, "Slow.", "Wait.", retry_after_s=1.2))
    assert (response.status, response.body) == (429, b'{"error":"Slow. Wait."}')
    assert response.headers == [(b"Retry-After", b"2")]
    assert refuse(Refusal(Code.UNAUTHENTICATED, "Who?")).headers[0][0] == b"WWW-Authenticate"


def _until(condition: object, seconds: float = 60) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
