"""Menus whose entries come and go while somebody looks at them.

Given new options, a menu of ipywidgets chooses the first and tells its observers so, as if somebody
had chosen it. Those here tell what a person chose, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as ipw


class _Refilled:
    """What a drop-down menu and a list have in common."""

    options: Any
    value: Any
    _filling = False

    def fill(self, options: Sequence[tuple[str, Any]], *wanted: Any) -> None:
        """Offer ``options``, and choose the first of ``wanted`` among them, or nothing.

        Nobody who asked by ``on_choice`` is told. The browser gets one message, or none if all is
        as it was.

        Args:
            options: The label and the value of each.
            wanted: Values, the dearest first.
        """
        offered = [value for _, value in options]
        chosen = next((value for value in wanted if value in offered), None)
        if (tuple(options), chosen) == (tuple(self.options), self.value):
            return
        self._filling = True
        try:
            with self.hold_sync():  # type: ignore[attr-defined]  # of the widget that is mixed in
                self.options = tuple(options)
                self.value = chosen
        finally:
            self._filling = False

    def on_choice(self, tell: Callable[[Any], None]) -> None:
        """Have ``tell`` called with each value that is chosen from now on."""

        def hear(change: Any) -> None:
            if not self._filling:
                tell(change["new"])

        self.observe(hear, "value")  # type: ignore[attr-defined]


class Menu(_Refilled, ipw.Dropdown):  # type: ignore[misc]  # ipywidgets is untyped
    """A drop-down menu that can be filled anew; it is blank while nothing is chosen."""


class ListBox(_Refilled, ipw.Select):  # type: ignore[misc]
    """A list that can be filled anew."""
