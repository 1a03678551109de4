"""The commands that the pages show are agiwb's, with the flags they have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agiwb.cli import COMMAND_ORDER
from tests.docs.fences import blocks_of, commands_in

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture(scope="module")
def help_of() -> Iterator[Callable[[str], str]]:
    """What the reference shows of a command, or of one of its actions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs" / "hooks"))
        from commands import help_of

        yield help_of


def shown_commands(page: Path) -> list[list[str]]:
    return [
        words
        for block in blocks_of(page.read_text("utf-8"))
        if block.language in {"", "bash", "text"}
        for words in commands_in(block.text)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_command_on_a_page_has_the_flags_it_is_given(
    page: Path, help_of: Callable[[str], str]
) -> None:
    shown = shown_commands(page)
    if page.stem in {"README", "tutorial", "ci", "operate"}:
        assert len(shown) > 3
    for words in shown:
        assert words[0] in COMMAND_ORDER, words
        action = f"{words[0]} {words[1]}" if words[1:2] == ["add"] else words[0]
        text = help_of(action)
        for word in words:
            if word.startswith("--"):
                flag = word.partition("=")[0].replace("_", "-")
                assert re.search(rf"(?<![\w-]){flag}(?![\w-])", text), f"{words}: {flag}"


def test_the_lines_of_a_block_are_told_apart() -> None:
    indented = "1. A list:\n\n   ```bash\n   agiwb runs  # all\n   ```\n\n"
    first, second = blocks_of(indented + '```python title="ask.py"\nx = 1\n```\n')
    assert (first.language, first.text) == ("bash", "agiwb runs  # all\n")
    assert (second.title, second.text) == ("ask.py", "x = 1\n")
    assert commands_in("agiwb serve \\\n  --grpc # why\nmake demo\n") == [["serve", "--grpc"]]
