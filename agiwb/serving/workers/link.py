"""A worker's line to the supervisor: one JSON object a line, both ways."""

from __future__ import annotations

import itertools
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from agiwb.errors import ServingError
from agiwb.serving.stop_limits import WORKERS_S

Message = dict[str, Any]
"""``kind`` says what it is about; with ``id`` it is to be replied to."""
Handle = Callable[[Message], Message]
"""Returns what is replied, if anything was asked."""

_ASK_TIMEOUT_S = 10.0


class Link:
    """The line, read by a thread of its own.

    It ends when the supervisor does, however that ends: then ``on_end`` is called, and this process
    lives on for WORKERS_S seconds at most. Thread safety: ``tell`` and ``ask`` may be called from
    any thread but the link's own, from which the handlers are called.

    Attributes:
        on_end: Called once the supervisor is gone; by default this process ends at once.
    """

    def __init__(self, descriptor: int) -> None:
        """Take the worker's end of the socket pair."""
        self.on_end: Callable[[], None] = lambda: os._exit(1)
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)
        self._sending = threading.Lock()
        self._ids = itertools.count(1)
        self._asked: dict[int, Future[Message]] = {}
        self._handlers: dict[str, Handle] = {}
        self._slow_handlers: dict[str, Handle] = {}
        self._slow = ThreadPoolExecutor(1, thread_name_prefix="supervisor-orders")

    def start(self, handlers: Mapping[str, Handle], slow_handlers: Mapping[str, Handle]) -> None:
        """Begin to read.

        Args:
            handlers: By kind what is done at once, on the thread that reads.
            slow_handlers: By kind what may wait, in turn on another thread.
        """
        self._handlers, self._slow_handlers = dict(handlers), dict(slow_handlers)
        threading.Thread(target=self._read, name="supervisor-link", daemon=True).start()

    def tell(self, kind: str, **fields: Any) -> None:
        """Send what needs no reply; once the supervisor is gone, nothing."""
        line = json.dumps({"kind": kind, **fields}).encode() + b"\n"
        try:
            with self._sending:
                self._socket.sendall(line)
        except OSError:
            logging.getLogger("agiwb").debug("The supervisor is gone; %s was not said.", kind)

    def ask(self, kind: str, timeout_s: float = _ASK_TIMEOUT_S, **fields: Any) -> Message:
        """Return the reply.

        Raises:
            ServingError: There was none within ``timeout_s`` seconds.
        """
        number = next(self._ids)
        reply = self._asked[number] = Future()
        try:
            self.tell(kind, id=number, **fields)
            return reply.result(timeout_s)
        except TimeoutError:
            raise ServingError(
                f"The supervisor of the workers did not answer within {timeout_s:g} s.",
                "Restart the server if it goes on so.",
            ) from None
        finally:
            self._asked.pop(number, None)

    def _read(self) -> None:
        try:
            with self._socket.makefile("rb") as lines:
                for line in lines:
                    self._take(json.loads(line))
        except (OSError, ValueError):
            logging.getLogger("agiwb").exception("The line to the supervisor is broken.")
        # Should the last requests hang, no orphan is left for longer than they may take.
        timer = threading.Timer(WORKERS_S, os._exit, [1])
        timer.daemon = True
        timer.start()
        self.on_end()

    def _take(self, message: Message) -> None:
        kind = message["kind"]
        if kind == "reply":
            if (asked := self._asked.get(message["id"])) is not None:
                asked.set_result(message)
        elif kind in self._slow_handlers:
            self._slow.submit(self._handle, self._slow_handlers[kind], message)
        else:
            self._handle(self._handlers[kind], message)

    def _handle(self, handle: Handle, message: Message) -> None:
        try:
            reply = handle(message)
        except Exception as error:
            logging.getLogger("agiwb").exception("An order of the supervisor failed.")
            reply = {"error": str(error)}
        if "id" in message:
            self.tell("reply", id=message["id"], **reply)
