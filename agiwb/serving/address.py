"""Where a server listens, and what it says once it is ready."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from agiwb.artifacts.signature import Signature
from agiwb.errors import InputError

_BACKLOG = 2048
_HIGHEST_RESERVED = 1023
_OWNER_ONLY = 0o600


class Ready(BaseModel):
    """What a server prints, as one line of JSON, once it answers requests."""

    model_config = ConfigDict(frozen=True)

    address: str
    grpc_address: str = ""
    """``<host>:<port>``; "" if gRPC is not answered."""
    model_name: str
    version: int
    signature: Signature


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


def listen_unix(path: Path) -> socket.socket:
    """Return a Unix socket that listens at ``path``, for this user only.

    A socket that a server left there when it crashed is replaced.

    Raises:
        InputError: A server listens there, or there is another file, or no room for one.
    """
    if path.is_socket() and not _answers(path):
        path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        path.chmod(_OWNER_ONLY)  # nobody can connect before it listens
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise InputError(
            f"The server cannot listen on the Unix socket {path}: {error.strerror or error}.",
            "Choose another path (at most 100 characters), or stop the server that is there.",
        ) from None
    return listener


def url_of(listener: socket.socket, scheme: str = "http") -> str:
    """Return the address at which ``listener`` is reached: ``http://127.0.0.1:8501``.

    Of a Unix socket it is ``unix:/path``.
    """
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


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
