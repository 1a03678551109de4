"""One HTTP request and its response, as the handlers see them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

JSON = b"application/json"


@dataclass(slots=True)
class Request:
    """A complete request.

    Attributes:
        method: In capitals.
        path: As sent, undecoded, without the query.
        query: What follows ``?``, undecoded; "" if nothing.
        headers: By name in lower case; of a repeated one the last.
        body: Already inflated if it came as gzip.
        peer: The client's address, without its port; "" if it is not known.
        client_certificate: Subject of the verified client certificate (mutual TLS); "" if none.
    """

    method: str
    path: str
    query: str
    headers: Mapping[bytes, bytes]
    body: bytes
    peer: str = ""
    client_certificate: str = ""


@dataclass(slots=True)
class Response:
    """A complete response; ``Content-Length`` and ``Connection`` are added by the connection."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


Handler = Callable[[Request], Coroutine[Any, Any, Response]]
"""Answers a request; raises nothing."""
