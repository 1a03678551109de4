"""papermill, told to report each cell and to stop when the run is cancelled."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import nbformat
from jupyter_client.manager import AsyncKernelManager
from papermill.engines import NBClientEngine, papermill_engines
from papermill.execute import execute_notebook as papermill_execute

from agiwb.batch.notebook import RunConfig
from agiwb.runs.context import Context

_ENGINE = "agiwb"


class LocalKernelManager(AsyncKernelManager):
    """A kernel reached through sockets in the file system where they exist.

    Parallel runs then cannot race for TCP ports, and no other user of the machine can connect.
    """

    environment: ClassVar[dict[str, str]] = {}
    """The kernel's environment variables, besides those of this process."""
    output: ClassVar[Path]
    """File that takes what the kernel's process itself prints."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._sockets: Path | None = None
        if sys.platform != "win32":
            # Else they lie in the current folder, under the same names for all kernels; and a
            # runtime folder's path may be longer than a socket's may be.
            self._sockets = Path(tempfile.mkdtemp(prefix="agiwb-kernel-"))
            self.connection_file = str(self._sockets / "kernel.json")
            self.transport = "ipc"

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
        """Start the kernel in its environment, its own words kept off our terminal."""
        environment = {**os.environ, **self.environment}
        with self.output.open("ab") as output:
            await super().start_kernel(env=environment, stdout=output, stderr=output, **options)

    def cleanup_ipc_files(self) -> None:
        """Remove the sockets and their folder."""
        super().cleanup_ipc_files()
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)


class ReportingEngine(NBClientEngine):  # type: ignore[misc]  # papermill is untyped
    """papermill's own engine, with each cell reported to the run's context."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, context: Context, **options: Any
    ) -> Any:
        """Run the cells of ``nb_man``, each announced before it starts."""
        total = len(nb_man.nb.cells)
        start, complete = nb_man.cell_start, nb_man.cell_complete

        def cell_start(cell: Any, cell_index: int, **kwargs: Any) -> None:
            context.stop_if_cancelled()
            start(cell, cell_index, **kwargs)

        def cell_complete(cell: Any, cell_index: int, **kwargs: Any) -> None:
            complete(cell, cell_index, **kwargs)
            context.progress("cells", cell_index + 1, total)

        nb_man.cell_start, nb_man.cell_complete = cell_start, cell_complete
        return super().execute_managed_notebook(nb_man, kernel_name, **options)


def execute_notebook(
    notebook: Any,
    executed: Path,
    parameters: dict[str, Any],
    config: RunConfig,
    context: Context,
    environment: dict[str, str],
) -> None:
    """Run ``notebook`` with ``parameters`` and write it, with its outputs, as it goes.

    Raises:
        PapermillExecutionError: A cell failed.
    """

    class RunKernelManager(LocalKernelManager):
        pass

    RunKernelManager.environment = environment
    RunKernelManager.output = context.store.folder(context.run.id).log
    papermill_engines.register(_ENGINE, ReportingEngine)
    source = executed.with_name("source.ipynb")
    nbformat.write(notebook, source)
    try:
        papermill_execute(
            str(source),
            str(executed),
            parameters=parameters,
            engine_name=_ENGINE,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            cwd=str(config.notebook.resolve().parent),
            execution_timeout=config.cell_timeout_s,
            # Passed on to the engine:
            context=context,
            kernel_manager_class=RunKernelManager,
        )
    finally:
        source.unlink()
