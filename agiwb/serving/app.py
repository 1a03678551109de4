"""The HTTP application: TensorFlow Serving's REST API as one bare ASGI callable.

There is no framework between the server and the model, because it would cost several times what a
small model does.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
import uuid
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from agiwb.errors import AgiwbError, InputError, NotFoundError, ServingError
from agiwb.runtimes.runtime import Tensors
from agiwb.serving.codec import decode_request, describe_inputs, encode_response
from agiwb.serving.json_text import dump_json
from agiwb.serving.prediction_log import Prediction, PredictionLog
from agiwb.serving.routes import Route, find_route
from agiwb.serving.served_model import (
    ServedModel,
    count_rows,
    describe_metadata,
    describe_status,
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY_BYTES = 64 << 20

# A run shorter than this costs less than handing it to a thread and back.
_LONGEST_INLINE_S = 0.002
_LONGEST_REQUEST_ID = 128
# Many clients read no answer before they have sent everything. Of a body that is too large, so many
# times the limit is read and thrown away.
_READ_LIMITS = 4
# The largest window, 15, and 16 for gzip's header.
_GZIP_WINDOW = 31


class _BodyTooLargeError(InputError):
    """The body is longer than the server takes."""


class _NotOfferedError(InputError):
    """TensorFlow Serving has the resource, this server not yet."""


class _ClientGoneError(Exception):
    """The client closed the connection before its request was complete."""


# The first class that fits counts.
_STATUSES: tuple[tuple[type[AgiwbError], int], ...] = (
    (NotFoundError, 404),
    (_BodyTooLargeError, 413),
    (_NotOfferedError, 501),
    (InputError, 400),
    (ServingError, 503),
)


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes


class PredictApp:
    """Answers for one model, from one event loop.

    A run that is expected to be short happens on the loop; a longer one in a thread, so that other
    requests go on meanwhile. While it lasts, short ones take threads too: a runtime may hold a
    lock, and the loop must not wait for it. With a log, an answer is sent only once it has been
    logged.
    """

    def __init__(
        self,
        model: ServedModel,
        log: PredictionLog | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._model = model
        self._log = log
        self._max_body_bytes = max_body_bytes
        self._runs_in_threads = 0
        self._status = dump_json(describe_status(model))
        self._metadata = dump_json(describe_metadata(model))
        self._help = describe_inputs(model.signature)
        self._process = uuid.uuid4().hex[:12]
        self._counter = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        request_id = self._request_id(scope)
        try:
            answer = await self._answer(scope, receive, request_id)
        except _ClientGoneError:
            return
        except AgiwbError as error:
            answer = _error(_status_of(error), str(error))
        except Exception:
            logging.getLogger("agiwb").exception("Request %s failed.", request_id)
            message = f"The server failed on request {request_id}; its log has the details."
            answer = _error(500, message)
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": _headers(answer, request_id),
            }
        )
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, receive: Receive, request_id: str) -> _Answer:
        route = find_route(scope["method"], scope["raw_path"].decode("latin-1"))
        if route.resource == "predict":
            self._require(route, f"Servable not found for request: {_aspired(route)}")
            body = await _read_body(scope, receive, self._max_body_bytes)
            return await self._predict(body, request_id)
        if route.resource == "status":
            self._require(route, f"Could not find {_described(route)} of model {route.model}")
            return _Answer(200, self._status)
        if route.resource == "metadata":
            self._require(route, f"Servable not found for request: {_aspired(route)}")
            return _Answer(200, self._metadata)
        if route.resource == "health":
            return _Answer(200, b'{"status":"ok"}')
        raise _NotOfferedError(f":{route.resource} is not offered yet; use :predict.")

    def _require(self, route: Route, problem: str) -> None:
        """Raise NotFoundError with ``problem`` unless the route means the model served."""
        if route.model != self._model.name or route.version not in {None, self._model.version}:
            raise NotFoundError(problem)

    async def _predict(self, body: bytes, request_id: str) -> _Answer:
        asked_at, start = time.time(), time.perf_counter()
        try:
            request = decode_request(body, self._model.signature)
            outputs = await self._run(request.tensors)
            answer = _Answer(200, encode_response(outputs, request.layout))
        except InputError as error:
            raise InputError(f"{str(error).rstrip('.')}.", self._help) from None
        if self._log is not None:
            latency_ms = round((time.perf_counter() - start) * 1000, 3)
            model = self._model
            self._log.append(
                Prediction(
                    request_id,
                    asked_at,
                    model.name,
                    model.version,
                    request.tensors,
                    outputs,
                    latency_ms,
                )
            )
        return answer

    async def _run(self, tensors: Tensors) -> Tensors:
        expected_s = count_rows(tensors) * self._model.seconds_per_row
        if expected_s <= _LONGEST_INLINE_S and not self._runs_in_threads:
            return self._model.runtime.run(tensors)
        self._runs_in_threads += 1
        try:
            return await asyncio.to_thread(self._model.runtime.run, tensors)
        finally:
            self._runs_in_threads -= 1

    def _request_id(self, scope: Scope) -> str:
        """Return the client's ``X-Request-Id`` if it gave a sensible one, else a new one."""
        for name, value in scope["headers"]:
            if name == b"x-request-id" and len(value) <= _LONGEST_REQUEST_ID and value.isascii():
                return str(value.decode())
        return f"{self._process}-{next(self._counter)}"


async def _read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Return the request's body, inflated if it came as gzip.

    Raises:
        InputError: It is not the gzip it says it is.
        _BodyTooLargeError: It is longer than ``limit`` bytes, before or after inflating.
        _ClientGoneError: The client closed the connection before the end.
    """
    too_large = _BodyTooLargeError(f"The request body is larger than {limit} bytes.")
    headers = dict(scope["headers"])
    if int(headers.get(b"content-length", 0)) > _READ_LIMITS * limit:
        raise too_large
    chunks: list[bytes] = []
    size, more = 0, True
    while more and size <= _READ_LIMITS * limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientGoneError
        size += len(message.get("body", b""))
        if size <= limit:
            chunks.append(message.get("body", b""))
        else:
            chunks.clear()
        more = message.get("more_body", False)
    if size > limit:
        raise too_large
    body = b"".join(chunks)
    if headers.get(b"content-encoding") == b"gzip":
        body = _inflate(body, limit + 1)
        if len(body) > limit:
            raise too_large
    return body


def _inflate(body: bytes, most: int) -> bytes:
    """Return the first ``most`` bytes of what is compressed in ``body``."""
    try:
        return zlib.decompressobj(_GZIP_WINDOW).decompress(body, most)
    except zlib.error:
        raise InputError("The request body is not gzip, as its Content-Encoding says.") from None


def _status_of(error: AgiwbError) -> int:
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def _error(status: int, message: str) -> _Answer:
    return _Answer(status, dump_json({"error": message}))


def _headers(answer: _Answer, request_id: str) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(answer.body)).encode()),
        (b"x-request-id", request_id.encode()),
    ]
    # What remains of a body that was too large is not worth reading.
    return [*headers, (b"connection", b"close")] if answer.status == 413 else headers


def _aspired(route: Route) -> str:
    """Return how TensorFlow Serving names what was asked for: Latest(m) or Specific(m, 5)."""
    if route.version is None:
        return f"Latest({route.model})"
    return f"Specific({route.model}, {route.version})"


def _described(route: Route) -> str:
    return "any versions" if route.version is None else f"version {route.version}"
