"""Reading and writing large bodies while the event loop answers others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# One thread: parsers hold Python's lock, so that more would not be faster, and the memory that a
# large body takes and a thread's allocator keeps is taken once.
_THREAD = ThreadPoolExecutor(1, thread_name_prefix="bodies")


async def apart(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Return what ``work`` returns, from a thread that does one after the other."""
    return await asyncio.wrap_future(_THREAD.submit(work, *given, **named))
