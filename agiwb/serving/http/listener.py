"""Sockets that answer HTTP, and how they stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from email.utils import formatdate

from agiwb.serving.http.answering import refuse
from agiwb.serving.http.connection import Connection
from agiwb.serving.http.inflating import inflate
from agiwb.serving.http.limits import Limits
from agiwb.serving.http.messages import Handler, Request, Response
from agiwb.serving.status import Code, Refusal

_TLS_HANDSHAKE_S = 10.0
_BACKLOG = 2048


class HttpServer:
    """One handler behind some sockets; :func:`serve_http` makes and starts it.

    It belongs to its loop: nothing in it is thread-safe. Several may share a loop, each with
    sockets, a handler and limits of its own.

    Attributes:
        handler: Answers each request.
        limits: What clients may ask.
        in_flight: Requests whose handlers are waiting just now.
        is_stopping: Whether answers say ``Connection: close``.
        now: ``loop.time()`` of the last tick: what time limits are measured with.
        date_line: The ``Date`` header of the last tick.
    """

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        on_refusal: Callable[[Refusal], None] | None = None,
    ) -> None:
        self.handler = handler
        self.limits = limits
        self._on_refusal = on_refusal
        self.loop = asyncio.get_running_loop()
        self.in_flight = 0
        self.is_stopping = False
        self._connections: set[Connection] = set()
        self._of_peer: Counter[str] = Counter()
        self._listeners: list[asyncio.AbstractServer] = []
        self._all_closed = asyncio.Event()
        self._tick()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    async def listen(
        self, sockets: Sequence[socket.socket], ssl_context: ssl.SSLContext | None
    ) -> None:
        """Answer what comes in at ``sockets``, with TLS if there is a context for it."""
        for listener in sockets:
            handshake_s = _TLS_HANDSHAKE_S if ssl_context else None
            server = await self.loop.create_server(
                lambda: Connection(self),
                sock=listener,
                backlog=_BACKLOG,
                ssl=ssl_context,
                ssl_handshake_timeout=handshake_s,
            )
            self._listeners.append(server)

    async def stop(self, grace_s: float = 5.0) -> None:
        """Stop listening, finish what has begun, at most ``grace_s`` seconds, cut what is left."""
        for listener in self._listeners:
            listener.close()
        self.is_stopping = True
        await asyncio.sleep(0)  # what has arrived is read first
        for connection in tuple(self._connections):
            connection.finish()
        if self._connections:
            self._all_closed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), grace_s)
        for connection in tuple(self._connections):
            connection.abort()
        self._ticker.cancel()

    # What the connections call.

    def admit(self, connection: Connection) -> Refusal | None:
        """Note a connection; return why it must go again, or None if it may stay."""
        self._connections.add(connection)
        limits, peer = self.limits, connection.peer
        self._of_peer[peer] += 1
        if len(self._connections) > limits.connections:
            problem = "The server has too many connections."
        elif peer and self._of_peer[peer] > limits.connections_per_peer:
            problem = "The server has too many connections from this address."
        else:
            return None
        return Refusal(Code.UNAVAILABLE, problem, "Keep connections, or wait.", retry_after_s=1.0)

    async def inflate_and_handle(self, request: Request) -> Response:
        """Answer a request whose body is gzip still; a thread inflates it."""
        try:
            request.body = await asyncio.to_thread(inflate, request.body, self.limits.body_bytes)
        except Refusal as refusal:
            return self.refuse(refusal)
        return await self.handler(request)

    def refuse(self, refusal: Refusal) -> Response:
        """Return the answer to what the handler never sees, and let it be counted."""
        if self._on_refusal is not None:
            self._on_refusal(refusal)
        return refuse(refusal)

    def forget(self, connection: Connection) -> None:
        """Note that a connection is closed."""
        self._connections.discard(connection)
        self._of_peer[connection.peer] -= 1
        if not self._of_peer[connection.peer]:
            del self._of_peer[connection.peer]
        if not self._connections:
            self._all_closed.set()

    def _tick(self) -> None:
        """Look who is late. One timer for all costs a request nothing; a timer each would."""
        self.now = self.loop.time()
        self.date_line = f"Date: {formatdate(usegmt=True)}\r\n".encode()
        for connection in tuple(self._connections):
            connection.check_time(self.now)
        self._ticker = self.loop.call_later(self.limits.tick_s, self._tick)


async def serve_http(
    handler: Handler,
    sockets: Sequence[socket.socket],
    *,
    limits: Limits | None = None,
    ssl_context: ssl.SSLContext | None = None,
    on_refusal: Callable[[Refusal], None] | None = None,
) -> HttpServer:
    """Answer HTTP at ``sockets`` (listening) until the server is stopped.

    Args:
        handler: Called once a complete request, on the loop; up to its first wait it has no
            current task (see :mod:`agiwb.serving.http.eager`). What it raises becomes a 500.
        sockets: See :mod:`agiwb.serving.address`; they are closed with the server.
        limits: What clients may ask; by default ``Limits()``.
        ssl_context: Makes the sockets HTTPS; see :mod:`agiwb.serving.access.tls`.
        on_refusal: Told of each request that is refused before the handler (malformed, too large,
            too slow, too many), to count it by its ``http_status``.
    """
    server = HttpServer(handler, limits or Limits(), on_refusal)
    await server.listen(sockets, ssl_context)
    return server


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's event loop where there is one (not on Windows), else asyncio's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
