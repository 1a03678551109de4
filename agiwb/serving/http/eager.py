"""Coroutines that are run at once as far as they get, and as a task only if they must wait."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


def start(
    coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop
) -> tuple[T | None, asyncio.Task[T] | None]:
    """Run ``coroutine`` up to its first wait; return its result, or the task that goes on with it.

    A task costs several microseconds and a turn of the loop, as much as all the rest of a small
    request. The price: up to its first wait the coroutine has no current task, so that it cannot
    enter ``asyncio.timeout`` or a ``TaskGroup`` there (``asyncio.wait_for`` works). Python 3.12
    has eager tasks, without this price.

    Raises:
        Exception: Whatever the coroutine raises before it waits.
    """
    try:
        waited_for = coroutine.send(None)
    except StopIteration as end:
        return end.value, None
    return None, loop.create_task(_go_on(coroutine, waited_for))


async def _go_on(coroutine: Coroutine[Any, Any, T], waited_for: Any) -> T:
    return await _drive(coroutine, waited_for)


@types.coroutine
def _drive(coroutine: Coroutine[Any, Any, T], waited_for: Any) -> Generator[Any, Any, T]:
    """Hand what ``coroutine`` waits for to the task around this, and what comes of it back."""
    while True:
        try:
            try:
                value = yield waited_for
            except BaseException as error:  # noqa: BLE001 - CancelledError too is the coroutine's
                waited_for = coroutine.throw(error)
            else:
                waited_for = coroutine.send(value)
        except StopIteration as end:
            result: T = end.value
            return result
