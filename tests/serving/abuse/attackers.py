"""Clients that send what is hostile, and judge what comes back."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any, Self

import grpc

from tests.serving.abuse.abused_server import Abused, Reply, read_reply
from tests.serving.abuse.hostile_messages import HostileCall
from tests.serving.abuse.hostile_requests import HostileRequest

SERVERS_RIGHT = {501, 503, 504, 505}
"""Statuses above 500 that tell what is so: not offered here, too busy, too late, another HTTP."""
SERVERS_FAULT = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}
_TIMEOUT_S = 30.0


class HttpAttacker:
    """One client; it keeps its connection as long as the server does."""

    def __init__(self, server: Abused) -> None:
        self._server = server
        self._connection: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def faults(self, request: HostileRequest) -> list[str]:
        """Return what is wrong with the answers to ``request``; nothing is as it should be."""
        try:
            replies = self._send(request)
        except (OSError, ValueError) as error:
            return [f"no answer: {error!r}"]
        return [fault for reply in replies for fault in self._judge(reply, request)]

    def _send(self, request: HostileRequest) -> list[Reply]:
        data = request.encode()
        if not request.framed or request.method in {"HEAD", "CONNECT"}:
            return self._send_alone(data)
        for is_first in (True, False):
            connection = self._connection or self._server.connect(_TIMEOUT_S)
            self._connection = connection
            try:
                connection.sendall(data)
                reply = read_reply(connection)
            except OSError:  # perhaps it was closed after the answer before
                self._close()
                if not is_first:
                    raise
                continue
            if reply.headers.get("connection") == "close":
                self._close()
            return [reply]
        raise AssertionError("unreachable")

    def _send_alone(self, data: bytes) -> list[Reply]:
        """Return every answer on a connection that ends after ``data``."""
        with self._server.connect(_TIMEOUT_S) as connection:
            with contextlib.suppress(OSError):
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            received = b""
            with contextlib.suppress(ConnectionResetError):
                while part := connection.recv(65_536):
                    received += part
        return split_replies(received, has_bodies=not data.startswith(b"HEAD "))

    def _judge(self, reply: Reply, request: HostileRequest) -> list[str]:
        words = reply.body.decode("utf-8", "replace")
        faults = [f"tells {secret}" for secret in self._server.told_too_much(words)]
        if reply.status >= 500 and reply.status not in SERVERS_RIGHT:
            faults.append(f"{reply.status}: {words[:200]}")
        if reply.headers.get("content-type") == "application/json" and request.method != "HEAD":
            try:
                document = json.loads(reply.body)
            except ValueError as error:
                faults.append(f"not JSON: {error}")
            else:
                if reply.status >= 400 and not (_is_readiness(document) or "error" in document):
                    faults.append(f"{reply.status} without an error: {words[:200]}")
        return faults

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class GrpcAttacker:
    """One channel, on which bytes are sent as they are."""

    def __init__(self, server: Abused) -> None:
        self._server = server
        self._channel = grpc.insecure_channel(
            server.grpc_address, [("grpc.use_local_subchannel_pool", 1)]
        )
        self._stubs: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def status_of(self, call: HostileCall) -> tuple[grpc.StatusCode, str]:
        """Return the code and the words that ``call`` is answered with."""
        stub = self._stubs.get(call.method)
        if stub is None:
            stub = self._stubs[call.method] = self._channel.unary_unary(call.method)
        try:
            stub(call.data, timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            return error.code(), str(error.details())
        return grpc.StatusCode.OK, ""

    def faults(self, call: HostileCall) -> list[str]:
        """Return what is wrong with the answer to ``call``; nothing if it is as it should be."""
        code, words = self.status_of(call)
        faults = [f"tells {secret}" for secret in self._server.told_too_much(words)]
        if code in SERVERS_FAULT:
            faults.append(f"{code.name}: {words[:200]}")
        return faults


def split_replies(data: bytes, *, has_bodies: bool = True) -> list[Reply]:
    """Return the answers that follow one another in ``data``.

    Raises:
        ValueError: Something in it is no answer, or not all of one.
    """
    replies = []
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        if not end or not first.startswith("HTTP/1.1 "):
            raise ValueError(f"not an answer: {first[:80]!r}")
        fields = (line.partition(": ")[::2] for line in lines)
        headers = {name.lower(): value for name, value in fields}
        size = int(headers.get("content-length", 0)) if has_bodies else 0
        if len(data) < size:
            raise ValueError(f"{len(data)} bytes of an answer of {size}")
        status = int(first.split()[1])
        if status != 100:
            replies.append(Reply(status, headers, data[:size]))
        data = data[size:]
    return replies


def _is_readiness(document: Any) -> bool:
    return isinstance(document, dict) and ("ready" in document or "status" in document)
