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
from typing import NamedTuple

from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.runtimes.runtime import Tensors
from agiwb.serving.batcher import QueueBatcher, TickBatcher
from agiwb.serving.batching import BatchingParameters
from agiwb.serving.deadlines import check_deadline, in_time, wait_in_time
from agiwb.serving.exchange import Answer, Caller, ModelSpec
from agiwb.serving.exchanging import Exchanging
from agiwb.serving.merging import Outcome, Run, count_rows
from agiwb.serving.metrics.metrics import Metrics
from agiwb.serving.metrics.request_log import RequestLog
from agiwb.serving.metrics.traces import Traces
from agiwb.serving.prediction_log import Prediction, PredictionLog
from agiwb.serving.prediction_log.prediction import LOAD_TEST, Variant
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


class Asked(NamedTuple):
    """What a request asks of a leased version; ``start`` is ``time.perf_counter()`` then."""

    version: LoadedVersion
    signature_name: str
    inputs: Tensors
    caller: Caller
    start: float


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
        self._log = log
        self._request_log = request_log
        self._traces = traces
        self._queue = QueueBatcher(batching, metrics) if batching else None
        self._evens_out = batching is not None and batching.pad_variable_length_inputs
        self._tick: TickBatcher[Asked, Answer] | None = None
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        # The disk takes milliseconds, and one prediction after another: one thread waits for it.
        waits = log is not None and log.policy.durability == "disk"
        self._log_thread = ThreadPoolExecutor(1, "log-append") if waits else None
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
        if self._log_thread is None:
            return self._answer(asked, result)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._log_thread, self._answer, asked, result)

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
        return self._answer(asked, result)

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
        if self._log_thread is not None:
            self._log_thread.shutdown()
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
            self._tick = TickBatcher(asyncio.get_running_loop(), self._conclude)
        return self._tick

    def _conclude(
        self,
        asked: Sequence[Asked],
        outcomes: Sequence[Outcome],
        settle: Callable[[Sequence[Answer | BaseException]], None],
    ) -> None:
        """Settle a batch of the event loop, once it is logged."""
        if self._log_thread is None:
            settle(self._answers(asked, outcomes))
            return

        def settle_when_logged(done: Future[list[Answer | BaseException]]) -> None:
            error = done.exception()
            loop.call_soon_threadsafe(settle, [error] * len(asked) if error else done.result())

        loop = asyncio.get_running_loop()
        self._log_thread.submit(self._answers, asked, outcomes).add_done_callback(
            settle_when_logged
        )

    def _answer(self, asked: Asked, result: Tensors) -> Answer:
        (answer,) = self._answers([asked], [result])
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _answers(
        self, asked: Sequence[Asked], outcomes: Sequence[Outcome]
    ) -> list[Answer | BaseException]:
        """Return the answers to requests of one model, logged together, or why there is none."""
        answers = [
            outcome if isinstance(outcome, BaseException) else self._answer_to(one, outcome)
            for one, outcome in zip(asked, outcomes, strict=True)
        ]
        if self._log is not None:
            self._log_answers(self._log, asked, answers)
        for one, answer in zip(asked, answers, strict=True):
            if isinstance(answer, Answer):
                self.rollout.offer(one.version, one.signature_name, one.inputs, answer.outputs)
        return answers

    def _answer_to(self, asked: Asked, outputs: Tensors) -> Answer:
        model, version = asked.version.name, asked.version.number
        is_load_test = asked.caller.is_load_test
        variant: Variant = LOAD_TEST if is_load_test else self.rollout.variant_of(model, version)
        return Answer(outputs, model, version, asked.signature_name, variant)

    @staticmethod
    def _log_answers(
        log: PredictionLog, asked: Sequence[Asked], answers: list[Answer | BaseException]
    ) -> None:
        """Log the answers; who is refused one for that it was not logged gets the error instead."""
        now, clock = time.time(), time.perf_counter()
        places, entries = [], []
        for place, (one, answer) in enumerate(zip(asked, answers, strict=True)):
            if isinstance(answer, Answer):
                seconds = clock - one.start
                entry = Prediction(
                    request_id=one.caller.request_id,
                    time=now - seconds,
                    model=answer.model,
                    version=answer.version,
                    variant=answer.variant,
                    signature_name=answer.signature_name,
                    inputs=one.inputs,
                    outputs=answer.outputs,
                    latency_ms=round(seconds * 1000, 3),
                )
                places.append(place)
                entries.append(entry)
        for place, refusal in zip(places, log.append_all(entries), strict=True):
            if refusal is not None:
                answers[place] = refusal
