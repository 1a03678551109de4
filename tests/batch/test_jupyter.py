"""JupyterLab as agiwb starts it: its notebooks, the page it opens on, and the kernel it has."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agiwb.batch.jupyter import DATA, folder_of, jupyter_path, own_folder

ROOT = Path(__file__).resolve().parents[2]


def test_outside_a_checkout_what_agiwb_brought_along_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = sorted(path.name for path in (ROOT / "reports").glob("*.ipynb"))
    assert sorted(path.name for path in folder_of("reports").glob("*.ipynb")) == names
    assert list(tmp_path.iterdir()) == []

    own = own_folder("reports")
    assert own == tmp_path / "reports"
    assert sorted(path.name for path in own.iterdir()) == names
    assert str(own) in capsys.readouterr().err
    (own / "mine.ipynb").write_text("{}")
    assert own_folder("reports") == folder_of("reports") == own
    assert (own / "mine.ipynb").read_text() == "{}"


def test_in_a_checkout_its_own_folders_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "docs")
    assert folder_of("notebooks") == ROOT / "notebooks"


def test_the_start_page_leads_to_every_notebook() -> None:
    page = (ROOT / "notebooks" / "start.md").read_text("utf-8")
    linked = {(ROOT / "notebooks" / link).resolve() for link in re.findall(r"\]\(([^)]+)\)", page)}
    assert [path for path in linked if not path.is_file()] == []
    there = {*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "reports").glob("*.ipynb")}
    assert there == linked


def test_in_its_terminals_agiwb_is_the_one_that_was_started(tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text(
        "import jsonschema, json, os, sys\n"
        "grammar = 'rfc3987_syntax' in sys.modules\n"
        "print(json.dumps([os.environ['PATH'], __name__, sys.argv, grammar]))\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", "from agiwb.batch.jupyter import become; become(['told', '--all'])"],
        env={**os.environ, "PATH": "/usr/bin", "PYTHONPATH": path},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    programs = f"{Path(sys.executable).parent}{os.pathsep}/usr/bin"
    words = [str(tmp_path / "told.py"), "--all"]
    assert json.loads(done.stdout) == [programs, "__main__", words, False]


@pytest.mark.slow
def test_the_kernel_is_this_python_without_tensorflow(tmp_path: Path) -> None:
    code = (
        "import json, sys\n"
        "from jupyter_client.manager import start_new_kernel\n"
        "manager, client = start_new_kernel(kernel_name='agiwb')\n"
        "said = []\n"
        "client.execute_interactive(\n"
        "    \"import sys; print(sys.executable, 'tensorflow' in sys.modules)\",\n"
        "    output_hook=lambda one: said.append(one['content'].get('text', '')), timeout=60)\n"
        "manager.shutdown_kernel(now=True)\n"
        "print(json.dumps(''.join(said)))\n"
    )
    environment = {**os.environ, "JUPYTER_PATH": jupyter_path(), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == f"{sys.executable} False\n"
    assert json.loads((DATA / "kernels/agiwb/kernel.json").read_text())["argv"][0] == "python"
