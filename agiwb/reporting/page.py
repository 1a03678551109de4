"""Sections as HTML: for the one-page report, and for a panel that shows the same."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


@dataclass(frozen=True)
class Section:
    """One part of the page: a sentence first, then a picture, then figures."""

    title: str
    sentence: str
    picture: str = ""
    """HTML, put into the page as it is."""
    table: str = ""
    """HTML, put into the page as it is."""
    passed: bool = True
    details: tuple[str, ...] = ()
    """Further sentences, one a line."""


@functools.cache
def templates() -> Environment:
    """Return the templates of this package; everything put into them is escaped."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    environment = Environment(
        loader=PackageLoader("agiwb.reporting"), autoescape=select_autoescape(), trim_blocks=True
    )
    environment.filters["code"] = _with_code
    return environment


def _with_code(sentence: str) -> Markup:
    """Return a sentence as HTML, what stands between backticks in it as code."""
    from markupsafe import Markup, escape

    parts = enumerate(sentence.split("`"))
    marked = (f"<code>{escape(part)}</code>" if n % 2 else str(escape(part)) for n, part in parts)
    return Markup("".join(marked))  # noqa: S704  each part is escaped


def render(name: str, **values: Any) -> str:
    """Return the template ``name`` filled with ``values``."""
    return templates().get_template(name).render(**values)


def sections_html(sections: list[Section]) -> str:
    """Return the sections alone, to be placed inside a page that has its own frame."""
    return render("sections.html", sections=sections)


def page_style() -> str:
    """Return the style sheet, which touches only what is inside the class ``agiwb-page``."""
    return render("page.css")


def framed(sections: list[Section]) -> str:
    """Return sections with their style sheet, which touches nothing else on the page."""
    return f'<div class="agiwb-page"><style>{page_style()}</style>{sections_html(sections)}</div>'
