"""Asking a server over HTTP, with nothing but the standard library below it."""

from __future__ import annotations

import contextlib
import http.client
import ssl
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from agiwb.errors import InputError, ServingError
from agiwb.serving.rest_json.json_text import dump_json, load_json

_ANSWER_TIMEOUT_S = 60


class Client:
    """Connections to one server, kept and used again.

    Thread safety: every method may be called from any thread.

    Attributes:
        address: ``http://<host>:<port>``, or ``https``.
    """

    def __init__(
        self,
        address: str,
        *,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        is_running: Callable[[], bool] = lambda: True,
        advice: str = "",
    ) -> None:
        """Connect at the first request.

        Args:
            address: Where the server is.
            headers: Sent with every request.
            tls: For an ``https`` address.
            is_running: Whether it makes sense to ask again.
            advice: Where a failed server's reasons can be read.
        """
        self.address = address
        self._headers = dict(headers or {})
        self._tls = tls
        self._is_running = is_running
        self._advice = advice
        self._idle: list[http.client.HTTPConnection] = []

    def ask(self, method: str, path: str, document: Any = None) -> Any:
        """Return the JSON that answers a request.

        Args:
            method: ``GET``, ``POST``, ``PUT`` or ``DELETE``.
            path: From the root: ``/v1/models/m``.
            document: Sent as JSON; None for no body.

        Raises:
            InputError: The server refuses the request, and says why.
            ServingError: The server is gone, or failed.
        """
        body = None if document is None else dump_json(document)
        return load_json(self.exchange(method, path, body))

    def exchange(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Return the body that answers a request; the errors are those of ``ask``."""
        status, payload = self._exchange(method, path, body)
        if status < http.client.BAD_REQUEST:
            return payload
        problem = _problem(payload)
        if status < http.client.INTERNAL_SERVER_ERROR:
            raise InputError(problem)
        raise ServingError(problem, self._advice)

    def close(self) -> None:
        """Close the connections; later requests open new ones."""
        with contextlib.suppress(IndexError):  # another thread may take the last
            while True:
                self._idle.pop().close()

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """Return status and body of the answer, over an idle connection or a new one."""
        try:  # a list's pop and append are atomic: threads never share a connection
            connection, reused = self._idle.pop(), True
        except IndexError:
            connection, reused = self._connect(), False
        try:
            connection.request(method, path, body, self._headers)
            response = connection.getresponse()
            answer = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            # The server may have closed what was idle for long. What it is slow to answer is not
            # asked again: it would be logged twice.
            closed = isinstance(error, ConnectionResetError | BrokenPipeError)
            if reused and closed and self._is_running():
                return self._exchange(method, path, body)
            raise ServingError(
                f"The server at {self.address} does not answer: {error or type(error).__name__}.",
                "It is running." if self._is_running() else "It has stopped; start it again.",
            ) from error
        self._idle.append(connection)
        return answer

    def _connect(self) -> http.client.HTTPConnection:
        place = urlsplit(self.address)
        if self._tls is not None:
            return http.client.HTTPSConnection(
                str(place.hostname), place.port, timeout=_ANSWER_TIMEOUT_S, context=self._tls
            )
        return http.client.HTTPConnection(
            str(place.hostname), place.port, timeout=_ANSWER_TIMEOUT_S
        )


def _problem(payload: bytes) -> str:
    """Return what a failed request's answer says."""
    try:
        document = load_json(payload)
        return str(document["error"])
    except (InputError, KeyError, TypeError):
        return payload.decode("utf-8", "replace")
