"""What surrounds one request: a lease on a version, its span, and the counting when it ends."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from types import TracebackType

from agiwb.serving.exchange import Caller, Exchange, ModelSpec
from agiwb.serving.metrics.metrics import Metrics
from agiwb.serving.metrics.request_log import RequestEntry, RequestLog
from agiwb.serving.rollout.rollout import Rollout
from agiwb.serving.servables.catalogue import LoadedVersion
from agiwb.serving.status import Code, code_of


class Exchanging:
    """Leases a version for one request, which is counted and timed when the block ends.

    A class rather than a generator: each request makes one, and generators that are context
    managers cost three times as much.
    """

    __slots__ = (
        "_caller",
        "_exchange",
        "_lease",
        "_metrics",
        "_request_log",
        "_rollout",
        "_span",
        "_spec",
        "_start",
    )

    def __init__(
        self,
        spec: ModelSpec,
        caller: Caller,
        lease: AbstractContextManager[LoadedVersion],
        span: AbstractContextManager[object] | None,
        metrics: Metrics,
        rollout: Rollout,
        request_log: RequestLog | None,
    ) -> None:
        self._spec = spec
        self._caller = caller
        self._lease = lease
        self._span = span
        self._metrics = metrics
        self._rollout = rollout
        self._request_log = request_log
        self._exchange: Exchange | None = None
        self._start = 0.0

    def __enter__(self) -> Exchange:
        """Return the exchange; raise Refusal, counted too, if there is nothing to lease."""
        self._start = time.perf_counter()
        self._metrics.enter()
        try:
            if self._span is not None:
                self._span.__enter__()
            try:
                self._exchange = Exchange(self._lease.__enter__())
            except BaseException as error:
                if self._span is not None:
                    self._span.__exit__(type(error), error, error.__traceback__)
                raise
        except BaseException as error:
            self._end(code_of(error))
            raise
        return self._exchange

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the version back, and count."""
        try:
            self._lease.__exit__(kind, error, traceback)
            if self._span is not None:
                self._span.__exit__(kind, error, traceback)
        finally:
            self._end(Code.OK if error is None else code_of(error))

    def _end(self, code: Code) -> None:
        seconds = time.perf_counter() - self._start
        metrics, exchange = self._metrics, self._exchange
        metrics.leave()
        if exchange is None:
            model, number, signature, rows = "unknown", 0, "", 0
            metrics.observe_request(
                model, number, signature, self._caller.protocol, code, seconds, rows
            )
        else:
            model, number = exchange.version.name, exchange.version.number
            signature, rows = exchange.signature_name, exchange.rows
            self._rollout.observe(model, number, code, seconds)
            metrics.observe_request(
                model, number, signature, self._caller.protocol, code, seconds, rows, exchange.api
            )
        if self._request_log is not None:
            self._request_log.record(
                RequestEntry(self._caller, self._spec.name, number, signature, code, seconds, rows)
            )
