"""The digest of a cell that failed, and what GitHub is told of it."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

from agiwb.batch.failed_cell import FailedCellError, digest, run_command
from agiwb.batch.nbformat_quickly import import_nbformat

nbformat = import_nbformat()


def stopped(folder: Path, status: str, *said: str) -> tuple[Path, Path]:
    """Return a notebook, and the same as if it had been run until its second cell."""
    cells = [nbformat.v4.new_code_cell("a = 1"), nbformat.v4.new_code_cell("b = 2\nb / 0  # 0 % ü")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    given, executed = folder / "my notebook.ipynb", folder / "executed.ipynb"
    nbformat.write(notebook, given)
    cells[1].metadata["papermill"] = {"status": status, "exception": status == "failed"}
    cells[1].outputs = [nbformat.v4.new_output("stream", text=text) for text in said]
    nbformat.write(notebook, executed)
    return given, executed


def test_the_line_that_failed_is_found_in_the_cell_and_in_the_file(tmp_path: Path) -> None:
    notebook, executed = stopped(tmp_path, "failed", "\x1b[31mred\x1b[0m\n", "1%\r50%\r100%\n")
    trace = ["\x1b[31mZeroDivisionError\x1b[39m", "Cell \x1b[32mIn[2], line 2\x1b[39m"]
    cell = digest(notebook, {"a": 3}, executed, "ZeroDivisionError", "division\nby zero", trace)
    assert (cell.number, cell.line, cell.source) == (2, 2, "b / 0  # 0 % ü")
    assert cell.message == "division by zero"
    assert cell.log == ("red", "100%")
    assert cell.file_line is not None
    line = notebook.read_text("utf-8").splitlines()[cell.file_line - 1]
    assert json.loads(line.strip().rstrip(",")) == "b / 0  # 0 % ü"
    assert cell.command == f"agiwb run '{notebook}' -p a 3"
    told = cell.annotation(tmp_path, "n (a=3, b: 4)")
    assert told.startswith(
        f"::error file=my notebook.ipynb,line={cell.file_line},title=n (a=3%2C b%3A 4)::"
    )
    assert "(`b / 0  # 0 %25 ü`): ZeroDivisionError" in told


def test_a_cell_that_hung_is_found_by_its_state(tmp_path: Path) -> None:
    notebook, executed = stopped(tmp_path, "running")
    cell = digest(notebook, {}, executed, "CellTimeoutError", "It hung.")
    assert (cell.number, cell.line, cell.source) == (2, None, "b = 2")


def test_a_notebook_that_never_began_has_a_digest(tmp_path: Path) -> None:
    missing = tmp_path / "no.ipynb"
    cell = digest(missing, {}, missing, "DeadKernelError", "The kernel died.")
    assert (cell.number, cell.source, cell.file_line, cell.log) == (0, "", None, ())


def test_only_the_last_lines_are_kept(tmp_path: Path) -> None:
    notebook, executed = stopped(tmp_path, "failed", "".join(f"{n}\n" for n in range(100)))
    cell = digest(notebook, {}, executed, "Error", "")
    assert cell.log == tuple(map(str, range(80, 100)))


def test_the_command_gives_back_the_same_parameters() -> None:
    from agiwb import RunConfig
    from agiwb.config import values_of_pairs
    from agiwb.flags import notebook_words

    parameters = {"word": "it's", "n": 3, "x": 0.5, "on": True, "list": ["a", 1], "none": None}
    import shlex

    words = shlex.split(run_command(Path("a b.ipynb"), parameters))
    assert words[:2] == ["agiwb", "run"]
    flags = notebook_words(words[2:])
    assert flags[:2] == ["--notebook", "a b.ipynb"]
    assert values_of_pairs(flags[3:]) == parameters
    assert RunConfig(notebook="a b.ipynb", parameters=flags[3:]).parameters == parameters


def test_the_error_travels_between_processes(tmp_path: Path) -> None:
    notebook, executed = stopped(tmp_path, "failed")
    cell = digest(notebook, {}, executed, "Error", "why")
    error = FailedCellError.of(cell, executed, cell.sentence())
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  our own
    assert (again.cell, again.executed, str(again)) == (cell, executed, str(error))
