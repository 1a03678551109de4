"""A server without sockets: each request is one call of its application."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agiwb.serving.assembly import Server
from agiwb.serving.http.messages import Request, Response
from agiwb.serving.settings import ServerSettings


class Asked:
    """Asks a server's application on one event loop."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.loop = loop

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes | str = b"",
        headers: dict[str, str] | None = None,
        peer: str = "127.0.0.1",
    ) -> Response:
        return self.loop.run_until_complete(
            self.server.application(request(method, path, body, headers, peer))
        )

    def document(self, method: str, path: str, body: bytes | str = b"", **headers: str) -> Any:
        return json.loads(self(method, path, body, headers).body)


def request(
    method: str,
    path: str,
    body: bytes | str = b"",
    headers: dict[str, str] | None = None,
    peer: str = "127.0.0.1",
) -> Request:
    """Return a request as the connection would hand it on."""
    known = {name.lower().encode(): value.encode() for name, value in (headers or {}).items()}
    content = body.encode() if isinstance(body, str) else body
    return Request(method, path, "", known, content, peer)


@contextlib.contextmanager
def asking(base_path: Path, operator_key: str = "", **settings: Any) -> Iterator[Asked]:
    """Serve ``base_path``, and yield how it is asked."""
    loop = asyncio.new_event_loop()
    server = Server(
        ServerSettings(
            model_base_path=base_path, grpc=False, file_system_poll_wait_seconds=0.05, **settings
        ),
        operator_key,
    )
    try:
        server.start()
        yield Asked(server, loop)
    finally:
        server.stop()
        loop.close()
