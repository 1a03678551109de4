"""A guard for widget callbacks: nothing a callback raises may vanish.

In Voila an exception in a callback appears nowhere: not in the page, not in the browser's console,
not in the server's log. Every callback therefore goes through ``guarded`` or ``showing_errors``.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import traitlets

from agiwb.errors import AgiwbError

STRICT = "AGIWB_STRICT"
"""Set in tests: the guard then also raises again what it caught."""


class GuardedState(traitlets.HasTraits):
    """A panel's state; ``error`` is shown by its view, empty if all is well."""

    error = traitlets.Unicode("")
    error_traceback = traitlets.Unicode("", help="The whole traceback of an error that is a bug")

    def show_error(self, error: Exception) -> None:
        """Show an error: an AgiwbError says itself what to do; of a bug all is shown."""
        is_bug = not isinstance(error, AgiwbError)
        self.error_traceback = "".join(traceback.format_exception(error)) if is_bug else ""
        self.error = repr(error) if is_bug else str(error)

    @contextlib.contextmanager
    def showing_errors(self) -> Iterator[None]:
        """Show what is raised inside instead of losing it, and no longer what was shown before."""
        self.error = ""
        try:
            yield
        except Exception as error:
            if not isinstance(error, AgiwbError):
                logging.getLogger("agiwb").exception("A panel's callback failed.")
            self.show_error(error)
            if os.environ.get(STRICT):
                raise


def guarded(method: Callable[..., None]) -> Callable[..., None]:
    """Return a method of a GuardedState that shows what it raises instead of losing it."""

    @functools.wraps(method)
    def call(self: GuardedState, *arguments: Any, **named: Any) -> None:
        with self.showing_errors():
            method(self, *arguments, **named)

    return call
