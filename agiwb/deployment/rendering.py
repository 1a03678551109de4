"""The bundle's templates, filled in.

Their delimiters are ``<< >>``, ``<% %>`` and ``<# #>``: Prometheus and Grafana use braces.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


@functools.cache
def templates() -> Environment:
    """Return the templates; a value that is missing is an error, never an empty string."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("agiwb.deployment"),
        autoescape=False,  # noqa: S701  YAML, Dockerfiles and Markdown; no HTML
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    environment.filters["sizes"] = _sizes
    return environment


def render(name: str, /, **values: Any) -> str:
    """Return the template ``name`` filled with ``values``."""
    return templates().get_template(name).render(**values)


def _sizes(shape: Iterable[int | None]) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"
