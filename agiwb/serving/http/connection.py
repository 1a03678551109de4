"""One client's connection: its requests go to the handler one by one, the answers back in order."""

from __future__ import annotations

import asyncio
import enum
import logging
import math
import time
import uuid
from typing import TYPE_CHECKING, cast

from agiwb.serving.access.certificates import subject_of
from agiwb.serving.http.answering import CONTINUE, has_body, head_of, refuse
from agiwb.serving.http.eager import start
from agiwb.serving.http.limits import Limits
from agiwb.serving.http.messages import Request, Response
from agiwb.serving.http.reading import Arrival, RequestReader
from agiwb.serving.status import Code, Refusal

if TYPE_CHECKING:
    from agiwb.serving.http.listener import HttpServer

_log = logging.getLogger(__name__)

_CLOSE = b"Connection: close\r\n"
_KEEP_ALIVE = b"Connection: keep-alive\r\n"
_ID_BYTES = 128
_TURN_S = 0.002  # pipelined requests are answered for so long, then other connections' are


_TOO_MANY = Refusal(
    Code.UNAVAILABLE, "The server has too many requests.", "Try again.", retry_after_s=1.0
)


class Phase(enum.Enum):
    """What a connection waits for, and so which time limit it has."""

    IDLE = enum.auto()
    HEADERS = enum.auto()
    BODY = enum.auto()
    ANSWER = enum.auto()
    DRAIN = enum.auto()


