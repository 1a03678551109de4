"""Waiting for an answer no longer than its client does."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future

from agiwb.runtimes.runtime import Tensors
from agiwb.serving.exchange import Caller
from agiwb.serving.status import Code, Refusal


def check_deadline(caller: Caller) -> None:
    """Raise Refusal if nobody waits for the answer any more."""
    if caller.deadline is not None and caller.deadline < time.monotonic():
        raise _too_late()


async def in_time(future: Future[Tensors], caller: Caller) -> Tensors:
    """Return the answer, on the event loop; who gives up takes the run back, unless it has begun.

    Raises:
        Refusal: DEADLINE_EXCEEDED.
    """
    answer = asyncio.wrap_future(future)
    if caller.deadline is None:
        return await answer
    try:
        return await asyncio.wait_for(answer, caller.deadline - time.monotonic())
    except TimeoutError:
        raise _too_late() from None


def wait_in_time(future: Future[Tensors], caller: Caller) -> Tensors:
    """Return the answer, in a thread that may wait; see ``in_time``."""
    left = None if caller.deadline is None else caller.deadline - time.monotonic()
    try:
        return future.result(left)
    except TimeoutError:
        future.cancel()
        raise _too_late() from None


def _too_late() -> Refusal:
    return Refusal(Code.DEADLINE_EXCEEDED, "The model did not answer within the deadline.")
