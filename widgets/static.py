"""What a panel leaves in a notebook that nobody runs: a picture and a table, not dead text."""

from __future__ import annotations

import os
from typing import Any

BATCH = "AGIWB_BATCH"
"""Set where notebooks are run without anybody watching: a panel then shows its static form only."""

_WIDGET = "application/vnd.jupyter.widget-view+json"


class StaticFallback:
    """Mixin of a widget: adds ``static_html()`` to what a notebook stores of it.

    JupyterLab shows the widget while its kernel lives, and the HTML where it cannot. It removes SVG
    and scripts from HTML of notebooks it does not trust: pictures are PNG inside ``<img>``.
    """

    def static_html(self) -> str:
        """Return the panel as HTML for a page without a kernel."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = super()._repr_mimebundle_(**kwargs) or {}  # type: ignore[misc]
        bundle["text/html"] = f'<div class="agiwb">{self.static_html()}</div>'
        if is_batch():
            bundle.pop(_WIDGET, None)
        return bundle


def is_batch() -> bool:
    """Return whether nobody watches this kernel."""
    return os.environ.get(BATCH, "") not in {"", "0"}
