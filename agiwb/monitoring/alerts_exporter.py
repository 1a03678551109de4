"""A small server that tells Prometheus what was found about the workspace's served models."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from agiwb.errors import ServingError
from agiwb.monitoring.alerts_exposition import FindingsCollector

DEFAULT_PORT = 9464


@contextlib.contextmanager
def exporting(host: str, port: int) -> Iterator[int]:
    """Tell the findings at ``/metrics`` until the block ends, and yield the port.

    Nothing but numbers and names of models, features and slices is told, to whoever asks: give an
    address that only Prometheus can reach.

    Args:
        host: Address to listen on.
        port: 0 takes a free one.

    Raises:
        ServingError: The port is taken.
    """
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry(auto_describe=False)
    registry.register(FindingsCollector())
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise ServingError(
            f"Findings cannot be told at {host}:{port}: {error}.", "Give another `--port`."
        ) from error
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
