"""The reports for stakeholders: served by Voila, or written as files that need nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from agiwb.batch.jupyter import become, folder_of, jupyter_path
from agiwb.batch.nbformat_quickly import import_nbformat
from agiwb.errors import InputError, NotebookError
from agiwb.settings import Settings

if TYPE_CHECKING:
    from nbclient import NotebookClient
    from nbformat import NotebookNode

_IDLE_KERNEL_S = 120
"""How long a kernel outlives the last page that used it; a page that is open keeps its own."""
_CULL_EVERY_S = 15
_LONGEST_CELL_S = 600
_KERNEL = "python3"
"""Whatever kernel a report was saved with: this one is this Python, wherever agiwb is installed."""
_UNUSED_EXTENSIONS = (
    "@jupyterhub/jupyter-server-proxy",
    "@voila-dashboards/jupyterlab-preview",
    "agiwb",
    "jupyterlab_pygments",
    "nbdime-jupyterlab",
)
"""What JupyterLab has installed, and no report uses; one of them fails inside Voila."""


def serve_reports(arguments: list[str]) -> NoReturn:
    """Become Voila on the reports; ``arguments`` are its own (``--port``, ``--no-browser``, …)."""
    words = ["voila", *voila_options(arguments), *arguments, str(folder_of("reports"))]
    become(words, JUPYTER_PATH=jupyter_path())


def voila_options(given: Sequence[str] = ()) -> list[str]:
    """Return the options under which Voila serves the reports, but those that are ``given``.

    On loopback only and to who has the token; sources and tracebacks stay hidden, a viewer chooses
    no template, what kernels are told is encrypted where theirs can do that, one waits warm for the
    next viewer, and those nobody looks at are stopped.
    """
    theirs = {_name(word) for word in given}
    ours = [
        "--Voila.ip=127.0.0.1",
        "--Voila.auto_token=True",
        "--template=agiwb",
        "--classic-tree",
        "--VoilaConfiguration.allow_template_override=NO",
        "--VoilaConfiguration.allow_theme_override=NO",
        "--VoilaConfiguration.file_denylist=.*",
        *(f"--VoilaConfiguration.extension_denylist={name}" for name in _UNUSED_EXTENSIONS),
        "--VoilaConfiguration.multi_kernel_manager_class=agiwb.batch.warm_kernels.WarmKernels",
        "--preheat_kernel=True",
        "--strip_sources=True",
        "--show_tracebacks=False",
        f"--VoilaExecutor.timeout={_LONGEST_CELL_S}",
        "--KernelManager.transport_encryption=auto",
        f"--MappingKernelManager.cull_idle_timeout={_IDLE_KERNEL_S}",
        f"--MappingKernelManager.cull_interval={_CULL_EVERY_S}",
    ]
    return [option for option in ours if _name(option) not in theirs]


def write_reports(folder: Path) -> list[Path]:
    """Write each report into ``folder`` as one HTML file, of the workspace as it is now.

    Raises:
        InputError: The folder cannot be written, or there are no reports.
        NotebookError: A report fails.
    """
    import tempfile

    nbformat = import_nbformat()
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    from agiwb.batch.static_html import write_html

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"The folder {folder} cannot be made: {error.strerror}.", "Give another one."
        ) from None
    environment = {
        **os.environ,
        "AGIWB_WORKSPACE": str(Settings().workspace_path),
        "AGIWB_BATCH": "1",
    }
    source = folder_of("reports")
    emptied = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("%reset -f")])
    kernel = NotebookClient(
        emptied, kernel_name=_KERNEL, resources={"metadata": {"path": str(source)}}
    )
    written = []
    # One kernel, emptied each time: to start one and import everything takes longer than a report.
    with kernel.setup_kernel(env=environment):
        for path in sorted(source.glob("*.ipynb")):
            notebook = nbformat.read(path, as_version=4)
            _execute(emptied, kernel)
            try:
                _execute(notebook, kernel)
            except CellExecutionError as error:
                raise NotebookError(
                    f"The report {path.name} failed: {error.ename}: {error.evalue}",
                    "Open it with `agiwb lab` to see where.",
                ) from None
            with tempfile.TemporaryDirectory() as scratch:
                executed = Path(scratch) / path.name
                nbformat.write(notebook, executed)
                destination = folder / f"{path.stem}.html"
                write_html(executed, destination, with_code=False)
                written.append(destination)
    return written


def _execute(notebook: NotebookNode, kernel: NotebookClient) -> None:
    """Run a notebook in a kernel that runs already, by its connections."""
    from nbclient import NotebookClient

    client = NotebookClient(notebook, kernel.km, timeout=_LONGEST_CELL_S)
    client.kc = kernel.kc
    client.execute()


def _name(option: str) -> str:
    """Return an option's name without the class it is of, which Voila's short forms leave out."""
    return option.partition("=")[0].lstrip("-").rpartition(".")[2].replace("-", "_")
