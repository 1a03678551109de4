"""The demo step: the whole life cycle of a model, through the notebooks, with a report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from agiwb.batch.notebook import RunConfig, RunRecord, run_notebook
from agiwb.config import Config
from agiwb.datasets.registry import DatasetName, load_arrays_of_classes
from agiwb.errors import InputError
from agiwb.models.registry import Architecture
from agiwb.runs.context import Context
from agiwb.runs.events import Event, Listener
from agiwb.runs.record import Record, RunInfo
from agiwb.runs.step import Input, step
from agiwb.serving.prediction_log import PredictionWindow, read_predictions
from agiwb.settings import Settings, project_root

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore

REPORT_FILE = "report.html"
NOTEBOOKS = ("01_train", "02_compress", "03_convert", "04_serve", "05_evaluate", "06_monitor")


class DemoConfig(Config):
    """On which data and model to show the life cycle."""

    dataset: DatasetName = Field("digits", description="Data set; digits needs no network.")
    architecture: Architecture = Field("cnn", description="Model family.")
    epochs: int = Field(12, ge=1, le=10_000, description="Passes over the training data.")
    notebooks: Path | None = Field(
        None, description="Folder of the notebooks; by default notebooks/ of this checkout."
    )


class DemoRecord(Record):
    """The life cycle carried out: the run of each step, and the report on them."""

    config: DemoConfig
    runs: dict[str, str]
    report: Path


def _inputs(config: DemoConfig, store: RunStore) -> dict[str, Input]:
    missing = [name for name in NOTEBOOKS if not _notebook(config, name).is_file()]
    if missing:
        raise InputError(
            f"The notebooks {', '.join(missing)} are not in {_notebook(config, '').parent}.",
            "Run this in agiwb's checkout, or give its `notebooks` folder.",
        )
    return {"dataset": Input(load_arrays_of_classes(config.dataset, "The demo").fingerprint)}


@step("demo", inputs=_inputs, reusable=False)
def demo(config: DemoConfig, context: Context) -> DemoRecord:
    """Return the record of the six notebooks, each run on the result of the one before.

    Raises:
        NotebookError: A cell failed.
    """
    from agiwb.reporting.lifecycle import LifeCycle, write_report

    runs: dict[str, str] = {}
    problems: list[str] = []
    served: PredictionWindow | None = None
    for position, name in enumerate(NOTEBOOKS, start=1):
        started_at = time.monotonic()
        parameters = _parameters(name, config, runs, context)
        record = run_notebook(
            RunConfig(notebook=_notebook(config, name), parameters=parameters),
            listener=_cells_of(name, context),
            cancelled=context.cancelled,
        )
        runs |= record.results
        problems += record.problems
        if name == "04_serve":
            served = _served_during(record.run, context.store.get(runs["convert"]))
        seconds = time.monotonic() - started_at
        context.say(f"{position} of {len(NOTEBOOKS)}  {name:<12} {seconds:5.1f} s  "
                    f"{_outcome(record, context)}")  # fmt: skip
    cycle = LifeCycle.of([context.store.get(run_id) for run_id in runs.values()], served)
    write_report(cycle, context.files / REPORT_FILE)
    report = context.run.folder / REPORT_FILE
    context.say(f"The report: {report}")
    return DemoRecord(
        run=context.run, config=config, problems=tuple(problems), runs=runs, report=report
    )


def _parameters(
    name: str, config: DemoConfig, runs: dict[str, str], context: Context
) -> dict[str, Any]:
    """Return a notebook's parameters: the config's for the first, else the result before it."""
    if name == "01_train":
        return config.model_dump(include={"dataset", "architecture", "epochs"})
    if name == "02_compress":
        return {"model": runs["train"]}
    if name == "03_convert":
        chosen = getattr(context.store.get(runs["sweep"]), "chosen", None)
        return {"model": f"{runs['sweep']}:{chosen}" if chosen else runs["train"]}
    return {"model": runs["convert"]}


def _cells_of(notebook: str, context: Context) -> Listener:
    """Return a listener that tells only how far a notebook's cells have come."""

    def tell(event: Event) -> None:
        if event.done is not None and event.total is not None:
            context.progress(notebook, event.done, event.total)

    return tell


def _outcome(record: RunRecord, context: Context) -> str:
    """Return which results the notebook made, and which it found unchanged and took again."""
    words = []
    for name, run_id in record.results.items():
        is_old = context.store.get(run_id).run.started_at < record.run.started_at
        words.append(f"{name}: {'unchanged, used again' if is_old else 'done'}")
    return ", ".join(words) or "done"


def _served_during(run: RunInfo, converted: Record) -> PredictionWindow | None:
    """Return what the server of the run's notebook answered, as its log has it."""
    name = getattr(converted, "model_name", "")
    log = read_predictions(Settings().workspace_path / "predictions" / name)
    finished_at = run.finished_at or run.started_at
    window = log.between(run.started_at.timestamp(), finished_at.timestamp())
    return window if len(window) else None


def _notebook(config: DemoConfig, name: str) -> Path:
    folder = config.notebooks or project_root() / "notebooks"
    return folder / f"{name}.ipynb"
