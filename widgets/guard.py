"""A guard for widget callbacks: nothing a callback raises may vanish.

In Voila an exception in a callback appears nowhere: not in the page, not in the browser's console,
not in the server's log. Every callback therefore goes through ``guarded``.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from typing import Any

import traitlets

from agiwb.errors import AgiwbError

STRICT = "AGIWB_STRICT"
"""Set in tests: the guard then also raises again what it caught."""


class GuardedState(traitlets.HasTraits):
    """A panel's state; ``error`` is shown by its view, empty if all is well."""

    error = traitlets.Unicode("")


def guarded(method: Callable[..., None]) -> Callable[..., None]:
    """Return a method of a GuardedState that shows what it raises instead of losing it.

    An AgiwbError says itself what to do; anything else is a bug, and logged with its traceback.
    """

    @functools.wraps(method)
    def call(self: GuardedState, *arguments: Any, **named: Any) -> None:
        self.error = ""
        try:
            method(self, *arguments, **named)
        except Exception as error:
            expected = isinstance(error, AgiwbError)
            if not expected:
                logging.getLogger("agiwb").exception("A panel's callback failed.")
            self.error = str(error) if expected else repr(error)
            if os.environ.get(STRICT):
                raise

    return call
