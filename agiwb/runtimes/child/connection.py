"""One child process as its parent sees it: started, asked by many threads, and ended."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from agiwb.artifacts.manifest import Format
from agiwb.errors import AgiwbError, InputError, NotFoundError, ServingError, WorkError
from agiwb.runtimes.child.frames import Header, receive, send
from agiwb.runtimes.runtime import Tensors

_END_S = 5.0
"""How long a child may take to end by itself before it is killed."""
_LAST_LINES = 5

Reply = tuple[Header, Tensors]


class ChildConnection:
    """A child process that serves one model, and the requests it has not answered yet.

    Thread safety: ``ask`` and ``close`` may be called from any thread. The process is waited for
    as soon as it ends, so that none stays in the process table.

    Attributes:
        pid: Of the process.
    """

    def __init__(
        self, path: Path, kind: Format, threads: int, on_end: Callable[[], None] | None = None
    ) -> None:
        """Start the process; ``on_end`` is called in a thread of its own once it has ended."""
        self._path, self._on_end = path, on_end
        self._connection, theirs = socket.socketpair()
        words = [str(theirs.fileno()), str(os.getpid()), kind, str(path), str(threads)]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "agiwb.runtimes.child.process", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the server, which then ends its children
            )
        self.pid = self._process.pid
        self._started = time.monotonic()
        self._sending = threading.Lock()
        self._numbers = itertools.count()
        self._waiting: dict[int, queue.SimpleQueue[Reply | None]] = {}
        self._ended = self._closing = False
        self._said: deque[str] = deque(maxlen=_LAST_LINES)
        self._reader: threading.Thread | None = None
        self._ears = threading.Thread(target=self._log_output, name="agiwb-child-log", daemon=True)
        self._ears.start()

    @property
    def age_s(self) -> float:
        """Seconds since the process was started."""
        return time.monotonic() - self._started

    def introduce(self, timeout_s: float) -> Header:
        """Return what the child tells once the model is loaded; call it once, before ``ask``.

        Raises:
            InputError: The model cannot be loaded.
            ServingError: The process ended, or said nothing for ``timeout_s``.
        """
        try:
            self._connection.settimeout(timeout_s)
            frame = receive(self._connection)
            self._connection.settimeout(None)
        except TimeoutError:
            self.close(at_once=True)
            raise ServingError(
                f"The model {self._path} was not loaded within {timeout_s:g} s.",
                "Allow more time, or serve it as ONNX: `agiwb convert` makes that of it.",
            ) from None
        except OSError:
            frame = None
        if frame is None:
            self.close()
            self._ears.join(_END_S)
            said = " ".join(self._said) or "nothing"
            raise ServingError(
                f"The process that loads the model {self._path} {self._how_it_ended()}; "
                f"it said: {said}",
                "Is there enough memory?",
            )
        if refused := frame[0].get("refused"):
            self.close()
            raise _error_of(refused, loading=True)
        self._reader = threading.Thread(target=self._read, name="agiwb-child-read", daemon=True)
        self._reader.start()
        return frame[0]

    def ask(self, header: Header, inputs: Tensors) -> Tensors:
        """Return the child's answer to one request.

        Raises:
            InputError: The model refuses the batch.
            WorkError: It failed otherwise.
            ServingError: The process has ended, before or meanwhile.
        """
        number, answer = next(self._numbers), queue.SimpleQueue[Reply | None]()
        self._waiting[number] = answer
        try:
            with self._sending:
                send(self._connection, {**header, "id": number}, inputs)
        except OSError:
            self._waiting.pop(number, None)
            raise self._gone() from None
        # The reader first says that it ends, then looks who waits; we do both the other way round.
        if self._ended and self._waiting.pop(number, None) is not None:
            raise self._gone()
        reply = answer.get()
        if reply is None:
            raise self._gone()
        told, outputs = reply
        if error := told.get("error"):
            raise _error_of(error, loading=False)
        return outputs

    def close(self, *, at_once: bool = False) -> None:
        """End the process, and return when it has ended."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        if at_once:
            self._process.kill()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._reader is None:
            self._connection.close()
        elif self._reader is not threading.current_thread():
            self._reader.join(_END_S)

    def _read(self) -> None:
        """Hand every reply to who waits for it, until the connection ends."""
        with contextlib.suppress(OSError):
            while (frame := receive(self._connection)) is not None:
                answer = self._waiting.pop(frame[0]["id"], None)
                if answer is not None:
                    answer.put(frame)
        self._ended = True
        if not self._closing:
            self.close()
            _log().error(
                "The process %d of the model %s %s.", self.pid, self._path, self._how_it_ended()
            )
        for number in list(self._waiting):
            if (answer := self._waiting.pop(number, None)) is not None:
                answer.put(None)
        with self._sending:
            self._connection.close()
        if self._on_end is not None:
            threading.Thread(target=self._on_end, name="agiwb-child-next", daemon=True).start()

    def _log_output(self) -> None:
        """Write what the process prints into our log, line by line."""
        output = self._process.stdout
        if output is None:
            return
        with output:
            for line in output:
                text = line.decode(errors="replace").rstrip()
                self._said.append(text)
                _log().warning("%s: %s", self._path.parent, text)

    def _gone(self) -> ServingError:
        return ServingError(
            f"The process that runs the model {self._path} {self._how_it_ended()}.",
            "It is started again: ask again in a few seconds.",
        )

    def _how_it_ended(self) -> str:
        code = self._process.poll()
        if code is None:
            return "is ending"
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"


def _error_of(told: Header, *, loading: bool) -> AgiwbError:
    if told["is_input"]:
        kind: type[AgiwbError] = NotFoundError if loading else InputError
    else:
        kind = WorkError
    return kind(told["problem"], told["fix"])


def _log() -> logging.Logger:
    return logging.getLogger("agiwb")
