"""What one client, or all of them together, may ask of an HTTP server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of an HTTP server; each that is passed has an answer of its own.

    Attributes:
        body_bytes: Of a request's body, as sent and after inflating (413).
        header_bytes: Of a request's header names and values; also of trailers (431).
        header_count: Of a request's header fields (431).
        url_bytes: Of the request target (414).
        header_s: Seconds for a request's line and headers, from its first byte or, for the first
            request, from the connection's start (408, then the connection is closed).
        body_s: Seconds for a request's body (408, then the connection is closed).
        idle_s: Seconds that a connection is kept without a request.
        write_s: Seconds for a client to take an answer that waits; then the connection is cut.
        in_flight: Requests that are being answered at once (503 with ``Retry-After``).
        connections: Open connections (503, then closed).
        connections_per_peer: Open connections of one address (503).
        drain_bytes: Read and thrown away after a refusal, so that the client, which may still be
            sending, sees the answer rather than a reset connection.
        drain_s: Seconds that this may take.
    """

    body_bytes: int = 64 << 20
    header_bytes: int = 64 << 10
    header_count: int = 100
    url_bytes: int = 8 << 10
    header_s: float = 10.0
    body_s: float = 60.0
    idle_s: float = 75.0
    write_s: float = 30.0
    in_flight: int = 1000
    connections: int = 2000
    connections_per_peer: int = 1000
    drain_bytes: int = 1 << 20
    drain_s: float = 2.0

    @property
    def tick_s(self) -> float:
        """Seconds between two looks at who is late: a quarter of the shortest time, at most 1."""
        shortest = min(self.header_s, self.body_s, self.idle_s, self.write_s, self.drain_s)
        return max(0.01, min(1.0, shortest / 4))
