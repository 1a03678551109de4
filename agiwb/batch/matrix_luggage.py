"""A notebook on its way to a machine that may share no files with this one, and back."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path

from agiwb.batch.matrix_entry import Attempt, Order
from agiwb.batch.notebook import EXECUTED_FILE, HTML_FILE, RunRecord, run_notebook
from agiwb.crews.crew import Ending, Returned
from agiwb.crews.luggage import Luggage
from agiwb.runs.execute import cache_key
from agiwb.runs.files import write_atomic
from agiwb.runs.liveness import RunFolder
from agiwb.runs.run_parcel import RunParcel, pack_runs
from agiwb.runs.store import open_store
from agiwb.settings import Settings


@dataclass(frozen=True)
class _Brought:
    """What a worker without this machine's files sends back.

    Attributes:
        runs: The notebook's run and those of its steps; none if the object store has them.
        pages: Of a notebook that failed: its executed copy and its HTML, by file name.
    """

    runs: tuple[RunParcel, ...] = ()
    pages: dict[str, bytes] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class NotebookLuggage(Luggage):
    """A notebook to run, with its content.

    A worker whose workspace is the matrix's, in a folder that both see, works there. Any other one
    works in its own, and the runs that it has made come back: by the object store if there is one,
    else by Dask.

    Attributes:
        argument: The order, whose paths are the matrix's machine's.
        content: The notebook's.
        folder: Of the matrix's machine: takes what failed notebooks have left.
    """

    argument: Order
    content: bytes
    folder: Path

    @classmethod
    def of(cls, order: Order, folder: Path) -> NotebookLuggage:
        """Return the order, packed."""
        return cls(order, order.config.notebook.read_bytes(), folder)

    def arrive(self, folder: Path, threads: int) -> Order:
        """Return the order as this machine can carry it out."""
        order = self.argument
        own = Settings().workspace_path
        if own == order.workspace and _matrix(order).run() is not None:
            return order
        digest = hashlib.sha256(self.content).hexdigest()[:16]
        notebook = folder / "notebooks" / digest / order.config.notebook.name
        if not notebook.is_file():
            write_atomic(notebook, self.content)
        return dataclasses.replace(
            order,
            config=order.config.model_copy(update={"notebook": notebook}),
            workspace=own,
        )

    def send_back(self, argument: Order, ending: Ending) -> _Brought | None:
        """Return what the notebook has made, unless the matrix sees it."""
        if argument == self.argument or not isinstance(ending, Returned):
            return None
        attempt: Attempt = ending.value
        if attempt.run_id is None:
            return _Brought(pages=_pages(attempt.executed))
        store = open_store()
        record = store.get(attempt.run_id)
        made = record.results.values() if isinstance(record, RunRecord) else ()
        runs = [attempt.run_id, *made]
        if Settings().artifacts is not None and not {*runs} & {*store.unshared()}:
            return _Brought()  # they have gone up as they finished
        return _Brought(tuple(pack_runs(store, runs)))

    def unpack(self, ending: Ending, brought: _Brought | None) -> Ending:
        """Return the ending with this machine's paths; runs are kept in the workspace."""
        if brought is None or not isinstance(ending, Returned):
            return ending
        attempt: Attempt = ending.value
        order = self.argument
        for parcel in brought.runs:
            parcel.unpack(order.workspace)
        for name, content in brought.pages.items():
            write_atomic(self._pages / name, content)
        if attempt.executed is not None:
            executed = self._pages / attempt.executed.name if brought.pages else None
            return Returned(ending.number, dataclasses.replace(attempt, executed=executed))
        if attempt.run_id is not None:
            store = open_store()
            made = store.get(attempt.run_id)
            # The notebook has another path there; here it is known by the one it has here.
            key = cache_key(run_notebook.name, order.config, made.run.provenance)
            store.know(key, attempt.run_id)
            _matrix(order).note_result(run_notebook.name, attempt.run_id)
        return ending

    @property
    def _pages(self) -> Path:
        told = self.argument.config.model_dump_json()
        return self.folder / hashlib.sha256(told.encode()).hexdigest()[:16]


def _matrix(order: Order) -> RunFolder:
    return RunFolder(order.workspace / "jobs" / order.matrix_run)


def _pages(executed: Path | None) -> dict[str, bytes]:
    if executed is None:
        return {}
    found = [executed.with_name(name) for name in (EXECUTED_FILE, HTML_FILE)]
    return {path.name: path.read_bytes() for path in found if path.is_file()}
