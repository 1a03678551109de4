"""Notebooks carried out for real: a kernel, papermill, and what is kept of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agiwb import RunConfig, run_notebook
from agiwb.cli import main
from agiwb.errors import NotebookError
from agiwb.history.reproduction import judge, run_again
from agiwb.runs.store import open_store

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def write_notebook(path: Path, *cells: str) -> Path:
    import nbformat

    sources = [nbformat.v4.new_code_cell(source) for source in cells]
    sources[0].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=sources), path)
    return path


def test_a_run_keeps_the_notebook_its_html_and_its_parameters(
    workspace: Path, tmp_path: Path
) -> None:
    import nbformat

    path = write_notebook(
        tmp_path / "n.ipynb",
        "word = 'default'",
        "import os; print(word.upper(), os.getcwd(), os.environ['AGIWB_WORKSPACE'])",
        "from IPython.display import Javascript\ndisplay(Javascript(f'alert({6 * 7})'))",
        "from IPython.display import HTML\n"
        "HTML('<b>kept</b><script src=\"' + 'ht' + 'tps://x.org/a.js\"></script>')",
    )
    record = run_notebook(RunConfig(notebook=path, parameters={"word": "given"}))
    executed = nbformat.read(record.file("executed.ipynb"), as_version=4)
    assert executed.cells[2].outputs[0].text == f"GIVEN {tmp_path} {workspace}\n"
    page = record.file("executed.html").read_text()
    assert "GIVEN" in page
    assert "alert(42)" not in page
    assert "<b>kept</b>" in page
    assert "https://x.org" not in page
    assert '<script src="http' not in page
    assert [file.path for file in record.run.files] == ["executed.html", "executed.ipynb"]


def test_a_step_inside_a_notebook_is_its_result_with_the_notebook_as_parent(
    workspace: Path, tmp_path: Path
) -> None:
    path = write_notebook(
        tmp_path / "n.ipynb",
        "epochs = 1",
        "from agiwb import TrainConfig, train\n"
        "record = train(TrainConfig(architecture='mlp', units=8, epochs=epochs))",
    )
    first = run_notebook(RunConfig(notebook=path))
    trained = open_store().get(first.results["train"])
    assert trained.run.provenance.parents == {"caller": first.run.id}
    second = run_notebook(RunConfig(notebook=path))
    assert second.run.id != first.run.id
    assert second.results == first.results  # the model was not trained again

    job = run_again(first.run.id)
    job.wait()
    made = judge(first.run.id, job)
    assert job.record().results["train"] != first.results["train"]  # type: ignore[attr-defined]
    assert made.verdict in {"identical", "same results"}, made.sentence()
    assert "train test_accuracy" in [one.name for one in made.metrics]


def test_a_failing_cell_is_named_and_the_rest_is_kept(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_notebook(
        tmp_path / "n.ipynb", "a = 1", "print('so far')", "b = a / 0\nprint(b)", "never = 1"
    )
    assert main(["run", str(path), "-p", "a", "2"]) == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "of n.ipynb, line 1, failed (`b = a / 0`)" in message
    assert "ZeroDivisionError: division by zero" in message
    assert f"agiwb run {path} -p a 2" in message
    kept = Path(message.partition("as far as it came is ")[2].partition(" Once")[0].rstrip("."))
    assert "so far" in kept.read_text()
    assert kept.with_suffix(".html").is_file()
    (summary,) = open_store().summaries("run")
    assert summary.state == "failed"


def test_a_wrong_parameter_starts_no_kernel_and_leaves_no_run(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = str(ROOT / "notebooks" / "01_train.ipynb")
    assert main(["run", notebook, "-p", "epoch", "3"]) == 2
    assert "Did you mean `epochs`?" in capsys.readouterr().err
    assert main(["run", notebook, "-p", "epochs", "many"]) == 2
    assert "`epochs` cannot be 'many'" in capsys.readouterr().err
    assert open_store().summaries() == []


def test_a_cell_that_hangs_is_ended(workspace: Path, tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "n.ipynb", "a = 1", "import time; time.sleep(600)")
    with pytest.raises(NotebookError, match=r"A cell of n\.ipynb hung for 2 s"):
        run_notebook(RunConfig(notebook=path, cell_timeout_s=2))
    assert [run.state for run in open_store().summaries()] == ["failed"]


def test_a_gate_that_is_not_passed_in_a_notebook_is_the_runs_problem(
    workspace: Path, tmp_path: Path
) -> None:
    path = write_notebook(
        tmp_path / "n.ipynb",
        "epochs = 1",
        "from agiwb import *\n"
        "train(TrainConfig(architecture='mlp', units=32, epochs=3))\n"
        "convert(ConvertConfig(formats=('onnx',)))\n"
        "evaluate(EvaluateConfig(min_accuracy=1.0))",
    )
    assert main(["run", str(path)]) == 1
    record = open_store().get(open_store().summaries("run")[0].id)
    assert any("accuracy" in problem for problem in record.problems)
