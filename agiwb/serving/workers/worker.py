"""One worker process, as the supervisor sees it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

from agiwb.serving.stop_limits import SERVER_S
from agiwb.serving.workers.assignment import Assignment

Message = dict[str, Any]
Hear = Callable[["Worker", Message], None]

_LONGEST_LINE = 64 << 20


class Worker:
    """A process and the line to it; it belongs to the supervisor's loop.

    Attributes:
        index: Which worker it is, from 0.
        pid: Its process id.
        is_up: Whether it answers.
        problem: Why it said it would end, and the exit code that goes with it.
        numbers: What it had counted when it was last asked.
        known: The number of the last change it knows of, before it hears them.
        hears_changes: Whether it is told of changes as they are made.
    """

    def __init__(self, index: int, process: asyncio.subprocess.Process) -> None:
        self.index = index
        self.is_up = False
        self.problem: tuple[str, int] | None = None
        self.numbers: Message | None = None
        self.known = 0
        self.hears_changes = False
        self.pid = process.pid
        self._process = process
        self._writer: asyncio.StreamWriter | None = None
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Message]] = {}

    async def converse(self, line: socket.socket, hear: Hear) -> int:
        """Hand what the worker says to ``hear`` until it has ended; return its exit code."""
        reader, self._writer = await asyncio.open_connection(sock=line, limit=_LONGEST_LINE)
        with contextlib.suppress(OSError, ValueError):  # the line is broken, or what it carries
            async for text in reader:
                message = json.loads(text)
                if message["kind"] != "reply":
                    hear(self, message)
                elif (asked := self._asked.get(message["id"])) is not None and not asked.done():
                    asked.set_result(message)
        self.is_up = self.hears_changes = False
        self._writer.close()
        for asked in self._asked.values():
            asked.cancel()
        try:
            return await asyncio.wait_for(self._process.wait(), SERVER_S)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self._process.wait()

    def tell(self, kind: str, **fields: Any) -> None:
        """Send what needs no reply; it waits in memory for a worker that does not read."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(json.dumps({"kind": kind, **fields}).encode() + b"\n")

    def reply(self, message: Message, **fields: Any) -> None:
        """Answer what the worker asked, if it asked."""
        if "id" in message:
            self.tell("reply", id=message["id"], **fields)

    async def ask(self, kind: str, timeout_s: float, **fields: Any) -> Message | None:
        """Return the reply; None if it took longer than ``timeout_s`` seconds, or for ever."""
        number = next(self._ids)
        asked = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self.tell(kind, id=number, **fields)
            done, _ = await asyncio.wait({asked}, timeout=timeout_s)
            return asked.result() if done and not asked.cancelled() else None
        finally:
            self._asked.pop(number, None)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)


async def start_worker(
    index: int, workers: int, gates: int, words: Sequence[str]
) -> tuple[Worker, socket.socket]:
    """Return a new worker and the supervisor's end of the line to it.

    Args:
        index: Which worker it is, from 0.
        workers: How many there are.
        gates: Descriptor of the shared memory.
        words: The command line of a server.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        assignment = Assignment(index, workers, theirs.fileno(), gates)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "agiwb.serving.server",
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            # Only the supervisor prints on stdout: what a worker has to say comes by the line.
            stdout=sys.stderr.fileno(),
            env={**os.environ, **assignment.environment()},
            pass_fds=(theirs.fileno(), gates),
        )
    return Worker(index, process), ours
