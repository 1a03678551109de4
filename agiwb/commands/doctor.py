"""``agiwb doctor``: what is installed and what is missing."""

from __future__ import annotations

from agiwb.doctor import examine
from agiwb.flags import Parser


def run(words: list[str], summary: str) -> int:
    """Examine this machine."""
    Parser(prog="agiwb doctor", description=summary).parse_args(words)
    return examine()
