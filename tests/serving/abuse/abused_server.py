"""A server process with several small models, and what must hold of it however it is asked."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from agiwb.serving.launch import start_server, stop_server
from tests.serving.onnx_models import write_echo, write_half_plus_two, write_mlp, write_two_by_two

MODELS = {
    "half": write_half_plus_two,
    "mlp": write_mlp,
    "two": write_two_by_two,
    "echo": write_echo,
}
"""What is served under which name, each as version 1."""
TELLTALES = ("Traceback", "site-packages", "/work", 'File "', ".py")
"""What no client may be told: where the server's files are, and how it failed."""
HALF = b'{"instances":[1.0,2.0]}'
RIGHT = b'{"predictions":[2.5,3.0]}'
"""The answer to HALF."""


@dataclass(frozen=True)
class Reply:
    """One answer over HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Abused:
    """A server process, where it listens, and the folder that its files are in."""

    process: psutil.Process
    place: tuple[str, int]
    grpc_address: str
    folder: Path

    @property
    def rss_mb(self) -> float:
        """Memory that the process holds now."""
        return self.process.memory_info().rss / 1e6

    @contextlib.contextmanager
    def peak_rss_mb(self) -> Iterator[list[float]]:
        """Yield a list that holds, after the block, the most memory that was held during it."""
        folder = Path(f"/proc/{self.process.pid}")
        (folder / "clear_refs").write_text("5")  # forget the peak so far
        found: list[float] = []
        yield found
        (line,) = (line for line in (folder / "status").read_text().splitlines() if "VmHWM" in line)
        found.append(int(line.split()[1]) * 1024 / 1e6)

    def connect(self, timeout_s: float = 20.0) -> socket.socket:
        return socket.create_connection(self.place, timeout_s)

    def ask(self, data: bytes) -> Reply:
        """Return the answer to a request, over a connection of its own."""
        with self.connect() as connection:
            connection.sendall(data)
            return read_reply(connection)

    def post(self, path: str, body: bytes, *headers: str) -> Reply:
        return self.ask(request_bytes("POST", path, body, *headers))

    def get(self, path: str) -> Reply:
        return self.ask(request_bytes("GET", path))

    def serves(self) -> bool:
        """Return whether an ordinary request gets its right answer."""
        reply = self.post("/v1/models/half:predict", HALF)
        return (reply.status, reply.body) == (200, RIGHT)

    def told_too_much(self, words: str) -> list[str]:
        """Return what of ``words`` is none of a client's business."""
        return [secret for secret in (*TELLTALES, str(self.folder)) if secret in words]


@contextlib.contextmanager
def abused(folder: Path, *flags: str) -> Iterator[Abused]:
    """Yield a server of MODELS, written below ``folder``; it ends with the block, by its id."""
    for name, write in MODELS.items():
        write(folder / name / "1")
    listed = "".join(
        f'config {{ name: "{name}" base_path: "{folder / name}" model_platform: "tensorflow" }}\n'
        for name in MODELS
    )
    config = folder / "models.config"
    config.write_text(f"model_config_list {{\n{listed}}}\n")
    process, ready = start_server(
        [f"--model-config-file={config}", "--rest-api-port=0", "--port=0", *flags],
        folder / "server.log",
    )
    try:
        url = urlsplit(ready.address)
        yield Abused(
            psutil.Process(process.pid),
            (str(url.hostname), int(url.port or 0)),
            ready.grpc_address,
            folder,
        )
        assert process.poll() is None, (folder / "server.log").read_text()[-2000:]
    finally:
        stop_server(process)


def request_bytes(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def read_reply(connection: socket.socket) -> Reply:
    """Return the next answer; what comes before it with a status of 100 is read over.

    Raises:
        ConnectionError: The connection was closed before its end.
    """
    data = bytearray()
    while True:
        while b"\r\n\r\n" not in data:
            data += _receive(connection)
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(first.split()[1])
        if status != 100:
            break
    fields = (line.partition(": ")[::2] for line in lines)
    headers = {name.lower(): value for name, value in fields}
    size = int(headers.get("content-length", 0))
    while len(data) < size:
        data += _receive(connection)
    return Reply(status, headers, bytes(data[:size]))


def error_of(reply: Reply) -> str:
    """Return the sentence of a refusal."""
    return str(json.loads(reply.body)["error"])


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    if not data:
        raise ConnectionError("the server closed the connection")
    return data
