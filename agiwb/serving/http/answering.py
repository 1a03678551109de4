"""Responses as the bytes that go over the wire."""

from __future__ import annotations

from http import HTTPStatus

import orjson

from agiwb.errors import AgiwbError
from agiwb.serving.http.messages import Response
from agiwb.serving.status import Refusal, http_status_of, words_of

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
} | {499: b"HTTP/1.1 499 Client Closed Request\r\n"}
_WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_UNAUTHORIZED = 401


def refuse(error: AgiwbError) -> Response:
    """Return the response that tells ``error``: ``{"error": "..."}`` with its HTTP status."""
    headers = []
    if isinstance(error, Refusal) and error.retry_after_s is not None:
        # Whole seconds, rounded up: who asks again a moment too early is refused again.
        seconds = max(1, -int(-error.retry_after_s // 1))
        headers.append((b"Retry-After", b"%d" % seconds))
    status = http_status_of(error)
    if status == _UNAUTHORIZED:
        headers.append((b"WWW-Authenticate", b'Bearer realm="agiwb"'))
    return Response(status, orjson.dumps({"error": words_of(error)}), headers=headers)


def head_of(response: Response, date_line: bytes, connection_line: bytes) -> bytes:
    """Return the status line and the headers, with the empty line after them.

    ``date_line`` and ``connection_line`` are whole lines, or empty.

    Raises:
        ValueError: A header has a line break, with which a client could write headers of its own.
    """
    line = _STATUS_LINES.get(response.status) or b"HTTP/1.1 %d \r\n" % response.status
    more = b""
    for name, value in response.headers:
        field = name + value
        if b"\r" in field or b"\n" in field:
            message = f"The header {name!r} has a line break."
            raise ValueError(message)
        more += name + b": " + value + b"\r\n"
    if response.status in _WITHOUT_BODY:
        return b"%b%b%b%b\r\n" % (line, date_line, connection_line, more)
    return b"%bContent-Type: %b\r\nContent-Length: %d\r\n%b%b%b\r\n" % (
        line,
        response.content_type,
        len(response.body),
        date_line,
        connection_line,
        more,
    )


def has_body(response: Response) -> bool:
    """Return whether the response's status allows a body."""
    return response.status not in _WITHOUT_BODY
