"""The matrix step: notebooks run with every combination of parameters, several at once."""

from __future__ import annotations

import functools
import shutil
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agiwb.batch.matrix_cache import NotebookCache
from agiwb.batch.matrix_config import MatrixConfig
from agiwb.batch.matrix_drive import Driver
from agiwb.batch.matrix_entry import get_ready
from agiwb.batch.matrix_record import INDEX_FILE, JUNIT_FILE, SUMMARY_FILE, MatrixRecord
from agiwb.batch.notebook import run_notebook
from agiwb.errors import CancelledError, ConfigError, InputError
from agiwb.runs.context import Context
from agiwb.runs.files import write_atomic
from agiwb.runs.liveness import RunFolder, job_folders
from agiwb.runs.step import Input, step
from agiwb.settings import Settings

if TYPE_CHECKING:
    from agiwb.crews.crew import Crew
    from agiwb.runs.store import RunStore

__all__ = ["MatrixConfig", "MatrixRecord", "run_matrix"]

_USUAL_WORKERS = 2
_GRACE_S = 10.0


def _inputs(config: MatrixConfig, store: RunStore) -> dict[str, Input]:
    """Return each notebook's digest, once every entry's parameters are known to fit."""
    inputs: dict[Path, Input] = {}
    for entry in config.entries():
        try:
            (found,) = run_notebook.inputs(entry.config, store).values()
        except InputError as error:
            raise ConfigError(f"{entry.name}: {error.problem}", error.fix) from None
        inputs[entry.config.notebook.resolve()] = found
    return {f"notebook_{number}": found for number, found in enumerate(inputs.values(), 1)}


@step("matrix", inputs=_inputs, reusable=False)
def run_matrix(config: MatrixConfig, context: Context) -> MatrixRecord:
    """Return the record of a matrix; its files have every executed notebook and an index of them.

    Each notebook is a run of its own, with this one as its parent, so that whatever has finished
    outlives an interruption: the same matrix run again takes it from there.

    Raises:
        ConfigError: A notebook or a parameter does not exist or does not fit; nothing was started.
        CancelledError: The user asked to stop; the notebooks that ran are closed as cancelled.
        WorkError: No process can be started, or the Dask cluster is lost.
    """
    not_before = _not_before(config, context)
    uses_cache = config.cache and not context.fresh
    cache = NotebookCache(context.store, not_before) if uses_cache or not_before else None
    driver = Driver(config, cache, context)
    try:
        if driver.take_known():
            with closing(_crew(config, context.checkpoint / "logs")) as crew:
                driver.run(crew)
    except (CancelledError, KeyboardInterrupt):
        if config.output is not None:
            _write_reports(_record(config, driver, context), context.files, config.output)
        raise
    record = _record(config, driver, context)
    _write_reports(record, context.files, config.output)
    return record


def _record(config: MatrixConfig, driver: Driver, context: Context) -> MatrixRecord:
    entries = driver.results
    problems = tuple(
        f"{entry.name}: {entry.reason}" for entry in entries if entry.outcome == "failed"
    )
    return MatrixRecord(run=context.run, config=config, entries=entries, problems=problems)


def _write_reports(record: MatrixRecord, files: Path, output: Path | None) -> None:
    from agiwb.batch.matrix_index import index_page
    from agiwb.batch.matrix_junit import junit
    from agiwb.batch.matrix_summary import summary

    write_atomic(files / INDEX_FILE, index_page(record))
    write_atomic(files / JUNIT_FILE, junit(record))
    write_atomic(files / SUMMARY_FILE, summary(record))
    if output is not None:
        shutil.copytree(files, output, dirs_exist_ok=True)


def _crew(config: MatrixConfig, logs: Path) -> Crew:
    if config.scheduler is not None:
        from agiwb.batch.matrix_luggage import NotebookLuggage
        from agiwb.crews.dask_crew import DaskCluster

        return DaskCluster(
            config.scheduler,
            config.workers,
            get_ready,
            functools.partial(NotebookLuggage.of, folder=logs.with_name("brought")),
            timeout_s=config.timeout_s,
            grace_s=_GRACE_S,
        )
    from agiwb.crews.nursery import LocalProcesses, Nursery

    nursery = Nursery(get_ready, logs, config.timeout_s, _GRACE_S)
    return LocalProcesses(config.workers or _USUAL_WORKERS, nursery)


def _not_before(config: MatrixConfig, context: Context) -> datetime | None:
    """Return since when results count; None for any time, or for not at all without the cache."""
    if config.cache and not context.fresh:
        return None
    began = _interrupted_at(config, context) if config.resume else None
    return began or (context.run.started_at if context.resumed else None)


def _interrupted_at(config: MatrixConfig, context: Context) -> datetime | None:
    """Return when this matrix was last begun anew, if it has not finished since."""
    own = context.store.folder(context.run.id)
    former = [
        (run.started_at, status.state, folder.config().get("resume"))
        for folder in job_folders(Settings().workspace_path)
        if (status := folder.look()) is not None
        and status.step == "matrix"
        and folder.path != own.path
        and (run := folder.run()) is not None
        and _is_same(folder, config)
    ]
    began = None
    for started_at, state, was_resumed in sorted(former, reverse=True):
        if state == "finished":
            break
        began = started_at
        if not was_resumed:
            break
    return began


def _is_same(folder: RunFolder, config: MatrixConfig) -> bool:
    """Return whether a run is of this matrix, however it was carried out."""
    matrix: object = folder.config().get("matrix")
    return bool(matrix == config.model_dump(mode="json")["matrix"])
