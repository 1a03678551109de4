"""A cell that failed, digested: where, on which line, why, what it last said, and how to try again.

The notebook as far as it came is read for it, so that a cell that hung, or whose kernel died, is
found as well as one that raised an exception.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from agiwb.errors import NotebookError

_LOG_LINES = 20
_LONGEST_LINE = 500
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CELL_LINE = re.compile(r"Cell In\[\d+\], line (\d+)")


class FailedCell(BaseModel):
    """Where and why a notebook stopped."""

    model_config = ConfigDict(frozen=True)

    notebook: str
    number: int
    """Of the code cells, as in ``In [3]``; the parameters that were given are a cell as well."""
    line: int | None
    """Of the cell, from 1; None if it is not known."""
    source: str
    """That line, or the cell's first."""
    file_line: int | None
    """Line of the notebook's own file that holds it, from 1."""
    exception: str
    """Name of the exception."""
    message: str
    log: tuple[str, ...]
    """The last lines that the cell printed; if it printed none, that the notebook did."""
    command: str
    """What runs the notebook so again."""

    def sentence(self) -> str:
        """Return where and why, in one line."""
        where = f"Cell {self.number} of {Path(self.notebook).name}"
        line = "" if self.line is None else f", line {self.line},"
        return f"{where}{line} failed (`{self.source}`): {self.exception}: {self.message}"

    def annotation(self, root: Path, title: str) -> str:
        """Return the workflow command by which GitHub shows it beside the notebook's line.

        Args:
            root: The checkout, which GitHub's paths begin in.
            title: What stands above the message.
        """
        path = Path(self.notebook).resolve()
        file = path.relative_to(root) if path.is_relative_to(root) else path
        places = {"file": file.as_posix(), "line": self.file_line or 1, "title": title}
        words = ",".join(f"{name}={_property(str(value))}" for name, value in places.items())
        return f"::error {words}::{_data(self.sentence())}"


class FailedCellError(NotebookError):
    """A cell failed; ``cell`` is its digest, ``executed`` the notebook as far as it came."""

    cell: FailedCell
    executed: Path

    @classmethod
    def of(
        cls, cell: FailedCell, executed: Path, problem: str, advice: str = ""
    ) -> FailedCellError:
        """Return the error that says ``problem`` and how to go on."""
        fix = f"The notebook as far as it came is {executed}. {advice}"
        made = cls(problem, f"{fix}Once mended: `{cell.command}`.")
        made.cell, made.executed = cell, executed
        return made


def digest(
    notebook: Path,
    parameters: dict[str, Any],
    executed: Path,
    exception: str,
    message: str,
    traceback: Sequence[str] = (),
) -> FailedCell:
    """Return what is to be known of the cell at which ``executed`` stopped.

    Args:
        notebook: The notebook as it was given.
        parameters: What was given to it.
        executed: The notebook as far as it came.
        exception: Name of the exception.
        message: What it said.
        traceback: As the kernel showed it.
    """
    number, cell, before = _stopped_at(executed)
    lines = cell.source.splitlines() if cell is not None else []
    found = _CELL_LINE.findall(_COLOUR.sub("", "\n".join(traceback)))
    line = int(found[0]) if found and 0 < int(found[0]) <= len(lines) else None
    source = lines[line - 1] if line else next((each for each in lines if each.strip()), "")
    said = _printed([cell]) if cell is not None else []
    return FailedCell(
        notebook=str(notebook),
        number=number,
        line=line,
        source=source.strip(),
        file_line=_line_in_file(notebook, cell, source),
        exception=exception,
        message=" ".join(_COLOUR.sub("", message).split()),
        log=tuple(said or _printed(before)),
        command=run_command(notebook, parameters),
    )


def run_command(notebook: Path, parameters: dict[str, Any]) -> str:
    """Return the command that runs ``notebook`` with ``parameters``."""
    pairs = "".join(f" -p {name} {shlex.quote(_word(value))}" for name, value in parameters.items())
    return f"agiwb run {shlex.quote(str(notebook))}{pairs}"


def _word(value: Any) -> str:
    """Return a value in the notation in which a command line gives it."""
    return json.dumps(value) if isinstance(value, (list, dict)) else str(value)


def _stopped_at(executed: Path) -> tuple[int, Any, list[Any]]:
    """Return the number of the cell that did not end well, it, and the cells before it."""
    import nbformat

    if not executed.is_file():
        return 0, None, []
    cells = [
        cell for cell in nbformat.read(executed, as_version=4).cells if cell.cell_type == "code"
    ]
    for index, cell in enumerate(cells):
        about = cell.metadata.get("papermill", {})
        if about.get("exception") or about.get("status") in {"running", "failed"}:
            return index + 1, cell, cells[:index]
    return len(cells), None, cells


def _printed(cells: Sequence[Any]) -> list[str]:
    texts = [
        output.text
        for cell in cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    ]
    lines = _COLOUR.sub("", "".join(texts)).rstrip().split("\n")
    # A line that was written over, as by a progress bar, is as it was last seen.
    seen = (line.rstrip().rpartition("\r")[2] for line in lines[-_LOG_LINES:])
    return [line[:_LONGEST_LINE] for line in seen] if lines != [""] else []


def _line_in_file(notebook: Path, cell: Any, source: str) -> int | None:
    """Return the line of the notebook's JSON that holds ``source``, at or after its cell's id."""
    try:
        lines = notebook.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    identity = json.dumps(cell.get("id", "")) if cell is not None else ""
    begins = [number for number, line in enumerate(lines) if identity and identity in line]
    start = begins[0] if begins else 0
    for spelt in (json.dumps(source)[1:-1], json.dumps(source, ensure_ascii=False)[1:-1]):
        for number, line in enumerate(lines[start:], start + 1):
            if spelt and spelt in line:
                return number
    return start + 1 if begins else None


def _data(text: str) -> str:
    """Return ``text`` as the message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Return ``text`` as a property of a workflow command."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
