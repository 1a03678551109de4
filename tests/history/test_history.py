"""The history of a real workspace: read without its database, traced and tidied."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agiwb.config import Config
from agiwb.errors import InputError, NotFoundError
from agiwb.history.entries import filtered, read_history
from agiwb.history.lineage import lineage
from agiwb.history.tidying import delete, note, pin, restore
from agiwb.runs.context import Context
from agiwb.runs.record import Record
from agiwb.runs.registry import STEPS, StepEntry
from agiwb.runs.step import Input, step
from agiwb.runs.store import RunStore, open_store
from agiwb.settings import Settings

pytestmark = pytest.mark.slow


class Made(Config):
    number: int = 0
    source: str | None = None


class MadeRecord(Record):
    config: Made


def _inputs(config: Made, store: RunStore) -> dict[str, Input]:
    return {"model": Input(config.source, config.source)} if config.source else {}


@step("make", inputs=_inputs)
def make(config: Made, context: Context) -> MadeRecord:
    """Return a record with one figure."""
    (context.files / "number.txt").write_text(str(config.number))
    return MadeRecord(run=context.run, config=config, metrics={"test_number": float(config.number)})


@pytest.fixture
def chain(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setitem(STEPS, "make", StepEntry(f"{__name__}:make", "Make a record."))
    first = make(Made(number=1)).run.id
    second = make(Made(number=2, source=first)).run.id
    other = make(Made(number=3)).run.id
    return [first, second, other]


def test_the_history_is_read_without_mlflow(chain: list[str]) -> None:
    listed = read_history()
    assert [entry.id for entry in listed] == chain[::-1]
    assert listed[0].metrics == {"test_number": 3.0}
    assert {entry.id for entry in listed} == {run.id for run in open_store().summaries()}
    code = "import sys; from agiwb.history.entries import read_history; print(len(read_history()))"
    code += "; sys.exit('mlflow' in sys.modules or 'tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "3"


def test_pinned_runs_come_first_and_notes_are_found(chain: list[str]) -> None:
    pin(chain[0][:8])
    note(chain[1], "  the good one ")
    listed = read_history()
    assert [entry.id for entry in listed] == [chain[0], chain[2], chain[1]]
    assert [entry.id for entry in filtered(listed, text="GOOD one")] == [chain[1]]
    assert filtered(listed, step="convert") == []
    assert filtered(listed, state="finished", text="nothing like it") == []


def test_the_lineage_has_what_leads_to_a_run_and_from_it(chain: list[str]) -> None:
    first, second, other = chain
    found = lineage(first, read_history())
    assert list(found.entries) == [first, second]
    assert found.edges == ((first, second, "model"),)
    assert list(lineage(other, read_history()).entries) == [other]


def test_a_deleted_run_is_out_of_sight_and_comes_back_whole(chain: list[str]) -> None:
    first, second, other = chain
    with pytest.raises(InputError, match="1 runs were made from its result"):
        delete(first)
    pin(second)
    with pytest.raises(InputError, match="pinned"):
        delete(second)
    record = open_store().get(other)
    assert delete(other[:8]) == other
    assert other not in [entry.id for entry in read_history()]
    assert other not in [run.id for run in open_store().summaries()]
    with pytest.raises(NotFoundError):
        open_store().get(other)
    assert [entry.id for entry in read_history(deleted=True)] == [other]
    assert make(Made(number=3)).reused is False  # what is deleted is no known result

    restore(other)
    assert open_store().get(other) == record
    assert record.file("number.txt").read_text() == "3"
    assert Settings().workspace_path in record.run.folder.parents
