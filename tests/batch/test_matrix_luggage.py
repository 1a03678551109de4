"""A notebook that travels to another machine, and its runs, which come back."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from agiwb.batch.matrix_entry import Attempt, Order, carry_out
from agiwb.batch.matrix_luggage import NotebookLuggage
from agiwb.batch.nbformat_quickly import import_nbformat
from agiwb.batch.notebook import RunConfig, run_notebook
from agiwb.crews.crew import Returned
from agiwb.runs.execute import cache_key, origin
from agiwb.runs.store import open_store

nbformat = import_nbformat()

pytestmark = pytest.mark.slow


class Quiet:
    """A line that nobody is at the end of."""

    def tell(self, what: object) -> None:
        """Say nothing."""

    def ask(self, what: object) -> None:
        """Ask nothing."""

    def tick(self) -> None:
        """Go on."""


@pytest.mark.parametrize("store", [None, "store"])
def test_a_run_comes_back_and_is_known(
    store: str | None, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if store is not None:
        monkeypatch.setenv("AGIWB_ARTIFACTS", (tmp_path / store).as_uri())
    path = write_notebook(tmp_path / "here" / "n.ipynb", "n = 1", "print('done', n)")
    config = RunConfig(notebook=path, parameters={"n": 2})
    order = Order(config, workspace, "0" * 32)
    luggage = NotebookLuggage.of(order, tmp_path / "brought")

    there = tmp_path / "there"
    monkeypatch.setenv("AGIWB_WORKSPACE", str(there))
    arrived = pickle.loads(pickle.dumps(luggage)).arrive(tmp_path / "scratch", 1)  # noqa: S301  ours
    assert arrived.workspace == there
    assert not arrived.config.notebook.is_relative_to(path.parent)
    ending = Returned(0, carry_out(arrived, Quiet()))
    brought = pickle.dumps((ending, luggage.send_back(arrived, ending)))

    monkeypatch.setenv("AGIWB_WORKSPACE", str(workspace))
    monkeypatch.delenv("AGIWB_PARENT_RUN")
    told = luggage.unpack(*pickle.loads(brought))  # noqa: S301  ours
    assert isinstance(told, Returned)
    attempt: Attempt = told.value
    assert attempt.run_id is not None
    record = open_store().get(attempt.run_id)
    assert record.run.folder.is_relative_to(workspace)
    assert "done 2" in record.file("executed.ipynb").read_text("utf-8")
    key = cache_key("run", config, origin(run_notebook, config, open_store()))
    known = open_store().known(key)
    assert known is not None
    assert known.run.id == attempt.run_id


def test_a_failed_notebook_comes_back_as_far_as_it_came(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write_notebook(tmp_path / "n.ipynb", "n = 1", "raise ValueError(n)")
    order = Order(RunConfig(notebook=path), workspace, "0" * 32)
    luggage = NotebookLuggage.of(order, tmp_path / "brought")
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path / "there"))
    arrived = luggage.arrive(tmp_path / "scratch", 1)
    ending = Returned(0, carry_out(arrived, Quiet()))
    brought = luggage.send_back(arrived, ending)
    monkeypatch.setenv("AGIWB_WORKSPACE", str(workspace))
    told = luggage.unpack(ending, brought)
    assert isinstance(told, Returned)
    attempt: Attempt = told.value
    assert attempt.cell is not None
    assert attempt.executed is not None
    assert attempt.executed.is_relative_to(tmp_path / "brought")
    assert "ValueError" in attempt.executed.read_text("utf-8")
    assert attempt.executed.with_name("executed.html").is_file()


def test_a_worker_with_the_same_workspace_works_in_it(workspace: Path, tmp_path: Path):
    path = write_notebook(tmp_path / "n.ipynb", "n = 1")
    made = run_notebook(RunConfig(notebook=path), listener=lambda _event: None)
    order = Order(RunConfig(notebook=path), workspace, made.run.id)
    luggage = NotebookLuggage.of(order, tmp_path / "brought")
    assert luggage.arrive(tmp_path / "scratch", 1) == order
    assert luggage.send_back(order, Returned(0, Attempt(made.run.id))) is None


def write_notebook(path: Path, *cells: str) -> Path:
    sources = [nbformat.v4.new_code_cell(source) for source in cells]
    sources[0].metadata["tags"] = ["parameters"]
    path.parent.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=sources), path)
    return path
