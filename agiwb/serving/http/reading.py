"""Bytes in, complete requests out: one HTTP/1 connection's input, without any I/O.

The grammar is llhttp's (httptools) in its strict form: no bare line feeds, no spaces before a
colon, no folded headers, one ``Content-Length``, never both that and ``Transfer-Encoding``. What
it lets through and RFC 9112 does not, or this server cannot do, is refused here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NoReturn

import httptools

from agiwb.serving.http.header_checks import check_old, check_repeated, malform, refuse_headers
from agiwb.serving.http.inflating import inflate
from agiwb.serving.http.limits import Limits
from agiwb.serving.http.messages import Request
from agiwb.serving.status import Code, Refusal

_GZIP = frozenset({b"gzip", b"x-gzip"})
_END_OF_HEAD = b"\r\n\r\n"
_PARSED_EACH_TIME = frozenset({b"content-encoding", b"expect", b"transfer-encoding", b"upgrade"})
_LARGE_GZIP = 1 << 14  # of zeros it is 16 MB, some hundredths of a second


@dataclass(slots=True)
class Arrival:
    """A request that is complete.

    Attributes:
        request: For ``HEAD`` it says ``GET``: only the answer's body is left out.
        keeps_alive: Whether the client wants the connection kept.
        is_head: Whether it was ``HEAD``.
        is_old: Whether the client speaks HTTP/1.0, which wants to be told of a kept connection.
        is_deflated: Whether the body is gzip still, because to inflate it may take long.
    """

    request: Request
    keeps_alive: bool
    is_head: bool
    is_old: bool
    is_deflated: bool


@dataclass(frozen=True, slots=True)
class _Head:
    """The head of a request that came in one piece with its body, and what was read of it."""

    head: bytes
    size: int
    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]


class RequestReader:
    """Parses what one client sends.

    Most clients send the same head before each body of the same length. The last one is remembered:
    to recognise it costs an eighth of what it costs to parse it.

    Attributes:
        arrivals: Complete requests, oldest first; the owner takes them out.
        is_reading: Whether a request has begun and is not complete.
        is_in_body: Whether its headers are complete.
        awaits_continue: Whether its client waits for ``100 Continue``; the owner resets it.
        has_finished: Whether the client said that this was its last request.
    """

    __slots__ = (
        "_body",
        "_body_bytes",
        "_certificate",
        "_fed_bytes",
        "_fields",
        "_headers",
        "_is_old",
        "_last_head",
        "_limits",
        "_method",
        "_parser",
        "_peer",
        "_run_bytes",
        "_upgrades",
        "_url",
        "arrivals",
        "awaits_continue",
        "has_finished",
        "is_in_body",
        "is_reading",
    )

    def __init__(self, limits: Limits, peer: str, certificate: str) -> None:
        self._limits = limits
        self._peer = peer
        self._certificate = certificate
        self._parser = httptools.HttpRequestParser(self)
        self._run_bytes = self._fed_bytes = 0
        self._last_head: _Head | None = None
        self.arrivals: deque[Arrival] = deque()
        self.has_finished = self.is_reading = False
        self.on_message_begin()
        self.is_reading = False

    def feed(self, data: bytes) -> None:
        """Parse the next bytes.

        Raises:
            Refusal: They are not HTTP/1, or pass a limit. Nothing more can be read from here.
        """
        begins = not self.is_reading and not self.has_finished
        if begins and self._last_head is not None and self._recognise(data, self._last_head):
            return
        before = len(self.arrivals)
        rest: bytes | None = data
        while rest is not None:
            # Bytes without progress: headers, trailers and chunk extensions, which llhttp does not
            # bound. Where a request begins or has data is seen only in the callbacks below.
            self._fed_bytes = len(rest)
            self._run_bytes += len(rest)
            rest = self._parse(rest)
        is_long = self._run_bytes > self._limits.header_bytes
        if is_long and self.is_reading and not self.has_finished:
            refuse_headers(f"of more than {self._limits.header_bytes:,} bytes")
        if begins and len(self.arrivals) == before + 1 and not self.is_reading:
            self._last_head = _head_of(data, self.arrivals[-1])

    def _recognise(self, data: bytes, last: _Head) -> bool:
        """Return whether the data are a whole request with the last head; it has then arrived."""
        if len(data) != last.size or not data.startswith(last.head):
            return False
        request = Request(
            last.method,
            last.path,
            last.query,
            last.headers,
            data[len(last.head) :],
            self._peer,
            self._certificate,
        )
        self.arrivals.append(Arrival(request, True, False, False, False))
        return True

    @property
    def is_head(self) -> bool:
        """Whether the last request that has begun is ``HEAD``, whose answer has no body."""
        # Before its URL the parser still tells the method of the one before.
        return bool(self._url) and self._parser.get_method() == b"HEAD"

    # What the parser calls, in this order.

    def on_message_begin(self) -> None:
        self._url = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._run_bytes = 0
        self._upgrades = False
        self.is_reading = True
        self.is_in_body = False
        self.awaits_continue = False

    def on_url(self, url: bytes) -> None:
        self._url = self._url + url if self._url else url
        if len(self._url) > self._limits.url_bytes:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"The URL has more than {self._limits.url_bytes:,} bytes.",
                "Send the data in the body.",
                http_status=414,
            )

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.is_in_body:  # trailers are read over: they may not say who the caller is
            self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser, fields, limits = self._parser, self._fields, self._limits
        if len(fields) > limits.header_count:
            refuse_headers(f"in more than {limits.header_count} fields")
        if self._fed_bytes + self._run_bytes > limits.header_bytes:
            size = sum(len(name) + len(value) for name, value in fields)
            if size > limits.header_bytes:
                refuse_headers(f"of more than {limits.header_bytes:,} bytes")
        headers = self._headers = dict(fields)
        if len(headers) != len(fields):
            check_repeated(fields)
        version = parser.get_http_version()
        self._is_old = version == "1.0"
        self._method = parser.get_method().decode("ascii")
        if version != "1.1":
            check_old(version, headers)
        elif b"host" not in headers:
            malform("The request has no `Host` header.")
        if b"content-length" in headers or b"transfer-encoding" in headers:
            self._check_body(headers)
        if b"expect" in headers:
            self._check_expectation(headers[b"expect"])
        self._upgrades = b"upgrade" in headers and bool(parser.should_upgrade())
        if self._method == "CONNECT":
            raise Refusal(Code.UNIMPLEMENTED, "This server is not a proxy: it has no CONNECT.")
        self.is_in_body = True
        self._run_bytes = 0

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self._body_bytes += len(body)
        self._run_bytes = 0
        if self._body_bytes > self._limits.body_bytes:
            self._refuse_body()

    def on_message_complete(self) -> None:
        if self._upgrades:
            return
        self.is_reading = self.awaits_continue = False
        keeps_alive = self._parser.should_keep_alive()
        self.has_finished = not keeps_alive
        method, parts = self._method, self._body
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        is_deflated = False
        if b"content-encoding" in self._headers and self._is_gzip():
            is_deflated = len(body) > _LARGE_GZIP
            if not is_deflated:
                body = inflate(body, self._limits.body_bytes)
        path, query = self._split_url()
        is_head = method == "HEAD"
        request = Request(
            "GET" if is_head else method,
            path,
            query,
            self._headers,
            body,
            self._peer,
            self._certificate,
        )
        self.arrivals.append(Arrival(request, keeps_alive, is_head, self._is_old, is_deflated))

    def _parse(self, data: bytes) -> bytes | None:
        """Parse; return what is to be read next if a request in it offers to upgrade."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self._stay_with_http_1(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            if error.__context__ is None:
                raise
            raise error.__context__ from None
        except httptools.HttpParserError as error:
            if not self.has_finished:  # whatever follows the last request concerns nobody
                malform(f"This is not valid HTTP/1.1: {error}.")
        return None

    def _stay_with_http_1(self, rest: bytes) -> bytes:
        """Return a request without its offer to upgrade, which a server may ignore, and the rest.

        The parser skips the body of such a request, and HTTP clients that would rather speak
        HTTP/2 (Java's) make the offer with every first request.
        """
        fields = [(name, value) for name, value in self._fields if name != b"upgrade"]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
        line = b"%b %b HTTP/1.1\r\n" % (self._method.encode(), self._url)
        self._parser = httptools.HttpRequestParser(self)
        return line + lines + b"\r\n" + rest

    def _split_url(self) -> tuple[str, str]:
        """Return path and query; of a target in absolute form (RFC 9112 3.2.2) without its host."""
        path, _, query = self._url.decode("latin-1").partition("?")
        if path.startswith("/") or (path == "*" and self._method == "OPTIONS"):
            return path, query
        scheme, mark, rest = path.partition("://")
        if not mark or scheme.lower() not in {"http", "https"}:
            malform("The request's target is neither a path nor an http URL.")
        return "/" + rest.partition("/")[2], query

    def _check_body(self, headers: dict[bytes, bytes]) -> None:
        coding = headers.get(b"transfer-encoding")
        if coding is None:
            if int(headers[b"content-length"]) > self._limits.body_bytes:
                self._refuse_body()
        elif self._is_old or b"content-length" in headers:
            malform("The request's `Transfer-Encoding` does not fit its other headers.")
        elif coding.lower() != b"chunked":
            raise Refusal(
                Code.UNIMPLEMENTED,
                "The request has a `Transfer-Encoding` other than `chunked`.",
                "Compress with `Content-Encoding: gzip` instead.",
            )

    def _check_expectation(self, expectation: bytes) -> None:
        if expectation.lower() != b"100-continue":
            raise Refusal(
                Code.INVALID_ARGUMENT,
                "The only expectation that is met is `100-continue`.",
                "Leave out the `Expect` header.",
                http_status=417,
            )
        self.awaits_continue = not self._is_old

    def _is_gzip(self) -> bool:
        coding = self._headers[b"content-encoding"].lower()
        if coding in _GZIP:
            return True
        if coding not in {b"identity", b""}:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                "The body has a `Content-Encoding` other than gzip.",
                "Send it as gzip, or as it is.",
                http_status=415,
            )
        return False

    def _refuse_body(self) -> NoReturn:
        raise Refusal(
            Code.RESOURCE_EXHAUSTED,
            f"The body has more than the {self._limits.body_bytes:,} bytes allowed.",
            "Send fewer rows in one request.",
            http_status=413,
        )


def _head_of(data: bytes, arrival: Arrival) -> _Head | None:
    """Return the head of a request that is all of ``data``, if the next may be told by it.

    What has an effect beyond its own request, or another body than the bytes behind the head, is
    parsed each time.
    """
    request = arrival.request
    plain = arrival.keeps_alive and not (arrival.is_head or arrival.is_old or arrival.is_deflated)
    if not plain or request.headers.keys() & _PARSED_EACH_TIME:
        return None
    head = data[: data.find(_END_OF_HEAD) + len(_END_OF_HEAD)]
    length = request.headers.get(b"content-length", b"0")
    if len(data) - len(head) != int(length) or data[len(head) :] != request.body:
        return None
    return _Head(
        head, len(data), request.method, request.path, request.query, dict(request.headers)
    )
