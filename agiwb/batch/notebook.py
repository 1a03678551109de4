"""The run step: one notebook carried out by papermill, kept with its HTML and its results."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from agiwb.batch.failed_cell import FailedCellError, digest
from agiwb.batch.parameters import checked_parameters, read_notebook
from agiwb.config import Config, NamedValues
from agiwb.runs.context import Context
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step
from agiwb.settings import Settings

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore

EXECUTED_FILE = "executed.ipynb"
HTML_FILE = "executed.html"

_GATES = ("sweep", "convert", "evaluate")


class RunConfig(Config):
    """Which notebook to run, and with what."""

    notebook: Path = Field(description="The notebook to run.")
    parameters: NamedValues = Field(
        default_factory=dict, description="Values for its parameters, as NAME=VALUE."
    )
    cell_timeout_s: int = Field(
        1800, ge=1, description="Seconds after which a cell counts as hung."
    )


class RunRecord(Record):
    """A notebook carried out: ``results`` has the run that each step of it gave.

    Its problems are those of the gates among them (a parity failure, a threshold). An alarm of the
    monitor is not: it is a finding about the traffic, not about the notebook.
    """

    config: RunConfig
    results: dict[str, str]


def _inputs(config: RunConfig, store: RunStore) -> dict[str, Input]:
    notebook = read_notebook(config.notebook)
    checked_parameters(notebook, config.parameters)
    source = "\n".join(cell.source for cell in notebook.cells)
    return {"notebook": Input(hashlib.sha256(source.encode()).hexdigest())}


@step("run", inputs=_inputs, reusable=False)
def run_notebook(config: RunConfig, context: Context) -> RunRecord:
    """Return the record of a notebook run; its executed copy and its HTML are kept.

    Raises:
        ConfigError: A parameter does not exist, or does not fit; no kernel was started.
        FailedCellError: A cell failed. The notebook as far as it came is kept in the run's folder.
    """
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    from agiwb.batch.papermill_engine import execute_notebook
    from agiwb.batch.provenance_cell import add_provenance
    from agiwb.batch.static_html import write_html

    notebook = read_notebook(config.notebook)
    executed = context.files / EXECUTED_FILE
    environment = {
        "AGIWB_WORKSPACE": str(Settings().workspace_path),
        "AGIWB_PARENT_RUN": context.run.id,
        "AGIWB_BATCH": "1",  # a panel shows what it has to show, for nobody will click on it
    }
    if context.fresh:
        environment["AGIWB_FRESH"] = "1"
    about = functools.partial(digest, config.notebook, config.parameters, executed)
    try:
        parameters = checked_parameters(notebook, config.parameters)
        execute_notebook(notebook, executed, parameters, config, context, environment)
    except PapermillExecutionError as error:
        cell = about(error.ename, error.evalue, error.traceback)
        raise FailedCellError.of(cell, executed, cell.sentence()) from None
    except CellTimeoutError as error:
        said = f"A cell of {config.notebook.name} hung for {config.cell_timeout_s} s."
        cell = about("CellTimeoutError", f"It hung for {config.cell_timeout_s} s.")
        more = "Give it more `cell_timeout_s`. "
        raise FailedCellError.of(cell, executed, said, more) from error
    except DeadKernelError as error:
        said = f"The kernel of {config.notebook.name} died, perhaps for want of memory."
        cell = about("DeadKernelError", "The kernel died, perhaps for want of memory.")
        more = f"What it said is in {context.store.folder(context.run.id).log}. "
        raise FailedCellError.of(cell, executed, said, more) from error
    finally:
        if executed.is_file():
            add_provenance(executed, context.run, config, context.store)
            write_html(executed, context.files / HTML_FILE)
    results = context.store.folder(context.run.id).results()
    gates = [context.store.get(results[name]) for name in _GATES if name in results]
    problems = tuple(problem for gate in gates for problem in gate.problems)
    return RunRecord(run=context.run, config=config, results=results, problems=problems)
