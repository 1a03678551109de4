"""Small pieces of HTML that several panels write alike."""

from __future__ import annotations

import re
from html import escape
from pathlib import PurePath
from typing import Any

import ipywidgets as ipw
import traitlets

from widgets.guard import GuardedState

_ID = re.compile(r"\b[0-9a-f]{32}\b")


def row(*children: ipw.Widget) -> ipw.HBox:
    """Return widgets side by side, wrapped where the page is narrow."""
    box = ipw.HBox(children)
    box.add_class("agiwb-row")
    return box


def table(rows: dict[str, str]) -> str:
    """Return a table of facts."""
    cells = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows.items()
    )
    return f"<table>{cells}</table>"


def brief(text: str) -> str:
    """Return words of a run in brief: ids by their first eight letters, files by where they end.

    ``/…/convert/24f3b48f…/artifacts/onnx`` becomes ``24f3b48f/onnx``.
    """
    if text.startswith("/"):
        parts = PurePath(text).parts
        run = [part for part in parts if _ID.fullmatch(part)]
        text = "/".join([*run[-1:], parts[-1]])
    return _ID.sub(lambda found: found[0][:8], text)


def bars(values: list[tuple[str, float]], label: str) -> str:
    """Return shares of 1 as bars with their names and figures: a table, for who cannot see it."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{value:.1%}</td>'
        '<td style="width: 16rem; max-width: 45vw; vertical-align: middle">'
        '<div aria-hidden="true" style="height: .8rem; '
        f'width: {100 * min(max(value, 0), 1):.1f}%; background: var(--jp-brand-color1, #1976d2)">'
        "</div></td></tr>"
        for name, value in values
    )
    return f'<table aria-label="{escape(label)}">{rows}</table>'


def problem_html(text: str, traceback: str = "") -> str:
    """Return what is wrong, with the traceback behind it if there is one; empty if nothing is."""
    if not text:
        return ""
    whole = f"<pre>{escape(traceback)}</pre></details>" if traceback else ""
    opens = "<details><summary>The whole traceback</summary>" if whole else ""
    return f'<p class="agiwb-wrong" role="alert">{escape(text)}</p>{opens}{whole}'


def problem_line(state: GuardedState, name: str = "error") -> ipw.HTML:
    """Return a line that shows what is wrong with a state, while something is."""
    line = ipw.HTML()

    def show(_: Any = None) -> None:
        line.value = problem_html(
            getattr(state, name), state.error_traceback if name == "error" else ""
        )

    state.observe(show, name)
    show()
    return line


def status_line(state: traitlets.HasTraits, *names: str) -> ipw.HTML:
    """Return a line that shows words of a state, and tells them to a screen reader."""
    line = ipw.HTML()

    def show(_: Any = None) -> None:
        said = [text[0].upper() + text[1:] for name in names if (text := getattr(state, name))]
        text = escape(" · ".join(said))
        line.value = f'<p class="agiwb-soft" role="status">{text}</p>' if text else ""

    state.observe(show, list(names))
    show()
    return line
