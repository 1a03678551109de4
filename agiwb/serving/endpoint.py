"""A running server, held from Python: start it, ask it, stop it."""

from __future__ import annotations

import contextlib
import http.client
import os
import queue
import shlex
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import quote, urlsplit

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agiwb.errors import InputError, ServingError
from agiwb.serving.address import Ready
from agiwb.serving.app import MAX_BODY_BYTES
from agiwb.serving.codec import example_body
from agiwb.serving.json_text import dump_json, load_json

_START_TIMEOUT_S = 20
_STOP_TIMEOUT_S = 10
_ANSWER_TIMEOUT_S = 60
_SHOWN_LINES = 12

_kept_open: weakref.WeakSet[IO[bytes]] = weakref.WeakSet()
"""The servers' stdin; while any process holds one open, its server lives."""
if sys.platform != "win32":
    # A forked child may outlive this process.
    os.register_at_fork(after_in_child=lambda: [pipe.close() for pipe in list(_kept_open)])


class Endpoint:
    """A server process and the one model version it answers for.

    It lives until ``stop``, the end of a ``with`` block, or the end of this process, even by
    kill -9. Thread safety: every method may be called from any thread.

    Attributes:
        address: ``http://<host>:<port>``.
        model_name: Name in the URL.
        version: Version served.
        signature: Names, dtypes and shapes of the model's inputs and outputs.
        log_file: What the server has to complain about.
    """

    def __init__(self, process: subprocess.Popen[bytes], ready: Ready, log_file: Path) -> None:
        self.address = ready.address
        self.model_name = ready.model_name
        self.version = ready.version
        self.signature = ready.signature
        self.log_file = log_file
        self._process = process
        self._idle: list[http.client.HTTPConnection] = []
        self._finalizer = weakref.finalize(self, _end, process, os.getpid(), self._idle)

    @property
    def url(self) -> str:
        """Where predictions are asked for, by POST."""
        return f"{self.address}/v1/models/{quote(self.model_name)}:predict"

    @property
    def process_id(self) -> int:
        """The server's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""
        return self._process.poll() is None

    def predict(self, features: ArrayLike) -> NDArray[Any]:
        """Return the model's output for a batch; the first dimension of both is the batch.

        Raises:
            InputError: The features do not fit the model, are too many for one request, or the
                model has several inputs or outputs.
            ServingError: The server is gone, or failed.
        """
        if len(self.signature.inputs) != 1 or len(self.signature.outputs) != 1:
            raise InputError(
                f"`predict` takes one input and gives one output; this model has "
                f"{len(self.signature.inputs)} and {len(self.signature.outputs)}.",
                f"Post named tensors to {self.url}.",
            )
        body = dump_json({"instances": np.ascontiguousarray(features)})
        if len(body) > MAX_BODY_BYTES:
            raise InputError(
                f"The request would be {len(body)} bytes; the server takes {MAX_BODY_BYTES}.",
                "Ask for fewer examples at a time.",
            )
        answer = self._post(body)
        return np.asarray(answer["predictions"], self.signature.outputs[0].dtype)

    def curl(self, features: ArrayLike | None = None) -> str:
        """Return a shell command that asks for ``features``, by default one example of zeros."""
        body = (
            example_body(self.signature)
            if features is None
            else {"instances": np.ascontiguousarray(features)}
        )
        return f"curl -d {shlex.quote(dump_json(body).decode())} {shlex.quote(self.url)}"

    def stop(self) -> None:
        """Stop the server; requests it has taken are still answered. Stopping twice is fine."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"<Endpoint {self.url} version {self.version}, {state}>"

    def _post(self, body: bytes) -> Any:
        status, payload = self._exchange(body)
        document = load_json(payload)
        if status < http.client.BAD_REQUEST:
            return document
        problem = str(document.get("error", document))
        if status < http.client.INTERNAL_SERVER_ERROR:
            raise InputError(problem)
        raise ServingError(problem, f"See {self.log_file}.")

    def _exchange(self, body: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer to a POST, over an idle connection or a new one."""
        try:  # a list's pop and append are atomic: threads never share a connection
            connection, reused = self._idle.pop(), True
        except IndexError:
            connection, reused = self._connect(), False
        try:
            connection.request("POST", urlsplit(self.url).path, body)
            response = connection.getresponse()
            answer = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            # The server may have closed what was idle for long. What it is slow to answer is not
            # asked again: it would be logged twice.
            closed = isinstance(error, ConnectionResetError | BrokenPipeError)
            if reused and closed and self.running:
                return self._exchange(body)
            raise ServingError(
                f"The server at {self.address} does not answer: {error or type(error).__name__}.",
                "It is running." if self.running else "It has stopped; start it again.",
            ) from error
        self._idle.append(connection)
        return answer

    def _connect(self) -> http.client.HTTPConnection:
        place = urlsplit(self.address)
        return http.client.HTTPConnection(
            str(place.hostname), place.port, timeout=_ANSWER_TIMEOUT_S
        )


def start_endpoint(flags: Sequence[str], log_file: Path) -> Endpoint:
    """Return the endpoint of a new server process, once it is ready.

    Args:
        flags: The server's command line; see agiwb.serving.server.
        log_file: The server's stderr is appended to it.

    Raises:
        ServingError: The server ended, or was not ready within 20 seconds.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("ab") as log:
        start = log.tell()
        # A session of its own: an interrupt of a notebook's kernel is not meant for the server.
        process = subprocess.Popen(
            [sys.executable, "-m", "agiwb.serving.server", "--stop-with-stdin", *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    assert process.stdin is not None  # noqa: S101  it was opened as a pipe
    _kept_open.add(process.stdin)
    try:
        line = _first_line(process)
    except BaseException:
        _stop(process)
        raise
    if not line:
        _stop(process)
        raise ServingError(
            f"The server did not start: {_tail(log_file, start) or 'it said nothing.'}",
            f"Its log is {log_file}.",
        )
    return Endpoint(process, Ready.model_validate_json(line), log_file)


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    """Return what the process prints first; nothing if it ends, or takes too long."""
    assert process.stdout is not None  # noqa: S101  it was opened as a pipe
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    # Only a thread can wait for a pipe and a clock at once on every system.
    stdout = process.stdout
    threading.Thread(target=lambda: lines.put(stdout.readline()), daemon=True).start()
    try:
        return lines.get(timeout=_START_TIMEOUT_S)
    except queue.Empty:
        return b""


def _end(
    process: subprocess.Popen[bytes], owner: int, idle: list[http.client.HTTPConnection]
) -> None:
    """Close the connections and end the server, unless this is a process forked from its owner."""
    if os.getpid() != owner:
        return
    while idle:
        idle.pop().close()
    _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _tail(log_file: Path, start: int) -> str:
    """Return the last lines of what was logged after byte ``start``."""
    with log_file.open("rb") as log:
        log.seek(start)
        lines = log.read().decode("utf-8", "replace").strip().splitlines()
    return "\n".join(lines[-_SHOWN_LINES:])