class Connection(asyncio.Protocol):
    """HTTP/1.1 and 1.0 on one transport; runs on the loop, nothing in it is thread-safe.

    A client that goes away does not cancel its request: the engine would have to undo its part of
    a batch. Its answer is dropped.
    """

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._task: asyncio.Task[Response] | None = None
        self._refusal: Refusal | None = None  # the last answer, after those that are due
        self._is_over = False  # the last answer is written
        self._is_paused = False  # the client is not read from
        self._unread_since: float | None = None  # since when answers wait for the client
        self._drained_bytes = 0
        self._phase = Phase.HEADERS
        self._since = server.now

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or refuse it if there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        tls = transport.get_extra_info("ssl_object")
        self._is_tls = tls is not None
        self.peer = _address_of(transport.get_extra_info("peername"))
        certificate = tls.getpeercert(binary_form=True) if tls else None
        subject = subject_of(certificate) if certificate else ""
        self._reader = RequestReader(self._server.limits, self.peer, subject)
        self._refusal = self._server.admit(self)
        if self._refusal:
            self._go_on()

    def data_received(self, data: bytes) -> None:
        """Parse what came; answer what is complete."""
        if self._refusal or self._is_over:
            self._drained_bytes += len(data)
            if self._drained_bytes > self._server.limits.drain_bytes:
                self._transport.close()
            return
        try:
            self._reader.feed(data)
        except Refusal as refusal:
            self._refusal = refusal
        if self._phase is not Phase.ANSWER:
            self._go_on()
        elif self._reader.arrivals:
            # Enough is waiting: the client may send more when it has its answers.
            self._pause_reading()

    def eof_received(self) -> bool:
        """Keep the half that answers go through while there are answers due."""
        self._reader.has_finished = True
        return self._phase is Phase.ANSWER and not self._is_tls

    def pause_writing(self) -> None:
        """Stop: the client does not take its answers."""
        self._unread_since = self._server.now
        self._pause_reading()

    def resume_writing(self) -> None:
        """Go on: the client has taken its answers."""
        self._unread_since = None
        if self._task is None:
            self._go_on()

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection; what is still being answered is answered to nobody."""
        self._is_over = True
        self._server.forget(self)

    # What the server calls.

    def check_time(self, now: float) -> None:
        """Refuse or close the connection if its client took too long."""
        limits, waited = self._server.limits, now - self._since
        if self._unread_since is not None:
            if now - self._unread_since > limits.write_s:
                self._transport.abort()
        elif self._phase is Phase.DRAIN and waited > limits.write_s:
            self._transport.abort()
        elif waited > _time_for(self._phase, limits):
            self._give_up()

    def finish(self) -> None:
        """Close if nothing has begun; else as soon as what has begun is answered."""
        waits = self._phase is Phase.IDLE or self._phase is Phase.HEADERS
        if waits and not self._reader.is_reading:
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection, answered or not."""
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()

    # One request after the other.

    def _go_on(self) -> None:
        """Answer what is there, until a handler has to wait, the client does not read, or all is.

        Until then the phase is ANSWER, and nobody else goes on.
        """
        arrivals = self._reader.arrivals
        if arrivals:
            self._phase = Phase.ANSWER
        until = time.monotonic() + _TURN_S if len(arrivals) > 1 else 0.0
        while arrivals and not self._is_over:
            if self._unread_since is not None:
                return
            if until and time.monotonic() > until:
                self._server.loop.call_soon(self._go_on)
                return
            if not self._answer(arrivals.popleft()):
                return
        if self._is_over or self._task is not None:
            return
        if self._refusal:
            refused = self._server.refuse(self._refusal)
            self._write(refused, _CLOSE, is_head=self._reader.is_head)
            self._drain()
        elif self._reader.has_finished:
            self._transport.close()
        else:
            self._wait_for_more()

    def _wait_for_more(self) -> None:
        reader = self._reader
        if not reader.is_reading:
            phase = Phase.IDLE
        elif not reader.is_in_body:
            phase = Phase.HEADERS
        else:
            phase = Phase.BODY
            if reader.awaits_continue:
                reader.awaits_continue = False
                self._transport.write(CONTINUE)
        if phase is not self._phase:  # else the time goes on, however slowly bytes drip in
            self._phase = phase
            self._since = self._server.now
        self._resume_reading()

    def _answer(self, arrival: Arrival) -> bool:
        """Answer one request; return False if its handler has to wait."""
        server = self._server
        if server.in_flight >= server.limits.in_flight:
            self._finish_answer(arrival, server.refuse(_TOO_MANY))
            return True
        handle = server.inflate_and_handle if arrival.is_deflated else server.handler
        try:
            response, task = start(handle(arrival.request), server.loop)
        except Exception as error:  # noqa: BLE001 - whatever it is, the server goes on
            response, task = _confess(arrival.request, error), None
        if task is None:
            self._finish_answer(arrival, cast("Response", response))
            return True
        server.in_flight += 1
        self._task = task
        task.add_done_callback(lambda done: self._after_wait(arrival, done))
        return False

    def _after_wait(self, arrival: Arrival, done: asyncio.Task[Response]) -> None:
        self._server.in_flight -= 1
        self._task = None
        if done.cancelled():
            self._transport.abort()
            return
        error = done.exception()
        self._finish_answer(arrival, _confess(arrival.request, error) if error else done.result())
        self._go_on()

    def _finish_answer(self, arrival: Arrival, response: Response) -> None:
        keeps_alive = arrival.keeps_alive and not self._server.is_stopping
        line = (_KEEP_ALIVE if arrival.is_old else b"") if keeps_alive else _CLOSE
        try:
            self._write(response, line, is_head=arrival.is_head)
        except ValueError as error:  # a header that cannot be sent
            self._write(_confess(arrival.request, error), line, is_head=arrival.is_head)
        if not keeps_alive:
            self._end()
            self._transport.close()

    def _write(self, response: Response, connection_line: bytes, *, is_head: bool = False) -> None:
        if self._transport.is_closing():
            return
        head = head_of(response, self._server.date_line, connection_line)
        self._transport.write(head if is_head or not has_body(response) else head + response.body)

    def _give_up(self) -> None:
        """Close; tell a client that is in the middle of a request why."""
        if self._phase is Phase.DRAIN or not self._reader.is_reading:
            self._transport.close()
            return
        problem = "The request's headers or body did not come in time."
        self._refusal = Refusal(Code.DEADLINE_EXCEEDED, problem, http_status=408)
        self._go_on()

    def _drain(self) -> None:
        """Read on a little, so that the client, which may still be sending, sees the answer."""
        self._end()
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        self._resume_reading()

    def _end(self) -> None:
        self._is_over = True
        self._phase = Phase.DRAIN
        self._since = self._server.now

    def _pause_reading(self) -> None:
        if not self._is_paused and not self._transport.is_closing():
            self._is_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._is_paused and self._unread_since is None and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()


def _time_for(phase: Phase, limits: Limits) -> float:
    """Return the seconds that ``phase`` may last; a handler's answer has the engine's deadline."""
    if phase is Phase.IDLE:
        return limits.idle_s
    if phase is Phase.HEADERS:
        return limits.header_s
    if phase is Phase.BODY:
        return limits.body_s
    return limits.drain_s if phase is Phase.DRAIN else math.inf


def _address_of(peername: object) -> str:
    """Return the client's address without its port; "" if it is gone already."""
    if not isinstance(peername, tuple):
        return ""
    return str(peername[0]).removeprefix("::ffff:")


def _confess(request: Request, error: BaseException) -> Response:
    """Return a 500 with the request's id, and log the rest: it is not the client's to see."""
    given = request.headers.get(b"x-request-id", b"")[:_ID_BYTES]
    request_id = given.decode("latin-1") or uuid.uuid4().hex
    _log.error("Request %s failed.", request_id, exc_info=error)
    problem = f"The server failed to answer request {ascii(request_id)[1:-1]}."
    response = refuse(Refusal(Code.INTERNAL, problem, "Its log says why."))
    response.headers.append((b"X-Request-Id", request_id.encode("latin-1")))
    return response
