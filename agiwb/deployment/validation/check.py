"""One thing that was checked, by which tool, and what it said."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

_TIMEOUT_S = 120
_LONGEST_MESSAGE = 2000

State = Literal["passed", "failed", "not run"]


class Check(BaseModel):
    """One check.

    Attributes:
        subject: What was checked, as a path in the bundle or in words.
        tool: The tool with its version.
        state: ``not run`` if the tool is missing or cannot work here: never counted as passed.
        message: The tool's own words if it failed; why, and what to do, if it was not run.
    """

    model_config = ConfigDict(frozen=True)

    subject: str
    tool: str
    state: State
    message: str = ""

    def sentence(self) -> str:
        """Return the check in a line, and what the tool said below it."""
        end = f": {self.message}" if self.message else ""
        return f"{self.subject}: {self.state} ({self.tool}){end}"


def not_run(subject: str, tool: str, why: str) -> Check:
    """Return a check that could not be made, and what would make it possible."""
    return Check(subject=subject, tool=tool, state="not run", message=why)


def verdict(subject: str, tool: str, problems: Sequence[str]) -> Check:
    """Return a check that was made; it passed if there are no problems."""
    message = "\n".join(problems)[:_LONGEST_MESSAGE]
    return Check(
        subject=subject, tool=tool, state="failed" if problems else "passed", message=message
    )


def find_program(name: str) -> str | None:
    """Return the path of a program beside this interpreter, else on the PATH."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.is_file() else shutil.which(name)


def run_program(
    subject: str, words: Sequence[str], *, folder: Path, install: str, version: str = "--version"
) -> Check:
    """Return what the program ``words[0]`` says of ``subject``; exit code 0 is passed.

    Args:
        subject: See Check.
        words: The command.
        folder: Where it runs.
        install: How one gets the program.
        version: The argument that makes it tell its version.
    """
    program = find_program(words[0])
    if program is None:
        return not_run(subject, words[0], f"install {install}")
    tool = f"{words[0]} {_version_of(program, version)}"
    try:
        done = subprocess.run(
            [program, *words[1:]],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return verdict(subject, tool, [f"it did not finish: {error}"])
    said = (done.stdout + done.stderr).strip() or f"exit code {done.returncode}"
    return verdict(subject, tool, [said] if done.returncode else [])


@functools.cache
def _version_of(program: str, argument: str) -> str:
    """Return the first word of what the program says of itself that is a version."""
    done = subprocess.run(
        [program, argument], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    words = (done.stdout + done.stderr).replace(",", " ").split()
    return next((word for word in words if word[:1].isdigit() and "." in word), "")
