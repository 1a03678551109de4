"""One call of a function in a fresh Python process, within limits of time and memory.

What only a model's file decides is asked where nothing of the process that wrote it is at hand: no
weights, no registered classes, no TensorFlow unless it is wanted. And what native code does to a
process (a crash, an endless loop, all the memory) it does to that one, and is told in a sentence.

TensorFlow takes seconds to import. So a process that is given it is forked from one that has
imported it and done nothing else, which is kept for two minutes; all others start from nothing.
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
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil

from agiwb.crews.crew import Died
from agiwb.crews.nursery import Nursery, hired_ahead
from agiwb.errors import AgiwbError, InputError, WorkError
from agiwb.runtimes.fresh_process_child import (
    REPLY_FILE,
    REQUEST_FILE,
    answer_in_fork,
    have_tensorflow,
)

_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.005, 0.05
_PROMPT_S = 5.0
_LONGEST_MESSAGE = 400
_MIB = 2**20
_WORK = 0
_SAID_FILE = f"{_WORK}.log"


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
        request = {"function": function, "arguments": dict(arguments)}
        (folder / REQUEST_FILE).write_text(json.dumps(request, default=_as_text), "utf-8")
        beginning = _forked(folder, while_waiting) if tensorflow else _started(folder)
        with beginning as process:
            code = _wait(process, limits, while_waiting)
        try:
            reply = json.loads((folder / REPLY_FILE).read_bytes())
        except FileNotFoundError:
            last_words = _last_words(folder / _SAID_FILE)
            raise WorkError(f"The fresh process {_how_it_ended(code)}{last_words}.") from None
    if error := reply.get("error"):
        raise error_of(error)
    return reply["result"]


def tensorflow_ahead() -> AbstractContextManager[None]:
    """Have TensorFlow imported meanwhile, for the first call in this context that wants it."""
    return hired_ahead(have_tensorflow)


class _Process(Protocol):
    """A process that answers the request in a folder."""

    pid: int

    def wait(self, seconds: float) -> int | None:
        """Return its exit code; None if it has not ended after so long."""


class _Started:
    """A process that was started from nothing."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    def wait(self, seconds: float) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None


class _Forked:
    """A nursery's only child."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid

    def wait(self, seconds: float) -> int | None:
        for report in self._nursery.wait(seconds):
            return (report.exit_code or 0) if isinstance(report, Died) else 0
        return None

    def end(self) -> None:
        """Kill what is left of it; then it writes no more."""
        self._nursery.kill()
        with contextlib.suppress(psutil.Error):
            psutil.Process(self.pid).wait(_PROMPT_S)


@contextmanager
def _started(folder: Path) -> Iterator[_Process]:
    """Yield a process without TensorFlow; it ends with the context, and all that it has started."""
    with (folder / _SAID_FILE).open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "agiwb.runtimes.fresh_process_child"),
                *(str(folder), str(os.getpid())),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield _Started(process)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def _forked(folder: Path, while_waiting: Callable[[], None]) -> Iterator[_Process]:
    """Yield a process that has imported TensorFlow; it ends as one of ``_started`` does."""
    with contextlib.closing(Nursery(have_tensorflow, folder)) as nursery:
        try:
            pid = nursery.start(_WORK, answer_in_fork, folder, while_waiting)
        except WorkError as error:
            raise WorkError(f"The fresh process could not be forked: {error.problem}") from None
        process = _Forked(nursery, pid)
        try:
            yield process
        finally:
            process.end()


def _wait(process: _Process, limits: Limits, look: Callable[[], None]) -> int:
    """Return the exit code once the process has ended; raise WorkError once it passes a limit."""
    deadline = time.monotonic() + limits.seconds
    pause = _FIRST_LOOK_S
    while True:
        if (code := process.wait(pause)) is not None:
            return code
        pause = min(2 * pause, _LONGEST_LOOK_S)
        look()
        with contextlib.suppress(psutil.Error):  # it has ended just now
            if psutil.Process(process.pid).memory_info().rss > limits.memory_bytes:
                raise WorkError(
                    f"The fresh process took more than {limits.memory_bytes / _MIB:,.0f} MiB of "
                    "memory, and was ended."
                )
        if time.monotonic() > deadline:
            raise WorkError(
                f"The fresh process gave no answer within {limits.seconds:g} s, and was ended."
            )


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
