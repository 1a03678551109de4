"""Ports that several processes share, held for them from before the first one listens."""

from __future__ import annotations

import socket
from functools import partial

from agiwb.serving.address import listen
from agiwb.serving.grpc_port import take_grpc_port
from agiwb.serving.settings import ServerSettings


class SharedPorts:
    """The ports of a server with workers.

    They are bound, not listened on: the kernel gives a connection only to who listens, and nobody
    else may take the port while no worker does.

    Attributes:
        http: The port for HTTP.
        grpc: The port for gRPC; None for no gRPC.
    """

    def __init__(self, settings: ServerSettings) -> None:
        """Bind what the settings ask for.

        Raises:
            InputError: A port is taken, or not for this user.
        """
        self._held: list[socket.socket] = []
        self.http = self._hold(settings.host, settings.rest_api_port)
        self.grpc = settings.grpc_port
        if self.grpc is None:
            return
        self.grpc = take_grpc_port(settings, self.grpc, partial(self._hold, settings.host))

    def words(self) -> list[str]:
        """Return the command line that gives a worker these ports."""
        words = ["--rest-api-port", str(self.http)]
        return [*words, "--port", str(self.grpc)] if self.grpc is not None else words

    def close(self) -> None:
        """Let go of the ports."""
        for held in self._held:
            held.close()

    def _hold(self, host: str, port: int) -> int:
        # Who shares a port is not told that others do: another server's port is found out first.
        with listen(host, port) as alone:
            port = alone.getsockname()[1]
        held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((host, port))
        self._held.append(held)
        return port
