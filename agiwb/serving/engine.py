"""The engine: from a decoded request to a logged answer, the same for every protocol.

A protocol opens an exchange, decodes the request by the signature of the version it got, asks the
engine, and encodes the answer before the exchange ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import copy_context
from functools import partial

from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.runtimes.runtime import Tensors
from agiwb.serving.answers import Answers, Asked
from agiwb.serving.batcher import QueueBatcher, TickBatcher
from agiwb.serving.batching import BatchingParameters
from agiwb.serving.deadlines import check_deadline, in_time, wait_in_time
from agiwb.serving.exchange import Answer, Caller, ModelSpec
from agiwb.serving.exchanging import Exchanging
from agiwb.serving.merging import Run, count_rows
from agiwb.serving.metrics.metrics import Metrics
from agiwb.serving.metrics.request_log import RequestLog
from agiwb.serving.metrics.traces import Traces
from agiwb.serving.prediction_log import PredictionLog
from agiwb.serving.rollout.rollout import Rollout
from agiwb.serving.row_wise import may_merge, merge_key
from agiwb.serving.servables.catalogue import Catalogue, LoadedVersion
from agiwb.serving.servables.servable import RunTime

# A run shorter than this costs less than handing it to a thread and back.
_LONGEST_INLINE_S = 0.002
_MOST_MERGED_ROWS = 256


def rows_together(rows: int, run_time: RunTime) -> int:
    """Return the most rows that requests of ``rows`` are run together on the event loop.

    It is 0 for requests that would keep the loop from others: they run in threads, each by itself.
    """
    most = run_time.most_rows(_LONGEST_INLINE_S, max(rows, _MOST_MERGED_ROWS))
    return most if most >= rows else 0


class Engine:
    """Predicts.

    Thread safety: ``exchange`` and ``predict_now`` may be called from any thread, ``predict`` on
    the event loop only. Without batching parameters, requests that one turn of the loop brings
    share a batch; no request waits for a timer.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        metrics: Metrics,
        rollout: Rollout,
        log: PredictionLog | None = None,
        request_log: RequestLog | None = None,
        traces: Traces | None = None,
        batching: BatchingParameters | None = None,
        threads: int = 4,
        hindrance: Callable[[], str] = lambda: "",
    ) -> None:
        self.catalogue = catalogue
        self.metrics = metrics
        self.rollout = rollout
        self._answers = Answers(rollout, log)
        self._request_log = request_log
        self._traces = traces
        self._queue = QueueBatcher(batching, metrics) if batching else None
        self._evens_out = batching is not None and batching.pad_variable_length_inputs
        self._tick: TickBatcher[Asked, Answer] | None = None
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self.hindrance = hindrance
        """Returns why this server is to be sent no requests, though it answers them; "" if none."""

    def lease(
        self, spec: ModelSpec, sticky_key: str = "", request_id: str = ""
    ) -> AbstractContextManager[LoadedVersion]:
        """Return a context in which the version that ``spec`` means, or the rollout chose, stays.

        Raises:
            Refusal: On entering; there is no such model, version or label, in TensorFlow Serving's
                words.
        """
        if spec.version is not None or spec.label is not None:
            return self.catalogue.lease(spec)
        chosen = self.rollout.choose(spec.name, sticky_key, request_id)
        return self.catalogue.lease(spec, preferred=chosen.version)

    def exchange(self, spec: ModelSpec, caller: Caller) -> Exchanging:
        """Lease a version for one request, which is counted and timed when the block ends.

        The rollout's guards learn how it ended, too.

        Raises:
            Refusal: On entering; see ``lease``.
        """
        return Exchanging(
            spec,
            caller,
            self.lease(spec, caller.sticky_key, caller.request_id),
            None if self._traces is None else self._request_span(self._traces, spec, caller),
            self.metrics,
            self.rollout,
            self._request_log,
        )

    async def predict(
        self,
        version: LoadedVersion,
        signature_name: str,
        inputs: Tensors,
        caller: Caller,
        outputs: Sequence[str] = (),
    ) -> Answer:
        """Return the answer, once it is logged; to be awaited on the event loop.

        Args:
            version: A leased version.
            signature_name: One of its signatures; "" for ``serving_default``.
            inputs: By name; checked against the signature by the runtime.
            caller: Who asks.
            outputs: Names of the outputs wanted; none for all.

        Raises:
            InputError: The inputs do not fit.
            Refusal: The deadline passed, or too many requests wait.
            ServingError: The model's process is gone, or the answer could not be logged.
        """
        name = signature_name or SIGNATURE_NAME
        asked = Asked(version, name, inputs, caller, time.perf_counter())
        check_deadline(caller)
        servable, rows = version.servable, count_rows(inputs)
        run = self._runner(version, name, outputs)
        merged = may_merge(servable, name, inputs)
        most = rows_together(rows, servable.run_time) if servable.inline else 0
        if merged and self._queue is not None:
            result = await in_time(self._enqueue(asked, run, outputs), caller)
        elif not most:
            result = await in_time(self._threads.submit(run, inputs), caller)
        elif merged and self._ticks.expects_company(servable.run_time.seconds(rows)):
            key = merge_key(servable, name, inputs, outputs)
            return await self._ticks.submit(key, run, inputs, rows, most, asked)
        else:
            result = run(inputs)
        return await self._answers.make_on_loop(asked, result)

    def predict_now(
        self,
        version: LoadedVersion,
        signature_name: str,
        inputs: Tensors,
        caller: Caller,
        outputs: Sequence[str] = (),
    ) -> Answer:
        """Return the answer, once it is logged; for any thread but the event loop's.

        Arguments and errors are those of ``predict``.
        """
        name = signature_name or SIGNATURE_NAME
        asked = Asked(version, name, inputs, caller, time.perf_counter())
        check_deadline(caller)
        run = self._runner(version, name, outputs)
        if self._queue is not None and may_merge(version.servable, name, inputs):
            result = wait_in_time(self._enqueue(asked, run, outputs), caller)
        else:
            result = run(inputs)
        return self._answers.make(asked, result)

    def waiting_models(self) -> tuple[str, ...]:
        """Return the names of the models that have no version available."""
        names = (model.name for model in self.catalogue.models())
        return tuple(name for name in names if not self.catalogue.available(name))

    def is_ready(self) -> bool:
        """Return whether this server is to be sent requests: what its readiness probes tell."""
        return not self.waiting_models() and not self.hindrance()

    def note_shares(self) -> None:
        """Tell the metrics the rollouts' shares as they are now."""
        for model in self.catalogue.models():
            for version, share in self.rollout.shares(model.name).items():
                self.metrics.rollout_share(model.name, version, share)

    def close(self) -> None:
        """Finish what waits, end the threads, send the spans; the catalogue is its owner's."""
        if self._queue is not None:
            self._queue.stop()
        self._threads.shutdown()
        self._answers.close()
        if self._traces is not None:
            self._traces.close()

    @staticmethod
    def _request_span(
        traces: Traces, spec: ModelSpec, caller: Caller
    ) -> AbstractContextManager[object]:
        return traces.request(
            f"predict {spec.name}",
            caller.traceparent,
            attributes={"request.id": caller.request_id, "rpc.system": caller.protocol},
        )

    def _runner(self, version: LoadedVersion, name: str, outputs: Sequence[str]) -> Run:
        """Return what runs the model, wherever it is called, as a part of this request's span."""
        run = partial(self._run_one, version, name, outputs)
        return run if self._traces is None else partial(copy_context().run, run)

    def _run_one(
        self, version: LoadedVersion, name: str, outputs: Sequence[str], inputs: Tensors
    ) -> Tensors:
        start = time.perf_counter()
        if self._traces is None:
            result = version.servable.run(inputs, name, outputs)
        else:
            with self._traces.run():
                result = version.servable.run(inputs, name, outputs)
        seconds = time.perf_counter() - start
        self.metrics.observe_run(version.name, version.number, seconds, count_rows(inputs))
        return result

    def _enqueue(self, asked: Asked, run: Run, outputs: Sequence[str]) -> Future[Tensors]:
        assert self._queue is not None  # noqa: S101  only asked then
        version, name, inputs = asked.version, asked.signature_name, asked.inputs
        return self._queue.submit(
            merge_key(version.servable, name, inputs, outputs, evens_out=self._evens_out),
            run,
            inputs,
            count_rows(inputs),
            asked.caller.deadline,
        )

    @property
    def _ticks(self) -> TickBatcher[Asked, Answer]:
        """The batcher of the event loop, which must be running."""
        if self._tick is None:
            loop = asyncio.get_running_loop()
            self._tick = TickBatcher(loop, self._answers.settle_on_loop)
        return self._tick
