"""The help of every command, as the command line prints it."""

from __future__ import annotations

import contextlib
import io
import os
from unittest.mock import patch

from prose import cell

from agiwb.cli import COMMAND_ORDER, main
from agiwb.config import describe_field
from agiwb.settings import Settings

_INNER = (
    "datasets add", "keys add", "keys revoke", "labels add", "labels show", "alerts export",
)  # fmt: skip
"""Actions with flags of their own."""

_PREFACE = """What `agiwb COMMAND --help` prints. Exit codes are 0 done, 1 the work failed or a gate
was not passed, 2 the input was wrong, 130 cancelled."""


def command_page() -> str:
    """Return the Markdown of the page on all commands."""
    parts = ["# Commands", _PREFACE]
    for command in COMMAND_ORDER:
        parts.append(f"## {command}")
        inner = [name for name in _INNER if name.split()[0] == command]
        parts += [f"```text\n{help_of(name)}\n```" for name in (command, *inner)]
    return "\n\n".join([*parts, "## Environment", _environment()])


def _environment() -> str:
    rows = [
        f"| `AGIWB_{name.upper()}` | {cell(describe_field(field))} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | meaning |", "| --- | --- |", *rows])


def help_of(command: str) -> str:
    """Return what ``agiwb command --help`` prints."""
    printed = io.StringIO()
    with (
        patch.dict(os.environ, {"COLUMNS": "100"}),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),  # argparse ends the process once it has helped
    ):
        main([*command.split(), "--help"])
    return printed.getvalue().strip()
