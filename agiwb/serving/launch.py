"""Starting a server as a process of its own, which ends with this one."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from agiwb.errors import InputError, ServingError
from agiwb.serving.address import Ready
from agiwb.serving.stop_limits import SERVER_S

_START_TIMEOUT_S = 20
_SLOW_START_TIMEOUT_S = 120
"""With a model that brings TensorFlow into a process of its own."""
_SHOWN_LINES = 12

_kept_open: weakref.WeakSet[IO[bytes]] = weakref.WeakSet()
"""The servers' stdin; while any process holds one open, its server lives."""
if sys.platform != "win32":
    # A forked child may outlive this process.
    os.register_at_fork(after_in_child=lambda: [pipe.close() for pipe in list(_kept_open)])


class ServerProcess(Protocol):
    """What is needed of a server's process, be it a child of this one or not."""

    pid: int
    stdin: Any
    stdout: Any

    def poll(self) -> int | None:
        """Return None while it is alive."""
        ...

    def terminate(self) -> None:
        """Ask it to stop."""
        ...

    def kill(self) -> None:
        """Make it stop."""
        ...

    def wait(self, timeout: float | None = None) -> object:
        """Return once it has ended; raise subprocess.TimeoutExpired if it has not by then."""
        ...


def start_server(
    flags: Sequence[str],
    log_file: Path,
    *,
    environment: Mapping[str, str] | None = None,
    slow: bool = False,
) -> tuple[subprocess.Popen[bytes], Ready]:
    """Return a new server process and what it said once it was ready.

    Args:
        flags: The server's command line; see agiwb.serving.server.
        log_file: The server's stderr is appended to it.
        environment: Variables added to this process's.
        slow: Wait two minutes for it, not 20 seconds.

    Raises:
        ServingError: The server ended, or was not ready in time.
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
            env={**os.environ, **(environment or {})},
        )
    assert process.stdin is not None  # noqa: S101  it was opened as a pipe
    _kept_open.add(process.stdin)
    try:
        line = _first_line(process, _SLOW_START_TIMEOUT_S if slow else _START_TIMEOUT_S)
    except BaseException:
        stop_server(process)
        raise
    if not line:
        stop_server(process)
        # A server that was refused its input says so in its last line; before it are the log's.
        shown = 1 if process.returncode == InputError.exit_code else _SHOWN_LINES
        raise ServingError(
            f"The server did not start: {_tail(log_file, start, shown) or 'it said nothing.'}",
            f"Its log is {log_file}.",
        )
    return process, Ready.model_validate_json(line)


def stop_server(process: ServerProcess, drain_s: float = 0.0) -> None:
    """End a server, which drains for ``drain_s``; requests it has taken are still answered."""
    process.terminate()
    try:
        process.wait(SERVER_S + drain_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _first_line(process: subprocess.Popen[bytes], timeout_s: float) -> bytes:
    """Return what the process prints first; nothing if it ends, or takes too long."""
    assert process.stdout is not None  # noqa: S101  it was opened as a pipe
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    # Only a thread can wait for a pipe and a clock at once on every system.
    stdout = process.stdout
    threading.Thread(target=lambda: lines.put(stdout.readline()), daemon=True).start()
    try:
        return lines.get(timeout=timeout_s)
    except queue.Empty:
        return b""


def _tail(log_file: Path, start: int, count: int) -> str:
    """Return the last lines of what was logged after byte ``start``."""
    with log_file.open("rb") as log:
        log.seek(start)
        lines = log.read().decode("utf-8", "replace").strip().splitlines()
    return "\n".join(lines[-count:])
