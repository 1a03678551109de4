"""Pieces of work, each in a process of its own that starts in milliseconds; see the nursery's."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from agiwb.compression.trials.nursery_process import Upbringing, Work, end_family
from agiwb.errors import WorkError
from agiwb.jobs.warm import QUIET_POOLS
from agiwb.runs.provenance import PACKAGE_FOLDER

_PROMPT_S = 5.0
_LONGEST_WORDS = 200


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


@dataclass(frozen=True)
class Said:
    """Something a child told while it works."""

    number: int
    what: Any


@dataclass(frozen=True)
class Returned:
    """What a child's work returned."""

    number: int
    value: Any


@dataclass(frozen=True)
class Raised:
    """What a child's work raised, as an exception."""

    number: int
    error: BaseException


@dataclass(frozen=True)
class Died:
    """Why a child ended before its work: a signal, an exit, or its time was up; in a sentence."""

    number: int
    reason: str


Report = Said | Returned | Raised | Died


class Nursery:
    """Forks a process for each piece of work, and kills it if it takes too long.

    Thread safety: one thread uses it. Ownership: whoever makes a nursery closes it; that kills
    all that still runs, with all that it has started. So does the end of this very process.
    """

    def __init__(self, logs: Path, timeout_s: float | None = None) -> None:
        self._logs = logs
        self.timeout_s = timeout_s
        self._children: dict[int, Child] = {}
        self._exit_codes: dict[int, int] = {}
        self._hire()

    def start(self, number: int, work: Work, argument: Any) -> None:
        """Begin ``work(argument, tell)`` in a process of its own, known by ``number``.

        Raises:
            WorkError: No process can be forked.
        """
        if self._process.poll() is not None:
            self._dismiss()
            self._hire()
        ours, theirs = multiprocessing.Pipe()
        try:
            socket.send_fds(self._requests, [b"f"], [theirs.fileno()])
            pid = self._begun()
        except OSError as error:
            raise WorkError(f"The process that forks candidates has ended: {error}.") from None
        finally:
            theirs.close()
        log = self._logs / f"{number}.log"
        self._children[number] = Child(number, pid, ours, log, self.timeout_s, time.monotonic())
        with contextlib.suppress(OSError):  # if it has died already, the next look tells
            ours.send(Upbringing(dict(os.environ), str(Path.cwd()), sys.path, log))
            ours.send_bytes(pickle.dumps((work, argument)))

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
        """Kill all that runs, and the nursery."""
        self.kill()
        self._dismiss()

    def kill(self) -> None:
        """Kill all that runs."""
        for child in list(self._children.values()):
            end_family(child.pid)
            self._forget(child)

    def _hear(self, child: Child) -> Report:
        try:
            kind, what = child.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            died = Died(child.number, self._autopsy(child))
            self._forget(child)
            return died
        if kind == "said":
            return Said(child.number, what)
        self._forget(child)
        end_family(child.pid)  # what it may have left running
        return Returned(child.number, what) if kind == "done" else Raised(child.number, what)

    def _autopsy(self, child: Child) -> str:
        """Return how the process ended, with the last that it printed."""
        end_family(child.pid)
        until = time.monotonic() + _PROMPT_S
        with contextlib.suppress(OSError):  # the nursery may have died with it
            while child.pid not in self._exit_codes and self._reports.poll(
                max(0.0, until - time.monotonic())
            ):
                self._receive()
        code = self._exit_codes.get(child.pid, -signal.SIGKILL)
        if code >= 0:
            return _with_last_words(f"Its process ended with exit code {code}", child.log)
        reason = f"Its process was ended by signal {-code} ({signal.Signals(-code).name})"
        if -code == signal.SIGKILL:
            return f"{reason}, perhaps for lack of memory."
        return _with_last_words(reason, child.log)

    def _begun(self) -> int:
        """Return the id of the process that was asked for."""
        while True:
            kind, what, *_ = self._receive()
            if kind == "begun":
                return int(what)
            if kind == "refused":
                raise WorkError(f"A candidate's process could not be forked: {what}.")

    def _receive(self) -> tuple[Any, ...]:
        try:
            report: tuple[Any, ...] = self._reports.recv()
        except EOFError:
            raise OSError("its pipe was closed") from None
        if report[0] == "ended":
            self._exit_codes[report[1]] = report[2]
        return report

    def _forget(self, child: Child) -> None:
        child.connection.close()
        del self._children[child.number]

    def _hire(self) -> None:
        self._logs.mkdir(parents=True, exist_ok=True)
        self._requests, theirs = socket.socketpair()
        self._reports, writer = multiprocessing.Pipe(duplex=False)
        with theirs, writer:
            passed = (theirs.fileno(), writer.fileno())
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"{__name__}_process", *map(str, passed)],
                # From the folder of the package, which need not be installed.
                cwd=PACKAGE_FOLDER.parent,
                env={**os.environ, **QUIET_POOLS},
                stdin=subprocess.DEVNULL,
                pass_fds=passed,
                start_new_session=True,
            )

    def _dismiss(self) -> None:
        self._requests.close()
        self._reports.close()
        self._process.kill()
        self._process.wait()


def _with_last_words(reason: str, log: Path) -> str:
    """Return ``reason`` with the last line of ``log``, if there is one."""
    try:
        lines = log.read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        lines = []
    return f"{reason}: {lines[-1].strip()[:_LONGEST_WORDS]}" if lines else f"{reason}."
