"""One notebook of a matrix, carried out in a process of its own."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from agiwb.batch.failed_cell import FailedCell, FailedCellError
from agiwb.batch.nbformat_quickly import import_nbformat
from agiwb.batch.notebook import RunConfig, run_notebook
from agiwb.crews.crew import Line
from agiwb.errors import AgiwbError, CancelledError, InputError
from agiwb.jobs.readiness import prepare_for_runs
from agiwb.jobs.worker import stop_on_sigterm
from agiwb.runs.events import Event

_IMPORTED = (
    "ipykernel.kernelspec",
    "nbclient",
    "nbconvert.exporters",
    "papermill.execute",
    "agiwb.batch.papermill_engine",
    "agiwb.batch.static_html",
)


@dataclass(frozen=True)
class Order:
    """A notebook to run.

    Attributes:
        config: Which, and how; its path is absolute.
        workspace: Where its run is kept.
        matrix_run: The run of the matrix.
    """

    config: RunConfig
    workspace: Path
    matrix_run: str


@dataclass(frozen=True)
class Attempt:
    """How a notebook ended.

    Attributes:
        run_id: Of the run that finished; None if none did.
        reason: Why it failed, in a paragraph; empty if the run finished.
        cell: The cell that failed, if one did.
        executed: The failed notebook as far as it came.
        may_be_retried: Whether another attempt could end otherwise.
    """

    run_id: str | None = None
    reason: str = ""
    cell: FailedCell | None = None
    executed: Path | None = None
    may_be_retried: bool = True


@dataclass(frozen=True)
class CellsDone:
    """How many of a notebook's cells were carried out."""

    done: int
    total: int


def get_ready() -> None:
    """Import what running notebooks needs; the notebooks' own imports happen in their kernels."""
    import_nbformat()
    prepare_for_runs(_IMPORTED)


def carry_out(order: Order, line: Line) -> Attempt:
    """Return how the notebook ended; SIGTERM closes its run as cancelled."""
    stop_on_sigterm()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as kernels expect it
    os.environ["AGIWB_WORKSPACE"] = str(order.workspace)
    os.environ["AGIWB_PARENT_RUN"] = order.matrix_run

    def tell(event: Event) -> None:
        if event.done is not None and event.total is not None:
            line.tell(CellsDone(event.done, event.total))

    try:
        record = run_notebook(order.config, listener=tell)
    except FailedCellError as error:
        return Attempt(None, str(error), error.cell, error.executed)
    except (InputError, CancelledError) as error:
        return Attempt(None, str(error), may_be_retried=False)
    except AgiwbError as error:
        return Attempt(None, str(error))
    except Exception as error:  # noqa: BLE001  one notebook must not end the matrix
        return Attempt(None, f"{type(error).__name__}: {error}")
    return Attempt(record.run.id)
