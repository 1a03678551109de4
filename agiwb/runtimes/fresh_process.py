"""One call of a function in a fresh Python process, within limits of time and memory.

What only a model's file decides is asked where nothing of the process that wrote it is at hand: no
weights, no registered classes, no TensorFlow unless it is wanted. And what native code does to a
process (a crash, an endless loop, all the memory) it does to that one, and is told in a sentence.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from agiwb.errors import AgiwbError, InputError, WorkError
from agiwb.runtimes.fresh_process_child import REPLY_FILE, REQUEST_FILE

_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.005, 0.05
_LONGEST_MESSAGE = 400
_MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """What a fresh process may take; the memory is what it holds resident.

    It is looked at 20 times a second, so that a process may exceed it by what it can fill in 50 ms.
    """

    seconds: float = 300.0
    memory_bytes: int = 4 * 2**30


def call_in_fresh_process(
    function: str,
    arguments: Mapping[str, Any],
    *,
    tensorflow: bool = False,
    limits: Limits | None = None,
    while_waiting: Callable[[], None] = lambda: None,
) -> Any:
    """Return what ``function`` returns for ``arguments`` in a fresh process.

    Args:
        function: Import path, ``package.module:function``; what it imports decides how fast the
            process starts (a tenth of a second for NumPy and ONNX Runtime).
        arguments: By name; what JSON can tell, and paths, which arrive as texts. Arrays go through
            files.
        tensorflow: Whether TensorFlow and Keras can be imported there.
        limits: Of time and memory; by default 300 s and 4 GiB.
        while_waiting: Called now and then; if it raises, the process is ended.

    Returns:
        What the function returned, as JSON tells it: tuples come back as lists.

    Raises:
        InputError: The function raised one.
        WorkError: It raised something else; or the process crashed, or passed a limit. The problem
            is one line that begins with "The fresh process" if there was no answer.
    """
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="agiwb-fresh-") as place:
        folder = Path(place)
        request = {"function": function, "arguments": dict(arguments), "tensorflow": tensorflow}
        (folder / REQUEST_FILE).write_text(json.dumps(request, default=_as_text), "utf-8")
        said = folder / "said.txt"
        with said.open("wb") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "agiwb.runtimes.fresh_process_child"),
                    *(place, str(os.getpid())),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that it ends with all that it has started
            )
        try:
            _wait(process, limits, while_waiting)
        finally:
            _end(process)
        try:
            reply = json.loads((folder / REPLY_FILE).read_bytes())
        except FileNotFoundError:
            raise WorkError(
                f"The fresh process {_how_it_ended(process.returncode)}{_last_words(said)}."
            ) from None
    if error := reply.get("error"):
        raise error_of(error)
    return reply["result"]


def _wait(process: subprocess.Popen[bytes], limits: Limits, look: Callable[[], None]) -> None:
    """Return when the process has ended; raise WorkError once it passes a limit."""
    deadline = time.monotonic() + limits.seconds
    pause = _FIRST_LOOK_S
    observed = psutil.Process(process.pid)
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(pause)
            return
        pause = min(2 * pause, _LONGEST_LOOK_S)
        look()
        with contextlib.suppress(psutil.Error):  # it has ended just now
            if observed.memory_info().rss > limits.memory_bytes:
                raise WorkError(
                    f"The fresh process took more than {limits.memory_bytes / _MIB:,.0f} MiB of "
                    "memory, and was ended."
                )
        if time.monotonic() > deadline:
            raise WorkError(
                f"The fresh process gave no answer within {limits.seconds:g} s, and was ended."
            )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process and of those it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal has no name
        name = f"signal {-code}"
    if -code == signal.SIGKILL:
        return f"was ended by {name}, perhaps for want of memory"
    return f"crashed ({name})"


def _last_words(said: Path) -> str:
    """Return the last line that the process printed, as the end of a sentence."""
    lines = [line.strip() for line in said.read_text("utf-8", errors="replace").splitlines()]
    last = next((line for line in reversed(lines) if line), "")
    return f'; it said last: "{textwrap.shorten(last, _LONGEST_MESSAGE)}"' if last else ""


def error_of(told: Mapping[str, Any]) -> AgiwbError:
    """Return the error that the fresh process told, an InputError or a WorkError."""
    kind = InputError if told["is_input"] else WorkError
    return kind(_shortened(told["problem"]), told["fix"])


def _shortened(problem: str) -> str:
    """Return a problem at a length that can be read; converters' own may hold a whole graph."""
    return textwrap.shorten(problem, _LONGEST_MESSAGE, placeholder=" […]")


def _as_text(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"A fresh process cannot be given a {type(value).__name__}.")
