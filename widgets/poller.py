"""One thread in a kernel that looks at what other processes write, for all panels together.

Nothing tells a kernel that a job has gone on: somebody has to look. A thread for each panel would
cost more with each that is opened; this one looks at everything that is watched, three times a
second, and ends when nothing is.
"""

from __future__ import annotations

import itertools
import logging
import threading
import weakref
from typing import Protocol

from widgets.guard import GuardedState

_PAUSE_S = 0.33


class Watched(Protocol):
    """Something that looks at the world when told to.

    ``look`` is called from the poller's thread, sets traits only where something has changed, and
    returns whether it is to be called again.
    """

    def look(self) -> bool: ...


_lock = threading.Lock()
_watched: weakref.WeakKeyDictionary[Watched, int] = weakref.WeakKeyDictionary()
_failing: weakref.WeakSet[Watched] = weakref.WeakSet()
"""What has raised at its last look, which is logged once, and shown until a look succeeds."""
_asked = itertools.count()
_thread: threading.Thread | None = None


def watch(one: Watched) -> None:
    """Have ``one`` look about three times a second until it says no or nobody holds it."""
    global _thread  # noqa: PLW0603  one thread in a kernel is the point
    with _lock:
        _watched[one] = next(_asked)
        if _thread is None:
            _thread = threading.Thread(target=_poll, name="agiwb-poller", daemon=True)
            _thread.start()


def _looks_on(one: Watched) -> bool:
    """Have it look, and return whether it is to look again; what fails may succeed then."""
    try:
        again = one.look()
    except Exception as error:
        if one not in _failing:
            logging.getLogger("agiwb").exception("A panel could not be brought up to date.")
        _failing.add(one)
        if isinstance(one, GuardedState):
            one.show_error(error)
        return True
    if one in _failing:
        _failing.discard(one)
        if isinstance(one, GuardedState):
            one.error = ""
    return again


def _poll() -> None:
    global _thread  # noqa: PLW0603
    waiting = threading.Event()
    while True:
        with _lock:
            found = list(_watched.items())
            if not found:
                _thread = None
                return
        for one, asked in found:
            if not _looks_on(one):
                with _lock:
                    if _watched.get(one) == asked:  # nobody has asked anew meanwhile
                        del _watched[one]
            del one
        del found
        waiting.wait(_PAUSE_S)
