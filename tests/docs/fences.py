"""The code blocks of a Markdown page."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(
    r"^( *)```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A code block: its language, the file it is to be kept as if it says so, and its text."""

    language: str
    title: str
    text: str


def blocks_of(page: str) -> list[Block]:
    """Return the code blocks of a page in their order."""
    return [
        Block(language, title, "\n".join(line.removeprefix(indent) for line in text.split("\n")))
        for indent, language, title, text in _FENCE.findall(page)
    ]


def commands_in(text: str) -> list[str]:
    """Return the lines that begin with a command of agiwb, whole where they go on in the next."""
    lines = text.replace("\\\n", " ").splitlines()
    return [
        match[1].partition("#")[0].split()
        for line in lines
        if (match := re.match(r" *(?:- run: |- )?(?:\.venv/bin/)?agiwb (.*)", line))
    ]
