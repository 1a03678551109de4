"""The request log: one line of JSON a request, without what was asked."""

from __future__ import annotations

import contextlib
import queue
import random
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import orjson

from agiwb.serving.exchange import Caller
from agiwb.serving.status import Code

_MOST_WAITING = 10_000
_CLOSE_S = 5.0


class RequestEntry(NamedTuple):
    """One request that was answered or refused.

    Attributes:
        caller: Who asked, and how.
        model: The name that was asked for.
        version: That answered; 0 if none did.
        signature: Its name.
        code: Its outcome.
        seconds: From the request's body to its answer.
        rows: Of its batch.
    """

    caller: Caller
    model: str
    version: int
    signature: str
    code: Code
    seconds: float
    rows: int


class RequestLog:
    """Writes a share of all requests, and every one that failed, as lines of JSON.

    Thread safety: ``record`` may be called from any thread. It never waits: a thread of the log's
    own writes, and entries that it cannot keep up with are dropped and counted.

    Attributes:
        dropped: Entries that were not written.
    """

    def __init__(self, write: Callable[[bytes], object], *, share: float = 1.0) -> None:
        """Begin to write.

        Args:
            write: Takes one line with its end, such as ``sys.stdout.buffer.write``.
            share: Of the successful requests, 0 to 1.
        """
        self._write, self._share = write, share
        self.dropped = 0
        self._waiting: queue.Queue[tuple[float, RequestEntry] | None] = queue.Queue(_MOST_WAITING)
        self._writer = threading.Thread(
            target=self._write_all, name="agiwb-request-log", daemon=True
        )
        self._writer.start()

    def record(self, entry: RequestEntry) -> None:
        """Write one line, unless the request succeeded and is not in the sample."""
        if entry.code is Code.OK and random.random() >= self._share:  # noqa: S311  no secret
            return
        try:
            self._waiting.put_nowait((time.time(), entry))
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what waits, and end."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=_CLOSE_S)
            self._writer.join(_CLOSE_S)

    def _write_all(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            try:
                self._write(_line(*waiting))
            except (OSError, ValueError):  # a full disk, or a closed stream
                self.dropped += 1


def _line(unix_time: float, entry: RequestEntry) -> bytes:
    return orjson.dumps(
        {
            "time": round(unix_time, 6),
            "id": entry.caller.request_id,
            "model": entry.model,
            "version": entry.version,
            "signature": entry.signature,
            "protocol": entry.caller.protocol,
            "code": entry.code.name,
            "ms": round(entry.seconds * 1000, 3),
            "rows": entry.rows,
            "bytes": entry.caller.size_bytes,
            "peer": entry.caller.peer,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )
