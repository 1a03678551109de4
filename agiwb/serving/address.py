"""Where a server listens, and what it says once it is ready."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket

from pydantic import BaseModel, ConfigDict

from agiwb.artifacts.signature import Signature
from agiwb.errors import InputError

_BACKLOG = 2048
_HIGHEST_RESERVED = 1023


class Ready(BaseModel):
    """What a server prints, as one line of JSON, once it answers requests."""

    model_config = ConfigDict(frozen=True)

    address: str
    grpc_address: str = ""
    """``<host>:<port>``; "" if gRPC is not answered."""
    model_name: str = ""
    """The first model that is available and has the usual signature; "" if there is none."""
    version: int = 0
    signature: Signature = Signature(inputs=(), outputs=())


def is_loopback(host: str) -> bool:
    """Return whether ``host`` reaches this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """Return a socket that listens on ``host`` and ``port``; port 0 takes a free one.

    With ``reuse_port`` several processes of one user may listen there, and the kernel spreads the
    connections over them.

    Raises:
        InputError: The port is taken, or not for this user.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server(
            (host, port), family=family, backlog=_BACKLOG, reuse_port=reuse_port
        )
    except OSError as error:
        raise _explain(host, port, error) from None


def url_of(listener: socket.socket, scheme: str = "http") -> str:
    """Return the address at which ``listener`` is reached: ``http://127.0.0.1:8501``."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://{authority_of(host, port)}"


def authority_of(host: str, port: int) -> str:
    """Return ``host:port``, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _explain(host: str, port: int, error: OSError) -> InputError:
    free = "choose another, or let `--rest-api-port 0` pick a free one."
    if error.errno == errno.EADDRINUSE:
        holder = _find_holder(port)
        return InputError(
            f"Port {port} on {host} is in use" + (f" by {holder}." if holder else "."),
            f"Stop that server, {free}",
        )
    if error.errno == errno.EACCES and port <= _HIGHEST_RESERVED:
        return InputError(f"Port {port} is for the system administrator.", free.capitalize())
    return InputError(f"The server cannot listen on {host}:{port}: {error.strerror}.", "")


def _find_holder(port: int) -> str:
    """Return "process 123 (python)" for who listens on ``port``, or "" if that is not told."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.pid is not None
            if listens and connection.laddr and connection.laddr[1] == port:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return ""
