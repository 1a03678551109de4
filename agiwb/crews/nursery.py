"""Pieces of work, each in a process of its own that starts in milliseconds; see the nursery's."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Self

from agiwb.crews.crew import Asked, Died, Ending, Raised, Report, Returned, Said, Told, Work
from agiwb.crews.nursery_process import Upbringing, end_family
from agiwb.errors import WorkError
from agiwb.jobs.code_on_disk import code_on_disk
from agiwb.jobs.warm import QUIET_POOLS, warm_key
from agiwb.runs.provenance import PACKAGE_FOLDER

_PROMPT_S = 5.0
_LOOK_S = 0.1
_LONGEST_WORDS = 200
_KEPT_S = 120.0
"""How long a process that is ready waits for the next nursery: who sweeps often sweeps again."""


@dataclass
class Child:
    """A process that carries out one piece of work."""

    number: int
    pid: int
    connection: Connection
    log: Path
    timeout_s: float | None
    began: float

    @property
    def is_late(self) -> bool:
        """Whether its time is up."""
        return self.timeout_s is not None and time.monotonic() > self.began + self.timeout_s


@dataclass(eq=False)
class _Hired:
    """The nursery's process, and the lines to and from it.

    Attributes:
        key: Of all that decides what it has imported.
        ending: What ends it, while it waits for a nursery.
        is_new: Whether no nursery has had it yet.
    """

    key: tuple[str, str, str]
    process: subprocess.Popen[bytes]
    requests: socket.socket
    reports: Connection
    ending: threading.Timer | None = None
    is_new: bool = True

    @classmethod
    def now(cls, ready: str) -> Self:
        """Start the process; it will be ready some seconds later."""
        requests, theirs = socket.socketpair()
        reports, writer = multiprocessing.Pipe(duplex=False)
        with theirs, writer:
            passed = (theirs.fileno(), writer.fileno())
            process = subprocess.Popen(
                [sys.executable, "-m", f"{__name__}_process", ready, *map(str, passed)],
                # From the folder of the package, which need not be installed.
                cwd=PACKAGE_FOLDER.parent,
                env={**os.environ, **QUIET_POOLS},
                stdin=subprocess.DEVNULL,
                pass_fds=passed,
                start_new_session=True,
            )
        return cls(_key(ready), process, requests, reports)

    def dismiss(self) -> None:
        self.requests.close()
        self.reports.close()
        self.process.kill()
        self.process.wait()


_waiting: list[_Hired] = []
"""Processes that no nursery has at present."""
_in_turn = threading.Lock()


@contextlib.contextmanager
def hired_ahead(ready: Callable[[], None]) -> Iterator[None]:
    """Have the process of a ``Nursery(ready)`` that is made in this context: it takes seconds.

    It is started, unless one waits already. If no nursery is made, it ends with the context.
    """
    kept = _taken(_name(ready))
    if kept is not None:
        _keep(kept)
        yield
        return
    hired = _Hired.now(_name(ready))
    with _in_turn:
        _waiting.append(hired)
    try:
        yield
    finally:
        if hired.is_new and _withdrawn(hired):
            hired.dismiss()


def dismiss_kept() -> None:
    """End all processes that wait for a nursery."""
    for hired in tuple(_waiting):
        _dismiss_if_waiting(hired)


def _keep(hired: _Hired) -> None:
    """Leave the process to the next nursery, if one is made soon."""
    hired.ending = threading.Timer(_KEPT_S, _dismiss_if_waiting, [hired])
    hired.ending.daemon = True
    hired.ending.start()
    with _in_turn:
        _waiting.append(hired)


def _taken(ready: str) -> _Hired | None:
    """Return a process that waits, for whoever asks now; None if none does."""
    key = _key(ready)
    hired = next((one for one in tuple(_waiting) if one.key == key), None)
    return hired if hired is not None and _withdrawn(hired) else None


def _dismiss_if_waiting(hired: _Hired) -> None:
    if _withdrawn(hired):
        hired.dismiss()


def _withdrawn(hired: _Hired) -> bool:
    """Return whether the process has waited until now, and let it wait no more."""
    with _in_turn:
        if hired not in _waiting:
            return False
        _waiting.remove(hired)
    if hired.ending is not None:
        hired.ending.cancel()
        hired.ending = None
    return True


def _name(ready: Callable[[], None]) -> str:
    return f"{ready.__module__}:{ready.__qualname__}"


def _key(ready: str) -> tuple[str, str, str]:
    return ready, warm_key(os.environ), code_on_disk()


atexit.register(dismiss_kept)


class Nursery:
    """Forks a process for each piece of work, and kills it if it takes too long.

    Thread safety: one thread uses it. Ownership: whoever makes a nursery closes it; that kills
    all that still runs, with all that it has started. So does the end of this very process. The
    process that forks is kept for two minutes, for the next nursery if environment and code are
    the same.
    """

    def __init__(
        self,
        ready: Callable[[], None],
        logs: Path,
        timeout_s: float | None = None,
        grace_s: float = 0.0,
    ) -> None:
        """Start the nursery.

        Args:
            ready: A function of a module, called once before any fork: it imports what all work
                needs.
            logs: Folder for what the work prints.
            timeout_s: Seconds after which a piece of work is killed.
            grace_s: Seconds that work has to end by itself, once it is told to by SIGTERM.
        """
        self._ready = _name(ready)
        self._logs = logs
        self.timeout_s = timeout_s
        self.grace_s = grace_s
        self._children: dict[int, Child] = {}
        self._exit_codes: dict[int, int] = {}
        logs.mkdir(parents=True, exist_ok=True)
        self._hired = _taken(self._ready) or _Hired.now(self._ready)
        self._hired.is_new = False
        self._is_amid = False  # between a request and its answer, or within one

    def start(
        self,
        number: int,
        work: Work,
        argument: Any,
        while_waiting: Callable[[], None] = lambda: None,
    ) -> int:
        """Begin ``work(argument, line)`` in a process of its own, known by ``number``.

        Args:
            number: Of the work, in all reports.
            work: See ``Work``.
            argument: Of the work.
            while_waiting: Called now and then while the process that forks gets ready; what it
                raises is raised here.

        Returns:
            The process's id.

        Raises:
            WorkError: No process can be forked.
        """
        if self._hired.process.poll() is not None:
            self._hired.dismiss()
            self._hired = _Hired.now(self._ready)
        ours, theirs = multiprocessing.Pipe()
        self._is_amid = True
        try:
            socket.send_fds(self._hired.requests, [b"f"], [theirs.fileno()])
            pid = self._begun(while_waiting)
        except OSError as error:
            raise WorkError(f"The process that forks others has ended: {error}.") from None
        finally:
            theirs.close()
        self._is_amid = False
        log = self._logs / f"{number}.log"
        self._children[number] = Child(number, pid, ours, log, self.timeout_s, time.monotonic())
        with contextlib.suppress(OSError):  # if it has died already, the next look tells
            ours.send(Upbringing(dict(os.environ), str(Path.cwd()), sys.path, log))
            ours.send_bytes(pickle.dumps((work, argument)))
        return pid

    def answer(self, number: int, value: Any) -> None:
        """Answer what a child has asked."""
        with contextlib.suppress(OSError, KeyError):  # if it is gone, that is told elsewhere
            self._children[number].connection.send(value)

    def wait(self, longest_s: float) -> list[Report]:
        """Return what the children have told since, after at most ``longest_s`` seconds."""
        connections = {child.connection: child for child in self._children.values()}
        ready = wait(list(connections), longest_s) if connections else []
        reports = [self._hear(connections[each]) for each in ready]  # type: ignore[index]  # given
        for child in [each for each in self._children.values() if each.is_late]:
            end_family(child.pid)
            reason = f"It was not finished after {child.timeout_s:g} s, and was ended."
            reports.append(Died(child.number, reason))
            self._forget(child)
        return reports

    def close(self) -> None:
        """Kill all that runs, and leave the process that forks to the next nursery."""
        self.kill()
        if self._is_amid or self._hired.process.poll() is not None:
            self._hired.dismiss()
        else:
            _keep(self._hired)

    def kill(self) -> None:
        """End all that runs: those at once that do not end by themselves in time."""
        if self.grace_s and self._children:
            self._ask_to_end()
        for child in list(self._children.values()):
            end_family(child.pid)
            self._forget(child)

    def _ask_to_end(self) -> None:
        for child in self._children.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)
        until = time.monotonic() + self.grace_s
        while self._children and time.monotonic() < until:
            self.wait(_LOOK_S)

    def _hear(self, child: Child) -> Report:
        try:
            kind, what = child.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            code = self._exit_code(child)
            self._forget(child)
            return Died(child.number, _autopsy(code, child.log), code)
        if kind in {"said", "asked"}:
            return (Said if kind == "said" else Asked)(child.number, what)
        self._forget(child)
        end_family(child.pid)  # what it may have left running
        return Returned(child.number, what) if kind == "done" else Raised(child.number, what)

    def _exit_code(self, child: Child) -> int:
        """Return the exit code of a child that is ending; that of SIGKILL if nobody tells."""
        end_family(child.pid)
        until = time.monotonic() + _PROMPT_S
        with contextlib.suppress(OSError):  # the nursery may have died with it
            while child.pid not in self._exit_codes and self._hired.reports.poll(
                max(0.0, until - time.monotonic())
            ):
                self._receive()
        return self._exit_codes.get(child.pid, -signal.SIGKILL)

    def _begun(self, while_waiting: Callable[[], None]) -> int:
        """Return the id of the process that was asked for."""
        while True:
            while not self._hired.reports.poll(_LOOK_S):
                while_waiting()
            kind, what, *_ = self._receive()
            if kind == "begun":
                self._exit_codes.pop(what, None)  # of an earlier process of this number
                return int(what)
            if kind == "refused":
                raise WorkError(f"No process could be forked: {what}.")

    def _receive(self) -> tuple[Any, ...]:
        was_amid, self._is_amid = self._is_amid, True
        try:
            report: tuple[Any, ...] = self._hired.reports.recv()
        except EOFError:
            raise OSError("its pipe was closed") from None
        self._is_amid = was_amid
        if report[0] == "ended":
            self._exit_codes[report[1]] = report[2]
        return report

    def _forget(self, child: Child) -> None:
        child.connection.close()
        del self._children[child.number]


class LocalProcesses:
    """A crew of processes of this machine, forked by a nursery that it owns."""

    def __init__(self, count: int, nursery: Nursery) -> None:
        self._count = count
        self._nursery = nursery

    def size(self) -> int:
        return self._count

    def start(self, number: int, work: Work, argument: Any) -> None:
        self._nursery.start(number, work, argument)

    def wait(self, told: Told, tick: Callable[[], None]) -> list[Ending]:
        tick()
        return hear(self._nursery, told, _LOOK_S)

    def close(self) -> None:
        self._nursery.close()


def hear(nursery: Nursery, told: Told, longest_s: float) -> list[Ending]:
    """Return how work has ended within ``longest_s`` seconds; ``told`` hears all else."""
    endings: list[Ending] = []
    for report in nursery.wait(longest_s):
        if isinstance(report, Said):
            told(report.number, report.what)
        elif isinstance(report, Asked):
            nursery.answer(report.number, told(report.number, report.what))
        else:
            endings.append(report)
    return endings


def _autopsy(code: int, log: Path) -> str:
    """Return how a process ended, with the last that it printed."""
    if code >= 0:
        return _with_last_words(f"Its process ended with exit code {code}", log)
    reason = f"Its process was ended by signal {-code} ({signal.Signals(-code).name})"
    if -code == signal.SIGKILL:
        return f"{reason}, perhaps for lack of memory."
    return _with_last_words(reason, log)


def _with_last_words(reason: str, log: Path) -> str:
    """Return ``reason`` with the last line of ``log``, if there is one."""
    try:
        lines = log.read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        lines = []
    return f"{reason}: {lines[-1].strip()[:_LONGEST_WORDS]}" if lines else f"{reason}."
