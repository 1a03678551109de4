"""From what a model's run came to, to an answer, which is logged before anybody gets it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from agiwb.runtimes.runtime import Tensors
from agiwb.serving.exchange import Answer, Caller
from agiwb.serving.merging import Outcome
from agiwb.serving.prediction_log import Prediction, PredictionLog
from agiwb.serving.prediction_log.prediction import LOAD_TEST, Variant
from agiwb.serving.rollout.rollout import Rollout
from agiwb.serving.servables.catalogue import LoadedVersion

Settle = Callable[[Sequence[Answer | BaseException]], None]


class Asked(NamedTuple):
    """What a request asks of a leased version; ``start`` is ``time.perf_counter()`` then."""

    version: LoadedVersion
    signature_name: str
    inputs: Tensors
    caller: Caller
    start: float


class Answers:
    """Makes answers.

    Thread safety: ``make`` and ``make_all`` may be called from any thread, the others on the event
    loop only. If predictions must reach the disk, which takes milliseconds for one after another,
    the loop leaves that to one thread.
    """

    def __init__(self, rollout: Rollout, log: PredictionLog | None) -> None:
        self._rollout = rollout
        self._log = log
        waits = log is not None and log.policy.durability == "disk"
        self._log_thread = ThreadPoolExecutor(1, "log-append") if waits else None

    def make(self, asked: Asked, outputs: Tensors) -> Answer:
        """Return the answer.

        Raises:
            ServingError: It could not be logged, and the log's policy is to refuse then.
        """
        answer = self._answer(asked, outputs)
        if self._log is not None:
            self._log.append(_entry(asked, answer))
        self._offer(asked, answer)
        return answer

    def make_all(
        self, asked: Sequence[Asked], outcomes: Sequence[Outcome]
    ) -> list[Answer | BaseException]:
        """Return the answers to requests of one model, logged together, or why there is none."""
        answers = [
            outcome if isinstance(outcome, BaseException) else self._answer(one, outcome)
            for one, outcome in zip(asked, outcomes, strict=True)
        ]
        made = [
            (place, one, answer)
            for place, (one, answer) in enumerate(zip(asked, answers, strict=True))
            if isinstance(answer, Answer)
        ]
        refusals: Sequence[BaseException | None] = [None] * len(made)
        if self._log is not None:
            refusals = self._log.append_all([_entry(one, answer) for _, one, answer in made])
        for (place, one, answer), refusal in zip(made, refusals, strict=True):
            if refusal is not None:
                answers[place] = refusal
            else:
                self._offer(one, answer)
        return answers

    async def make_on_loop(self, asked: Asked, outputs: Tensors) -> Answer:
        """Return the answer; see ``make``."""
        if self._log_thread is None:
            return self.make(asked, outputs)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._log_thread, self.make, asked, outputs)

    def settle_on_loop(
        self, asked: Sequence[Asked], outcomes: Sequence[Outcome], settle: Settle
    ) -> None:
        """Hand the answers of ``make_all`` to ``settle``, on the loop's thread, now or later."""
        if self._log_thread is None:
            settle(self.make_all(asked, outcomes))
            return

        def settle_when_logged(done: Future[list[Answer | BaseException]]) -> None:
            error = done.exception()
            loop.call_soon_threadsafe(settle, [error] * len(asked) if error else done.result())

        loop = asyncio.get_running_loop()
        logged = self._log_thread.submit(self.make_all, asked, outcomes)
        logged.add_done_callback(settle_when_logged)

    def close(self) -> None:
        """End the thread, once what it was given is logged."""
        if self._log_thread is not None:
            self._log_thread.shutdown()

    def _answer(self, asked: Asked, outputs: Tensors) -> Answer:
        model, version = asked.version.name, asked.version.number
        is_load_test = asked.caller.is_load_test
        variant: Variant = LOAD_TEST if is_load_test else self._rollout.variant_of(model, version)
        return Answer(outputs, model, version, asked.signature_name, variant)

    def _offer(self, asked: Asked, answer: Answer) -> None:
        self._rollout.offer(asked.version, asked.signature_name, asked.inputs, answer.outputs)


def _entry(asked: Asked, answer: Answer) -> Prediction:
    seconds = time.perf_counter() - asked.start
    return Prediction(
        request_id=asked.caller.request_id,
        time=time.time() - seconds,
        model=answer.model,
        version=answer.version,
        variant=answer.variant,
        signature_name=answer.signature_name,
        inputs=asked.inputs,
        outputs=answer.outputs,
        latency_ms=round(seconds * 1000, 3),
    )
