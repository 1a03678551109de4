"""The process of a detached server: ``python -m agiwb.serving.detached_process FOLDER``.

It finds and publishes the model, for which it needs the run history, and then becomes the server:
the process stays, so that whoever started it knows its id, and MLflow's memory does not.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from agiwb.errors import AgiwbError
from agiwb.serving.detached import DetachedServer, ServerFolder
from agiwb.serving.serve import as_flags, prepare, settled
from agiwb.serving.settings import OPERATOR_KEY


def main(folder: ServerFolder) -> int:
    """Become the server that ``folder`` describes; return an exit code if it cannot begin."""
    said = os.dup(1)
    os.dup2(2, 1)  # the first line on stdout is to be the server's own
    try:
        _, settings = prepare(settled(DetachedServer(folder).config))
    except AgiwbError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if settings.model_base_path is not None:
        folder.base_path.write_text(str(settings.model_base_path), "utf-8")
    settings = settings.model_copy(update={"stop_with_stdin": False})
    command = [sys.executable, "-m", "agiwb.serving.server", *as_flags(settings)]
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(said, 1)
    key = folder.key.read_text("ascii")
    environment = {**os.environ, OPERATOR_KEY: key}
    return os.execve(sys.executable, command, environment)  # noqa: S606  no shell is wanted


if __name__ == "__main__":
    sys.exit(main(ServerFolder(Path(sys.argv[1]))))
