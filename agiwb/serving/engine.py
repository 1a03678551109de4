"""The engine: from a decoded request to a logged answer, the same for every protocol.

A protocol opens an exchange, decodes the request by the signature of the version it got, asks the
engine, and encodes the answer before the exchange ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.runtimes.runtime import Tensors
from agiwb.serving.batcher import QueueBatcher, Run, TickBatcher
from agiwb.serving.batching import BatchingParameters
from agiwb.serving.exchange import Answer, Caller, ModelSpec
from agiwb.serving.metrics.metrics import Metrics
from agiwb.serving.prediction_log import Prediction, PredictionLog
from agiwb.serving.rollout.rollout import Rollout
from agiwb.serving.row_wise import Prepared
from agiwb.serving.servables.catalogue import Catalogue, LoadedVersion
from agiwb.serving.status import Code, Refusal, code_of

# A run shorter than this costs less than handing it to a thread and back.
_LONGEST_INLINE_S = 0.002
_MOST_MERGED_ROWS = 256


@dataclass(slots=True)
class Exchange:
    """One request of one version, and what is learnt of it on the way."""

    version: LoadedVersion
    signature_name: str = ""
    rows: int = 0

    def asks(self, signature_name: str, inputs: Tensors) -> None:
        """Note what is asked, for the metrics."""
        self.signature_name = signature_name
        self.rows = count_rows(inputs)


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
        batching: BatchingParameters | None = None,
        threads: int = 4,
    ) -> None:
        self.catalogue = catalogue
        self.metrics = metrics
        self.rollout = rollout
        self._log = log
        self._queue = QueueBatcher(batching) if batching else None
        self._tick: TickBatcher | None = None
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self._runs_in_threads = 0

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

    @contextmanager
    def exchange(self, spec: ModelSpec, caller: Caller) -> Iterator[Exchange]:
        """Lease a version for one request, which is counted and timed when the block ends.

        The rollout's guards learn how it ended, too.

        Raises:
            Refusal: See ``lease``.
        """
        start = time.perf_counter()
        self.metrics.enter()
        model, number, signature, rows, code = "unknown", 0, "", 0, Code.OK
        exchange = None
        try:
            with self.lease(spec, caller.sticky_key, caller.request_id) as version:
                model, number = version.name, version.number
                exchange = Exchange(version)
                yield exchange
        except BaseException as error:
            code = code_of(error)
            raise
        finally:
            seconds = time.perf_counter() - start
            if exchange is not None:
                signature, rows = exchange.signature_name, exchange.rows
                self.rollout.observe(model, number, code, seconds)
            self.metrics.leave()
            self.metrics.observe_request(
                model, number, signature, caller.protocol, code, seconds, rows
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
        start = time.perf_counter()
        _check_deadline(caller)
        result = await self._run(version, name, inputs, caller, outputs)
        return self._finish(version, name, inputs, result, caller, time.perf_counter() - start)

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
        start = time.perf_counter()
        _check_deadline(caller)
        if self._queue is not None and _may_merge(version, name, inputs):
            result = _wait(self._enqueue(version, name, inputs, caller, outputs), caller)
        else:
            result = self._run_one(version, name, outputs, inputs)
        return self._finish(version, name, inputs, result, caller, time.perf_counter() - start)

    def waiting_models(self) -> tuple[str, ...]:
        """Return the names of the models that have no version available."""
        names = (model.name for model in self.catalogue.models())
        return tuple(name for name in names if not self.catalogue.available(name))

    def close(self) -> None:
        """Finish what waits, then end the threads; the catalogue is its owner's to stop."""
        if self._queue is not None:
            self._queue.stop()
        self._threads.shutdown()

    async def _run(
        self,
        version: LoadedVersion,
        name: str,
        inputs: Tensors,
        caller: Caller,
        outputs: Sequence[str],
    ) -> Tensors:
        merged = _may_merge(version, name, inputs)
        if merged and self._queue is not None:
            future = self._enqueue(version, name, inputs, caller, outputs)
            return await _in_time(asyncio.wrap_future(future), caller)
        servable = version.servable
        rows = count_rows(inputs)
        run = partial(self._run_one, version, name, outputs)
        slow = rows * servable.seconds_per_row > _LONGEST_INLINE_S
        if slow or not servable.inline or self._runs_in_threads:
            return await _in_time(self._run_in_thread(run, inputs), caller)
        if not merged:
            return run(inputs)
        if self._tick is None:
            self._tick = TickBatcher(asyncio.get_running_loop())
        most = min(_MOST_MERGED_ROWS, int(_LONGEST_INLINE_S / max(servable.seconds_per_row, 1e-6)))
        return await self._tick.submit(
            _merge_key(version, name, inputs, outputs), run, inputs, rows, most
        )

    async def _run_in_thread(self, run: Run, inputs: Tensors) -> Tensors:
        # While one lasts, short runs take threads too: a runtime may hold a lock, and the loop must
        # not wait for it.
        self._runs_in_threads += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, run, inputs)
        finally:
            self._runs_in_threads -= 1

    def _run_one(
        self, version: LoadedVersion, name: str, outputs: Sequence[str], inputs: Tensors
    ) -> Tensors:
        start = time.perf_counter()
        result = version.servable.run(inputs, name, outputs)
        seconds = time.perf_counter() - start
        self.metrics.observe_run(version.name, version.number, seconds, count_rows(inputs))
        return result

    def _enqueue(
        self,
        version: LoadedVersion,
        name: str,
        inputs: Tensors,
        caller: Caller,
        outputs: Sequence[str],
    ) -> Future[Tensors]:
        assert self._queue is not None  # noqa: S101  only asked then
        return self._queue.submit(
            _merge_key(version, name, inputs, outputs),
            partial(self._run_one, version, name, outputs),
            inputs,
            count_rows(inputs),
            caller.deadline,
        )

    def _finish(
        self,
        version: LoadedVersion,
        name: str,
        inputs: Tensors,
        result: Tensors,
        caller: Caller,
        seconds: float,
    ) -> Answer:
        variant = self.rollout.variant_of(version.name, version.number)
        if self._log is not None:
            self._log.append(
                Prediction(
                    request_id=caller.request_id,
                    time=time.time() - seconds,
                    model=version.name,
                    version=version.number,
                    variant=variant,
                    signature_name=name,
                    inputs=inputs,
                    outputs=result,
                    latency_ms=round(seconds * 1000, 3),
                )
            )
        self.rollout.offer(version, name, inputs, result)
        return Answer(result, version.name, version.number, name, variant)


