"""Docstrings and help texts as Markdown."""

from __future__ import annotations

import html
import inspect
import re

_SECTIONS = ("Args:", "Returns:", "Raises:", "Yields:", "Attributes:")
_CODE = re.compile(r"(``.+?``|`[^`]+`)", re.DOTALL)
_ITEM = re.compile(r"(\*{0,2}\w+): (.*)", re.DOTALL)


def escaped(text: str) -> str:
    """Return text whose ``<``, ``|`` and ``*`` mean themselves in Markdown, its code untouched."""
    parts = _CODE.split(text)
    parts[::2] = [
        html.escape(part, quote=False).replace("*", "\\*").replace("|", "\\|")
        for part in parts[::2]
    ]
    return "".join(parts)


def cell(text: str) -> str:
    """Return text as one cell of a table."""
    return " ".join(escaped(text).replace("|", "\\|").replace("\\\\|", "\\|").split())


def docstring_of(thing: object) -> str:
    """Return a docstring as Markdown: Google's sections become lists."""
    blocks = re.split(r"\n\s*\n", inspect.cleandoc(getattr(thing, "__doc__", None) or ""))
    return "\n\n".join(_section(block) for block in blocks if block)


def first_line(thing: object) -> str:
    """Return what a docstring begins with."""
    return docstring_of(thing).partition("\n\n")[0]


def _section(block: str) -> str:
    heading, _, body = block.partition("\n")
    if heading not in _SECTIONS:
        return escaped(block)
    lines = inspect.cleandoc(body)
    items = re.split(r"\n(?=\S)", lines)
    return "\n".join([f"**{heading.rstrip(':')}**", "", *(f"- {_item(item)}" for item in items)])


def _item(item: str) -> str:
    text = " ".join(item.split())
    named = _ITEM.fullmatch(text)
    return f"`{named[1]}`: {escaped(named[2])}" if named else escaped(text)
