"""The bundle's own smoke test, against the bundle's own server started here."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agiwb.deployment.requirements import modules_left_out
from agiwb.deployment.validation.check import Check, verdict
from agiwb.errors import ServingError
from agiwb.serving.address import Ready
from agiwb.serving.stop_limits import SERVER_S

_START_TIMEOUT_S = 60
_SMOKE_TIMEOUT_S = 120
_SHOWN_LINES = 12

# Refuses what the image will not have: a package that is installed here but not pinned there.
_ONLY_PINNED = """\
import runpy, sys
left_out = frozenset(sys.argv.pop(1).split(","))
class OnlyPinned:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in left_out:
            raise ModuleNotFoundError(f"{name} is not among the bundle's packages", name=name)
        return None
sys.meta_path.insert(0, OnlyPinned())
runpy.run_module("agiwb.serving.server", run_name="__main__", alter_sys=True)
"""


def check_answers(root: Path) -> Check:
    """Return whether the bundled server gives the golden answers, in an environment like the image.

    The server is the bundle's wheel, runs the bundle's ``models.config`` with its models, on a free
    loopback port, and may import only what ``packages/requirements.txt`` names.
    """
    tool = f"smoke_test.py, Python {sys.version.split()[0]}"
    try:
        with serve_bundle(root) as (url, log):
            done = subprocess.run(
                [sys.executable, "-I", str(root / "smoke_test.py"), "--url", url],
                capture_output=True,
                text=True,
                timeout=_SMOKE_TIMEOUT_S,
                check=False,
            )
            said = _last_lines(log)
    except (ServingError, OSError, subprocess.TimeoutExpired) as error:
        return verdict("golden answers of the bundled server", tool, [str(error)])
    problems = [(done.stdout + done.stderr).strip()] if done.returncode else []
    if problems and said:
        problems.append(f"The server's log ends with:\n{said}")
    return verdict("golden answers of the bundled server", tool, problems)


@contextmanager
def serve_bundle(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the address and the log of a server of the bundle in ``root``, stopped at the end.

    Raises:
        ServingError: It did not start; the last lines of its log are in the message.
    """
    with tempfile.TemporaryDirectory(prefix="agiwb-bundle-") as place:
        folder = Path(place)
        wheels = list((root / "packages").glob("agiwb-*.whl"))
        if len(wheels) != 1:
            raise ServingError(f"The bundle {root} has no wheel of agiwb.", "Make it again.")
        with zipfile.ZipFile(wheels[0]) as archive:
            archive.extractall(folder)
        environment = {"PYTHONPATH": place, "AGIWB_WORKSPACE": str(folder / "workspace")}
        config = folder / "models.config"
        config.write_text(_with_local_paths(root), "utf-8")
        log = folder / "server.log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-c", _ONLY_PINNED, ",".join(modules_left_out(root))),
                    f"--model_config_file={config}",
                    *("--host=127.0.0.1", "--rest_api_port=0", "--stop_with_stdin"),
                ],
                cwd=folder,
                env=os.environ | environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
            try:
                yield _wait_until_ready(process, log).address, log
            finally:
                _stop(process)


def _with_local_paths(root: Path) -> str:
    """Return ``models.config`` with the image's folder of models replaced by the bundle's."""
    text = (root / "models.config").read_text("utf-8")
    models = (root / "models").resolve().as_posix()
    return re.sub(r'(base_path:\s*")/models/', lambda match: f"{match[1]}{models}/", text)


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> Ready:
    """Return what the server says once it is ready, on its first line of stdout."""
    lines: queue.Queue[bytes] = queue.Queue()
    stream = process.stdout
    assert stream is not None  # noqa: S101  it was asked for as a pipe
    threading.Thread(target=lambda: lines.put(stream.readline()), daemon=True).start()
    try:
        line = lines.get(timeout=_START_TIMEOUT_S)
    except queue.Empty:
        line = b""
    if line:
        return Ready.model_validate_json(line)
    raise ServingError("The bundled server did not start.", f"It said:\n{_last_lines(log)}")


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-_SHOWN_LINES:])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(SERVER_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
