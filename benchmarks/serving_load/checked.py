"""A client that checks every answer: which version gave it, and that no version comes back."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_LARGEST_X = 999
_SHOWN_FAILURES = 5


@dataclass
class Seen:
    """What all connections have seen.

    Attributes:
        answers: When each answer came (``time.perf_counter()``), and the seconds it took.
        versions: How many answers each version gave.
        failures: Sentences on requests that got no answer, a wrong one, or an older version's.
        failed: How many these are.
    """

    answers: list[tuple[float, float]] = field(default_factory=list)
    versions: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    failed: int = 0

    def fail(self, why: str) -> None:
        """Count a failure; the first few are kept to be shown."""
        self.failed += 1
        if len(self.failures) < _SHOWN_FAILURES:
            self.failures.append(why)

    def between(self, spans: list[tuple[float, float]]) -> list[float]:
        """Return the seconds that requests took which were under way in one of ``spans``."""
        return [
            seconds
            for end, seconds in self.answers
            if any(first <= end and end - seconds <= last for first, last in spans)
        ]


class CheckedConnection(asyncio.Protocol):
    """One client: it asks for ``x / 2 + version`` again and again, and sees through the answers."""

    def __init__(self, url: str, number: int, published: set[int], seen: Seen) -> None:
        """Ask ``url`` as the client of this number; only ``published`` versions may answer."""
        parts = urlsplit(url)
        self._head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"X-Sticky-Key: client-{number}\r\nContent-Type: application/json\r\n"
        ).encode()
        self._number = number
        self._published = published
        self._seen = seen
        self._random = random.Random(number)  # noqa: S311  no secrets
        self._received = b""
        self._x = 0
        self._since = 0.0
        self._transport: asyncio.Transport | None = None
        self._is_stopping = False
        self.version = 0
        """The version that answered last."""
        self.ended = asyncio.get_running_loop().create_future()

    def stop(self) -> None:
        """Ask no more; ``ended`` is set when the last answer has come."""
        self._is_stopping = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  of TCP it is one
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        now = time.perf_counter()
        self._seen.answers.append((now, now - self._since))
        self._received = b""
        self._check(head, body)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._is_stopping:
            self._seen.fail(f"client {self._number}: the connection was lost ({exc})")
        if not self.ended.done():
            self.ended.set_result(None)

    def _ask(self) -> None:
        assert self._transport is not None  # noqa: S101  asked only when connected
        if self._is_stopping:
            self._transport.close()
            return
        self._x = self._random.randint(0, _LARGEST_X)
        body = b'{"instances":[[%d]]}' % self._x
        self._since = time.perf_counter()
        self._transport.write(self._head + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def _check(self, head: bytes, body: bytes) -> None:
        fail: Callable[[str], None] = self._seen.fail
        if not head.startswith(b"HTTP/1.1 200"):
            fail(f"client {self._number}: {head[:60]!r} {body[:200]!r}")
            return
        try:
            ((answer,),) = json.loads(body)["predictions"]
        except (ValueError, KeyError, TypeError):
            fail(f"client {self._number}: {body[:200]!r} is no answer")
            return
        version = answer - self._x / 2
        if version not in self._published:
            fail(f"client {self._number}: {answer} for {self._x} is of no version")
        elif version < self.version:
            fail(f"client {self._number}: version {version:.0f} came after {self.version}")
        else:
            self.version = int(version)
            self._seen.versions[self.version] += 1
