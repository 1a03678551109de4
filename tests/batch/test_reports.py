"""The options of the reports' server: ours, unless the user gives them."""

from __future__ import annotations

import json

import pytest

from agiwb.batch import jupyter
from agiwb.batch.jupyter import folder_of
from agiwb.batch.reports import voila_options
from agiwb.cli import main


def test_only_who_has_the_token_on_this_machine_sees_the_reports() -> None:
    ours = voila_options()
    assert "--Voila.ip=127.0.0.1" in ours
    assert "--Voila.auto_token=True" in ours
    assert "--strip_sources=True" in ours
    assert "--preheat_kernel=True" in ours


@pytest.mark.parametrize(
    ("given", "left_out"),
    [
        ("--Voila.ip=0.0.0.0", "--Voila.ip"),
        ("--VoilaConfiguration.preheat_kernel=False", "--preheat_kernel"),
        ("--cull_idle_timeout=5", "--MappingKernelManager.cull_idle_timeout"),
    ],
)
def test_what_the_user_gives_is_not_given_twice(given: str, left_out: str) -> None:
    names = [option.partition("=")[0] for option in voila_options([given, "--port=1"])]
    assert left_out not in names
    assert len(names) == len(voila_options()) - 1


@pytest.mark.parametrize(
    "words", [["--static"], ["--static="], ["--static=a", "b"], ["b", "--static=a"]]
)
def test_static_takes_one_folder(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["publish", *words]) == 2
    assert "takes a folder" in capsys.readouterr().err


def test_the_list_of_reports_says_what_each_report_says_of_itself() -> None:
    listed = (jupyter.DATA / "voila/templates/agiwb/tree.html").read_text("utf-8")
    for path in folder_of("reports").glob("*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        heading, _, words = "".join(cells[0]["source"]).partition("\n\n")
        sentence = f"{words.partition('. ')[0].rstrip('.')}."
        assert f'"{path.stem}": ["{heading.removeprefix("# ")}", "{sentence}"]' in listed
