"""The load generator's process: ``python -m agiwb.serving.load_client``.

It reads what to ask as JSON from stdin and writes one line of JSON to stdout, then the latencies
and, in the same order, when each was answered, as float64 seconds. A process of its own shares no
interpreter lock with whom it measures for, and imports little but the standard library and NumPy.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

import numpy as np

from agiwb.serving.access.pinning import client_context

_SPIN_S = 0.0015
"""Timers are a millisecond late at times; the rest is waited for by looking at the clock."""
_GOOD = 200


@dataclass(frozen=True)
class LoadPlan:
    """What to ask, how often and how long.

    Attributes:
        url: Where to post to.
        body: What to post, in base64.
        headers: More headers.
        connections: Requests under way at once; with a ``rate``, at most.
        seconds: How long requests are sent.
        requests: How many are sent; None for as many as the seconds allow.
        rate: Requests sent per second, whatever becomes of them; None to send each when the one
            before it on the same connection was answered.
        warm_up_s: Seconds of the same load first, which count for nothing.
        timeout_s: How long after the last was sent answers are waited for.
        ca_file, certificate_file: See ``load_test``.
        poisson: Whether a ``rate`` is a Poisson process's, not that of a clock.
        seed: Of that process.
    """

    url: str
    body: str
    headers: dict[str, str]
    connections: int
    seconds: float
    requests: int | None
    rate: float | None
    warm_up_s: float
    timeout_s: float
    ca_file: str = ""
    certificate_file: str = ""
    poisson: bool = False
    seed: int = 0

    def json(self) -> bytes:
        """Return the plan as the process reads it."""
        return json.dumps(asdict(self)).encode()


class _Connection(asyncio.Protocol):
    """One connection, with one request under way at a time."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._received = bytearray()
        self._length = -1
        self._transport: asyncio.Transport | None = None
        self._done: Callable[[_Connection, str], None] | None = None
        self.start = 0.0

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, start: float, done: Callable[[_Connection, str], None]) -> None:
        """Send the request; ``done`` is told the status, or what else ended it."""
        assert self._transport is not None  # noqa: S101  asked only when connected
        self.start, self._done = start, done
        self._received.clear()
        self._length = -1
        self._transport.write(self._request)

    def close(self) -> None:
        """Leave, whatever is under way."""
        self._done = None
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  of TCP it is one
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._length < 0:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._received[:end]).lower()
            if b"\r\nconnection: close" in head and self._transport is not None:
                self._transport.close()
            _, found, after = head.partition(b"\r\ncontent-length:")
            if not found:
                self._finish("no content-length")
                return
            self._length = end + 4 + int(after.partition(b"\r\n")[0])
        if len(self._received) >= self._length:
            self._finish(self._received[9:12].decode("latin-1"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish("connection lost")

    def _finish(self, outcome: str) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(self, outcome)


class _Load:
    """One run of a plan."""

    def __init__(self, plan: LoadPlan, connect: Callable[[], asyncio.Task[_Connection]]) -> None:
        self._plan = plan
        self._connect = connect
        self.latencies: list[float] = []
        self.answered: list[float] = []
        self.lags: list[float] = []
        self.outcomes: Counter[str] = Counter()
        self._idle: deque[_Connection] = deque()
        self._waiting: deque[float] = deque()
        self._under_way = 0
        self._sent = 0
        self._limit: int | None = None
        self._begun = self._until = 0.0
        self._finished = asyncio.Event()
        self._reconnecting: set[asyncio.Task[_Connection]] = set()
        self.elapsed = 0.0

    async def run(self, connections: list[_Connection], seconds: float, limit: int | None) -> None:
        """Send the load, and wait for its answers."""
        self._begun = begun = time.perf_counter()
        self._until = begun + seconds
        self._limit = limit
        if self._plan.rate is None:
            for connection in connections:
                self._next(connection)
        else:
            self._idle.extend(connections)
            await self._send_when_due(begun, _due_times(self._plan, seconds, limit))
        left = max(0.0, self._until - time.perf_counter())
        await self._wait(left + self._plan.timeout_s)
        unanswered = self._under_way + len(self._waiting)
        if unanswered:
            self.outcomes["timeout"] += unanswered
        self.elapsed = time.perf_counter() - begun
        for task in self._reconnecting:
            task.cancel()

    async def _wait(self, seconds: float) -> None:
        if self._under_way or self._waiting or self._reconnecting:
            self._finished.clear()
            try:
                await asyncio.wait_for(self._finished.wait(), seconds)
            except TimeoutError:
                return

    async def _send_when_due(self, begun: float, offsets: Sequence[float]) -> None:
        for offset in offsets:
            due = begun + offset
            if due >= self._until:
                return
            while (left := due - time.perf_counter()) > 0:  # noqa: ASYNC110  the clock says when
                await asyncio.sleep(left - _SPIN_S if left > _SPIN_S else 0)
            self.lags.append(-left)
            connection = self._take_idle()
            if connection is None:
                self._waiting.append(due)
            else:
                self._send(connection, due)
            await asyncio.sleep(0)  # answers are read even if the next is due already

    def _take_idle(self) -> _Connection | None:
        """Return a free connection; those that the server closed meanwhile are made anew."""
        while self._idle:
            connection = self._idle.popleft()
            if connection.open:
                return connection
            self._reconnect()
        return None

    def _send(self, connection: _Connection, start: float) -> None:
        self._under_way += 1
        self._sent += 1
        connection.ask(start, self._answered)

    def _answered(self, connection: _Connection, outcome: str) -> None:
        self._under_way -= 1
        self.outcomes[outcome] += 1
        if outcome == str(_GOOD):
            now = time.perf_counter()
            self.latencies.append(now - connection.start)
            self.answered.append(now - self._begun)
        if connection.open:
            self._next(connection)
        else:
            self._reconnect()

    def _reconnect(self) -> None:
        task = self._connect()
        self._reconnecting.add(task)
        task.add_done_callback(self._reconnected)

    def _reconnected(self, task: asyncio.Task[_Connection]) -> None:
        self._reconnecting.discard(task)
        if task.cancelled():
            return
        if task.exception() is None:
            self._next(task.result())
        else:
            self.outcomes["no connection"] += 1
            self._end_if_done()

    def _next(self, connection: _Connection) -> None:
        """Have a connection that is free send what is next, if anything is."""
        if self._plan.rate is None:
            now = time.perf_counter()
            if now < self._until and (self._limit is None or self._sent < self._limit):
                self._send(connection, now)
                return
        elif self._waiting:
            self._send(connection, self._waiting.popleft())
            return
        self._idle.append(connection)
        self._end_if_done()

    def _end_if_done(self) -> None:
        if not self._under_way and not self._waiting and not self._reconnecting:
            self._finished.set()


def _due_times(plan: LoadPlan, seconds: float, limit: int | None) -> list[float]:
    """Return when each request of an open loop is due, in seconds from its beginning."""
    assert plan.rate is not None  # noqa: S101  the loop is open
    # From the seconds asked for: the difference of two clock readings may lack a request.
    count = round(plan.rate * seconds) if limit is None else limit
    if not plan.poisson:
        return [number / plan.rate for number in range(count)]
    random = np.random.default_rng(plan.seed)
    if limit is not None:
        return list(np.cumsum(random.exponential(1 / plan.rate, count)))
    # Given how many there are in a span, the times of a Poisson process are uniform in it.
    return list(np.sort(random.uniform(0, seconds, random.poisson(plan.rate * seconds))))


async def _generate(plan: LoadPlan) -> tuple[dict[str, object], _Load]:
    connect = _prepare(plan)
    if plan.warm_up_s > 0:
        connections = [await connect() for _ in range(plan.connections)]
        warm_up = _Load(plan, connect)
        await warm_up.run(connections, plan.warm_up_s, None)
        for connection in connections:
            connection.close()
    connections = [await connect() for _ in range(plan.connections)]
    load = _Load(plan, connect)
    await load.run(connections, plan.seconds, plan.requests)
    for connection in connections:
        connection.close()
    lag = float(np.quantile(load.lags, 0.99)) if load.lags else 0.0
    head = {"outcomes": load.outcomes, "seconds": load.elapsed, "lag_p99": lag}
    return head, load


def _prepare(plan: LoadPlan) -> Callable[[], asyncio.Task[_Connection]]:
    """Return what makes a connection."""
    parts = urlsplit(plan.url)
    secure = parts.scheme == "https"
    context = client_context(plan.ca_file, plan.certificate_file) if secure else None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    body = base64.b64decode(plan.body)
    headers = {
        "Host": parts.netloc.rpartition("@")[2],
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **plan.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body
    loop = asyncio.get_running_loop()

    async def connect() -> _Connection:
        place = parts.hostname or "", parts.port or (443 if secure else 80)
        made = await loop.create_connection(lambda: _Connection(request), *place, ssl=context)
        return made[1]

    return lambda: loop.create_task(connect())


def main() -> int:
    """Run the plan on stdin."""
    plan = LoadPlan(**json.load(sys.stdin))
    try:
        head, load = asyncio.run(_generate(plan))
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    measured = np.array([load.latencies, load.answered], np.float64).tobytes()
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + measured)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