def count_rows(tensors: Tensors) -> int:
    """Return the rows of a batch: the largest first dimension, or 1 if there is none."""
    return max((len(array) for array in tensors.values() if array.ndim), default=1)


def _may_merge(version: LoadedVersion, name: str, inputs: Tensors) -> bool:
    """Return whether the request may share a batch with others, and is itself well formed."""
    servable = version.servable
    if not isinstance(servable, Prepared) or name not in servable.row_wise:
        return False
    if inputs.keys() != servable.input_names(name):
        return False
    sizes = {array.shape[:1] for array in inputs.values()}
    return len(sizes) == 1 and () not in sizes


def _merge_key(
    version: LoadedVersion, name: str, inputs: Tensors, outputs: Sequence[str]
) -> Hashable:
    shapes = tuple((key, array.shape[1:], array.dtype) for key, array in inputs.items())
    return id(version.servable), name, tuple(outputs), shapes


def _check_deadline(caller: Caller) -> None:
    if caller.deadline is not None and caller.deadline < time.monotonic():
        raise _too_late()


async def _in_time(answer: Awaitable[Tensors], caller: Caller) -> Tensors:
    if caller.deadline is None:
        return await answer
    try:
        return await asyncio.wait_for(answer, caller.deadline - time.monotonic())
    except TimeoutError:
        raise _too_late() from None


def _wait(future: Future[Tensors], caller: Caller) -> Tensors:
    left = None if caller.deadline is None else caller.deadline - time.monotonic()
    try:
        return future.result(left)
    except TimeoutError:
        future.cancel()
        raise _too_late() from None


def _too_late() -> Refusal:
    return Refusal(Code.DEADLINE_EXCEEDED, "The model did not answer within the deadline.")
