"""A real HTTP server on loopback, on an event loop in a thread of its own, for tests to talk to."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import orjson

from agiwb.serving.http.limits import Limits
from agiwb.serving.http.listener import HttpServer, new_event_loop, serve_http
from agiwb.serving.http.messages import Handler, Request, Response
from agiwb.serving.status import Refusal

T = TypeVar("T")


class Running:
    """A server and the ways to it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, server: HttpServer, address: Any) -> None:
        self.loop = loop
        self.server = server
        self.address = address

    @property
    def port(self) -> int:
        return int(self.address[1])

    def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def connect(self) -> socket.socket:
        client = socket.create_connection(self.address, timeout=60)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def exchange(self, *parts: bytes) -> bytes:
        """Send everything, then return all that comes until the server closes or 10 s pass."""
        with self.connect() as client:
            for part in parts:
                client.sendall(part)
            client.shutdown(socket.SHUT_WR)
            return read_all(client)


@contextmanager
def serving(
    handler: Handler | None = None,
    limits: Limits | None = None,
    *,
    ssl_context: ssl.SSLContext | None = None,
    listener: socket.socket | None = None,
    use_uvloop: bool = True,
    on_refusal: Callable[[Refusal], None] | None = None,
) -> Iterator[Running]:
    listener = listener or socket.create_server(("127.0.0.1", 0))
    loop = new_event_loop() if use_uvloop else asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    starting = serve_http(
        handler or echo,
        [listener],
        limits=limits,
        ssl_context=ssl_context,
        on_refusal=on_refusal,
    )
    server = asyncio.run_coroutine_threadsafe(starting, loop).result(60)
    running = Running(loop, server, listener.getsockname())
    try:
        yield running
    finally:
        running.do(server.stop(0.5))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


async def echo(request: Request) -> Response:
    """Tell what was asked."""
    told = {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "body": request.body.decode("latin-1"),
        "peer": request.peer,
        "certificate": request.client_certificate,
        "headers": {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in request.headers.items()
        },
    }
    return Response(200, orjson.dumps(told))


async def echo_late(request: Request) -> Response:
    """Tell the same, after having waited in a way that needs a task."""
    await asyncio.sleep(0.001)
    async with asyncio.timeout(5):
        await asyncio.sleep(0.001)
    return await echo(request)


def read_all(client: socket.socket) -> bytes:
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def statuses(answer: bytes) -> list[int]:
    """Return the statuses of the responses in ``answer``; their lengths must be exact."""
    found = []
    while answer:
        head, _, rest = answer.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        version, status, *_ = lines[0].split(b" ")
        assert version == b"HTTP/1.1"
        found.append(int(status))
        fields = dict(line.lower().split(b": ", 1) for line in lines[1:])
        answer = rest[int(fields.get(b"content-length", b"0")) :]
    return found
