"""The canonical status codes that every protocol shares, and the errors that carry them.

The numbers are gRPC's. The HTTP statuses are TensorFlow Serving's (``http_server.cc``), and for
what only this server refuses, the ones HTTP has for it.
"""

from __future__ import annotations

import asyncio
from enum import IntEnum

from agiwb.errors import AgiwbError, InputError, NotFoundError, ServingError


class Code(IntEnum):
    """A canonical status code; its value is gRPC's number."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


HTTP_STATUS: dict[Code, int] = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}


_MOST_BYTES = 4096
_BYTES_OF_A_CHARACTER = 12
"""At most: four bytes of UTF-8, three characters each where they are percent-encoded."""


class Refusal(AgiwbError):  # noqa: N818  to refuse is no fault
    """A request that is not answered, and why.

    Attributes:
        code: The canonical status.
        http_status: The HTTP status, where it is not the usual one for ``code`` (413, 415, ...).
        retry_after_s: Seconds after which asking again may succeed; sent as ``Retry-After``.
    """

    def __init__(
        self,
        code: Code,
        problem: str,
        fix: str = "",
        *,
        http_status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(problem, fix)
        self.code = code
        self.http_status = http_status or HTTP_STATUS[code]
        self.retry_after_s = retry_after_s


def code_of(error: BaseException) -> Code:
    """Return the status that ``error`` is told as; what nobody foresaw is INTERNAL."""
    if isinstance(error, Refusal):
        return error.code
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return Code.CANCELLED
    if isinstance(error, NotFoundError):
        return Code.NOT_FOUND
    if isinstance(error, InputError):
        return Code.INVALID_ARGUMENT
    return Code.UNAVAILABLE if isinstance(error, ServingError) else Code.INTERNAL


def words_of(error: AgiwbError) -> str:
    """Return what a client is told, cut where a name it sent made it too long.

    gRPC's clients drop an answer whose words, percent-encoded, are longer than some kilobytes.
    """
    words, size = str(error), 0
    if len(words) * _BYTES_OF_A_CHARACTER <= _MOST_BYTES:
        return words
    for place, character in enumerate(words):
        plain = " " <= character <= "~" and character != "%"
        size += 1 if plain else _BYTES_OF_A_CHARACTER
        if size > _MOST_BYTES:
            return f"{words[:place]}..."
    return words


def http_status_of(error: BaseException) -> int:
    """Return the HTTP status that ``error`` is answered with."""
    return error.http_status if isinstance(error, Refusal) else HTTP_STATUS[code_of(error)]
