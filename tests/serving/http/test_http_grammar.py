"""What is and what is not HTTP/1.1, as raw bytes over a real socket."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agiwb.serving.http.limits import Limits
from agiwb.serving.http.messages import Request, Response
from tests.serving.http.answering_server import Running, echo, echo_late, serving, statuses

HOST = b"Host: a\r\n"
LIMITS = Limits(
    body_bytes=1000, header_bytes=2000, header_count=20, url_bytes=300, drain_s=0.2, in_flight=10
)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with serving(limits=LIMITS) as running:
        yield running


def post(headers: bytes, body: bytes = b"") -> bytes:
    return b"POST /p HTTP/1.1\r\n" + HOST + headers + b"\r\n" + body


MALFORMED = {
    "nothing but noise": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [400]),
    "words": (b"hello there\r\n\r\n", [400]),
    "unknown method": (b"FETCH / HTTP/1.1\r\n" + HOST + b"\r\n", [400]),
    "method in lower case": (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", [400]),
    "HTTP/0.9": (b"GET /\r\n\r\n", [505]),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    "HTTP/2.0 as a version": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", [505]),
    "HTTP/1.9": (b"GET / HTTP/1.9\r\n" + HOST + b"\r\n", [400]),
    "no version number": (b"GET / HTTP/\r\n" + HOST + b"\r\n", [400]),
    "bare LF after the request line": (b"GET / HTTP/1.1\n" + HOST + b"\r\n", [400]),
    "bare LF after a header": (b"GET / HTTP/1.1\r\nHost: a\n\r\n", [400]),
    "bare CR in a header": (b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", [400]),
    "NUL in a header": (b"GET / HTTP/1.1\r\nHost: a\x00\r\n\r\n", [400]),
    "NUL in a header's name": (b"GET / HTTP/1.1\r\nHo\x00st: a\r\n\r\n", [400]),
    "NUL in the path": (b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n", [400]),
    "space in the path": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", [400]),
    "path beyond ASCII": (b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", [400]),
    "target without a slash": (b"GET a HTTP/1.1\r\n" + HOST + b"\r\n", [400]),
    "target of another scheme": (b"GET ftp://a/b HTTP/1.1\r\n" + HOST + b"\r\n", [400]),
    "asterisk for GET": (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", [400]),
    "space before a colon": (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", [400]),
    "folded header": (b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", [400]),
    "header without a name": (b"GET / HTTP/1.1\r\n: a\r\n\r\n", [400]),
    "header without a colon": (b"GET / HTTP/1.1\r\nHost\r\n\r\n", [400]),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", [400]),
    "two Hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", [400]),
    "length and coding": (post(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), [400]),
    "coding and length": (post(b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"), [400]),
    "two lengths": (post(b"Content-Length: 3\r\nContent-Length: 4\r\n", b"abcd"), [400]),
    "two equal lengths": (post(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc"), [400]),
    "two lengths in one": (post(b"Content-Length: 3, 3\r\n", b"abc"), [400]),
    "signed length": (post(b"Content-Length: +3\r\n", b"abc"), [400]),
    "negative length": (post(b"Content-Length: -1\r\n"), [400]),
    "hexadecimal length": (post(b"Content-Length: 0x3\r\n", b"abc"), [400]),
    "length with spaces inside": (post(b"Content-Length: 1 2\r\n", b"abc"), [400]),
    "length beyond 64 bits": (post(b"Content-Length: 99999999999999999999\r\n"), [400]),
    "coding that is not chunked": (post(b"Transfer-Encoding: xchunked\r\n"), [501]),
    "coding before chunked": (post(b"Transfer-Encoding: gzip, chunked\r\n"), [501]),
    "chunked twice": (post(b"Transfer-Encoding: chunked, chunked\r\n"), [400]),
    "two codings": (post(b"Transfer-Encoding: chunked\r\n" * 2), [400]),
    "coding in HTTP/1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", [400]),
    "chunk size that is no number": (post(b"Transfer-Encoding: chunked\r\n", b"g\r\n"), [400]),
    "chunk longer than it says": (post(b"Transfer-Encoding: chunked\r\n", b"1\r\nab\r\n"), [400]),
    "chunk with bare LF": (post(b"Transfer-Encoding: chunked\r\n", b"1\na\n0\n\n"), [400]),
    "chunk size beyond 64 bits": (
        post(b"Transfer-Encoding: chunked\r\n", b"f" * 17 + b"\r\n"),
        [400],
    ),
    "tunnel": (b"CONNECT a:80 HTTP/1.1\r\n" + HOST + b"\r\n", [501]),
    "another expectation": (post(b"Content-Length: 1\r\nExpect: 200-ok\r\n"), [417]),
    "body too large": (post(b"Content-Length: 1001\r\n"), [413]),
    "chunks too large": (
        post(b"Transfer-Encoding: chunked\r\n", (b"1f4\r\n" + b"x" * 500 + b"\r\n") * 3),
        [413],
    ),
    "gzip that inflates too large": (
        post(
            b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(gzip.compress(bytes(1001))),
            gzip.compress(bytes(1001)),
        ),
        [413],
    ),
    "gzip that is none": (post(b"Content-Encoding: gzip\r\nContent-Length: 3\r\n", b"abc"), [400]),
    "gzip cut off": (
        post(b"Content-Encoding: gzip\r\nContent-Length: 9\r\n", gzip.compress(b"a")[:9]),
        [400],
    ),
    "another encoding": (post(b"Content-Encoding: br\r\nContent-Length: 3\r\n", b"abc"), [415]),
    "URL too long": (b"GET /" + b"a" * 300 + b" HTTP/1.1\r\n" + HOST + b"\r\n", [414]),
    "endless URL": (b"GET /" + b"a" * 70_000, [414]),
    "headers too large": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 2000 + b"\r\n\r\n", [431]),
    "endless header": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 600_000, [431]),
    "too many headers": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 20 + b"\r\n", [431]),
    "endless trailer": (
        post(b"Transfer-Encoding: chunked\r\n", b"0\r\nX: " + b"a" * 300_000),
        [431],
    ),
    "endless chunk extension": (
        post(b"Transfer-Encoding: chunked\r\n", b"1;" + b"a" * 300_000),
        [431],
    ),
    "noise after a request": (b"GET / HTTP/1.1\r\n" + HOST + b"\r\nnoise\r\n", [200, 400]),
    "body that was not announced": (b"POST / HTTP/1.1\r\n" + HOST + b"\r\nabc", [200, 400]),
    "cut off within the headers": (b"GET / HTTP/1.1\r\nHo", []),
    "cut off within the body": (post(b"Content-Length: 9\r\n", b"abc"), []),
    "nothing": (b"", []),
    "only line ends": (b"\r\n\r\n", []),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_requests_are_refused_and_the_connection_closed(
    server: Running, case: str
) -> None:
    sent, expected = MALFORMED[case]
    answer = server.exchange(sent)
    assert statuses(answer) == expected
    if expected and expected[-1] != 200:
        last = answer[answer.rindex(b"HTTP/1.1 %d " % expected[-1]) :]
        assert b"Connection: close\r\n" in last
        assert orjson.loads(last.partition(b"\r\n\r\n")[2])["error"]


WELL_FORMED = {
    "plain": (b"GET /a?b=c HTTP/1.1\r\n" + HOST + b"\r\n", "/a", "b=c", ""),
    "line ends before": (b"\r\n\r\nGET /a HTTP/1.1\r\n" + HOST + b"\r\n", "/a", "", ""),
    "absolute target": (b"GET http://h:1/a?b HTTP/1.1\r\n" + HOST + b"\r\n", "/a", "b", ""),
    "absolute target, no path": (b"GET http://h HTTP/1.1\r\n" + HOST + b"\r\n", "/", "", ""),
    "absolute target, only a query": (
        b"GET http://h?q=/ HTTP/1.1\r\n" + HOST + b"\r\n", "/", "q=/", "",
    ),
    "asterisk": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", "*", "", ""),
    "escapes stay": (b"GET /a%2Fb?c%20d HTTP/1.1\r\n" + HOST + b"\r\n", "/a%2Fb", "c%20d", ""),
    "HTTP/1.0 without a host": (b"GET /a HTTP/1.0\r\n\r\n", "/a", "", ""),
    "body": (post(b"Content-Length: 3\r\n", b"abc"), "/p", "", "abc"),
    "chunks, extension, trailer": (
        post(b"Transfer-Encoding: Chunked\r\n", b"2;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: u\r\n\r\n"),
        "/p", "", "abc",
    ),
    "gzip": (
        post(b"Content-Encoding: gzip\r\nContent-Length: 23\r\n", gzip.compress(b"abc")),
        "/p", "", "abc",
    ),
    "two gzip members": (
        post(
            b"Content-Encoding: x-gzip\r\nContent-Length: 43\r\n",
            gzip.compress(b"ab") + gzip.compress(b"c"),
        ),
        "/p", "", "abc",
    ),
    "upgrade offered, with a body": (
        post(b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n", b"abc"),
        "/p", "", "abc",
    ),
    "upgrade offered, without": (
        b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "/a", "", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("bytewise", [False, True])
@pytest.mark.parametrize("case", WELL_FORMED)
def test_well_formed_requests_arrive_however_they_are_cut(
    server: Running, case: str, bytewise: bool, late: bool
) -> None:
    sent, path, query, body = WELL_FORMED[case]
    server.server.handler = echo_late if late else echo
    parts = [sent[i : i + 1] for i in range(len(sent))] if bytewise else [sent]
    answer = server.exchange(*parts)
    assert statuses(answer) == [200]
    told = orjson.loads(answer.partition(b"\r\n\r\n")[2])
    assert (told["path"], told["query"], told["body"]) == (path, query, body)
    assert told["peer"] == "127.0.0.1"
    assert "t" not in told["headers"]


FRAGMENTS = [
    b"GET / HTTP/1.1\r\n", b"POST /p HTTP/1.1\r\n", b"HEAD /", b" HTTP/1.0\r\n", HOST,
    b"Content-Length: 5\r\n", b"Content-Length: 99999\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n", b"Connection: close\r\n", b"Connection: upgrade\r\n",
    b"Upgrade: h2c\r\n", b"Expect: 100-continue\r\n", b"\r\n", b"\r\n\r\n", b"5\r\nabcde\r\n",
    b"0\r\n\r\n", b"\x00", b"\n", b"\r", b": ", b"abcde", b"%", b"*", b"http://",
]  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=40)), max_size=12))
def test_no_bytes_whatever_bring_the_server_down(parts: list[bytes]) -> None:
    """Each is answered or closed in good time, never by a 5xx that tells of a fault of ours."""
    answer = _fuzzed().exchange(*parts)
    for status in statuses(answer):
        assert status < 500 or status in {501, 503, 505}


_running: list[Running] = []


def _fuzzed() -> Running:
    return _running[0]


@pytest.fixture(scope="module", autouse=True)
def _fuzz_target() -> Iterator[None]:
    with serving(limits=LIMITS) as running:
        _running.append(running)
        yield
        assert statuses(running.exchange(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")) == [200]
        _running.clear()


def test_many_pipelined_offers_to_upgrade_are_all_answered(server: Running) -> None:
    """More of them than Python has levels of calls, in one piece."""
    offer = b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    assert statuses(server.exchange(offer * 2000)) == [200] * 2000


def test_a_large_gzip_body_is_inflated_while_others_are_answered() -> None:
    body = os.urandom(200_000)
    sent = gzip.compress(body, 0)
    head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(sent)
    seen: list[bytes] = []

    async def keep(request: Request) -> Response:
        seen.append(request.body)
        return Response(200, b"{}")

    refused: list[int] = []
    with serving(
        keep, Limits(body_bytes=300_000), on_refusal=lambda one: refused.append(one.http_status)
    ) as server:
        assert statuses(server.exchange(post(head, sent) * 2)) == [200, 200]
        assert seen == [body, body]
        cut_off = post(head, sent[:-9] + b"123456789")
        assert statuses(server.exchange(cut_off + post(head, sent))) == [400, 200]
        bomb = gzip.compress(bytes(40_000_000))
        head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(bomb)
        assert statuses(server.exchange(post(head, bomb))) == [413]
    assert refused == [400, 413]
