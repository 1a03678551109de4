"""The supervisor: starts workers, restarts those that die, and passes on what concerns all.

It answers no requests, loads no models and imports little. A worker that loses it ends by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from agiwb.errors import InputError, ServingError
from agiwb.serving.settings import ServerSettings
from agiwb.serving.stop_limits import WORKERS_S
from agiwb.serving.workers.gates import Gates, make_gates
from agiwb.serving.workers.journal import Journal
from agiwb.serving.workers.numbers import Numbers, add_up, lasting
from agiwb.serving.workers.ports import SharedPorts
from agiwb.serving.workers.switchboard import Switchboard
from agiwb.serving.workers.worker import Message, Worker, start_worker

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 30.0
_STEADY_S = 60.0
"""A worker that lived this long is restarted at once, whatever came before."""
_NUMBERS_S = 1.0
_CHANGE_S = 20.0
_PULSE_S = 5.0
_LONGEST_SILENCE_S = 30.0


class Supervisor:
    """Keeps the workers of one server; all on one loop."""

    def __init__(self, settings: ServerSettings, words: Sequence[str]) -> None:
        """Hold the ports.

        Args:
            settings: The server's.
            words: The command line they came from, which the workers are given, too.

        Raises:
            InputError: A port is taken, or not for this user.
        """
        self._settings = settings
        self._ports = SharedPorts(settings)
        # The last word counts: the workers neither pick ports nor watch stdin.
        self._words = [*words, *self._ports.words(), "--no-stop-with-stdin"]
        self._gates = make_gates()
        self._switchboard = Switchboard(
            Gates(self._gates), set(range(settings.workers)), self._tell_decision
        )
        self._workers: dict[int, Worker] = {}
        self._ready: dict[int, str] = {}
        self._announced = False
        self._failure: Exception | None = None
        self._losses = 0
        self._ended: list[Numbers] = []
        self._journal = Journal()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()
        self._at_once = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM, SIGINT, or the end of stdin if the settings say so.

        Raises:
            InputError: A worker could not start for what it was given; none is left.
            ServingError: A worker could not start otherwise; none is left.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop)
        if self._settings.stop_with_stdin:
            threading.Thread(target=self._wait_for_stdin, args=[loop], daemon=True).start()
        keepers = [
            asyncio.ensure_future(self._keep(index)) for index in range(self._settings.workers)
        ]
        pulse = asyncio.ensure_future(self._feel_pulses())
        try:
            await self._stopped.wait()
            await self._drain()
        finally:
            pulse.cancel()
            await self._stop(keepers)
            self._ports.close()
        if self._failure is not None:
            raise self._failure

    def _asked_to_stop(self) -> None:
        if self._stopped.is_set():
            self._at_once.set()
        self._stopped.set()

    async def _drain(self) -> None:
        """Have all probes say that the server is not ready, and wait, if it was and is to."""
        if not self._announced or not self._settings.drain_seconds:
            return
        for worker in self._workers.values():
            worker.tell("drain")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._at_once.wait(), self._settings.drain_seconds)

    async def _keep(self, index: int) -> None:
        """Start a worker, and again whenever it has ended, until the server stops."""
        pause_s = 0.0
        while not self._stopped.is_set():
            started_at = time.monotonic()
            try:
                # It will read the configuration file as that is now, with all changes so far.
                known = self._journal.last if self._settings.model_config_file else 0
                worker, line = await start_worker(
                    index, self._settings.workers, self._gates, self._words
                )
                worker.known = known
            except OSError as error:
                self._note_loss(index, f"No process could be started: {error.strerror}.")
            else:
                self._workers[index] = worker
                self._lose(worker, await worker.converse(line, self._hear))
            if self._stopped.is_set():
                return
            lived_s = time.monotonic() - started_at
            pause_s = 0.0 if lived_s > _STEADY_S else min(_LONGEST_PAUSE_S, pause_s * 2)
            pause_s = max(_FIRST_PAUSE_S, pause_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), pause_s)

    def _lose(self, worker: Worker, code: int) -> None:
        """Take note that a worker has ended."""
        self._workers.pop(worker.index, None)
        if worker.numbers is not None:
            self._ended = [add_up([*self._ended, lasting(worker.numbers)])]
        problem, exit_code = worker.problem or (f"its exit code is {code}.", 1)
        if exit_code == InputError.exit_code and not self._announced and not self._failure:
            self._failure = InputError(problem)
        self._note_loss(worker.index, f"Process {worker.pid} is gone: {problem}")
        self._switchboard.leave(worker.index)

    def _note_loss(self, index: int, problem: str) -> None:
        """Log that a worker is lost; end the server if it had not begun to answer."""
        if self._stopped.is_set():
            return
        if not self._announced:
            # The first reason is the one to tell; what is wrong at the start is wrong for all.
            self._failure = self._failure or ServingError(
                f"Worker {index} did not start. {problem}"
            )
            self._stopped.set()
            return
        self._losses += 1
        logging.getLogger("agiwb").warning(
            "Worker %d is lost and will be started again. %s", index, problem
        )

    async def _stop(self, keepers: Sequence[asyncio.Future[None]]) -> None:
        """End all workers; they answer what they have taken."""
        for worker in self._workers.values():
            worker.signal(signal.SIGTERM)
        _, running = await asyncio.wait(keepers, timeout=WORKERS_S)
        if running:
            for worker in self._workers.values():
                worker.signal(signal.SIGKILL)
            await asyncio.wait(running)

    def _hear(self, worker: Worker, message: Message) -> None:
        """Do what a worker says."""
        board = self._switchboard
        match message["kind"]:
            case "greet":
                worker.reply(message, required=board.required(), **self._missed(worker))
            case "join":
                worker.known = message["done"]
                worker.hears_changes = not self._missed(worker)["missed"] and board.join(
                    worker.index
                )
                worker.reply(
                    message,
                    joined=worker.hears_changes,
                    required=board.required(),
                    **self._missed(worker),
                )
            case "up":
                self._note_up(worker, message["ready"])
            case "failed":
                worker.problem = message["problem"], message["exit_code"]
            case "share":
                self._start(self._share(worker, message))
            case "sum":
                self._start(self._sum(worker, message))
            case kind:
                self._hear_of_version(worker, kind, message["name"], message["number"], message)

    def _missed(self, worker: Worker) -> Message:
        """Return the changes that a worker does not know, and the number of the last one."""
        return {"missed": self._journal.after(worker.known), "until": self._journal.last}

    def _hear_of_version(
        self, worker: Worker, kind: str, name: str, number: int, message: Message
    ) -> None:
        board = self._switchboard
        match kind:
            case "place":
                worker.reply(message, slot=board.place(name, number))
            case "stand_by":
                board.stand_by(worker.index, name, number)
            case "fail":
                board.fail(worker.index, name, number, message["reason"])
            case "withdraw":
                board.withdraw(worker.index, name, number)
            case "end":
                board.end(worker.index, name, number)

    def _tell_decision(self, index: int, kind: str, name: str, number: int, reason: str) -> None:
        if (worker := self._workers.get(index)) is not None:
            worker.tell(kind, name=name, number=number, reason=reason)

    def _note_up(self, worker: Worker, ready: str) -> None:
        worker.is_up = True
        self._ready[worker.index] = ready
        if not self._announced and len(self._ready) == self._settings.workers:
            self._announced = True
            print(self._ready[0], flush=True)

    async def _share(self, asker: Worker, message: Message) -> None:
        """Have all other workers carry out a change; keep it for those that are started later."""
        change = message["change"]
        if change["do"] != "follow_rollouts":  # their file tells a new worker
            self._journal.keep(change)
        # Who has not joined yet is told when it asks to.
        others = [
            worker
            for worker in self._workers.values()
            if worker is not asker and worker.hears_changes
        ]
        replies = await asyncio.gather(
            *(worker.ask("change", _CHANGE_S, change=change) for worker in others)
        )
        problems = [reply["error"] for reply in replies if reply and "error" in reply]
        asker.reply(message, problems=problems)

    async def _sum(self, asker: Worker, message: Message) -> None:
        """Tell what all workers have counted, the dead ones included."""
        # What one does not tell in time is told as of last time: a sum never falls for that.
        workers = list(self._workers.values())
        await asyncio.gather(*(self._look_at(worker) for worker in workers))
        asker.reply(
            message,
            numbers=[*self._ended, *(worker.numbers for worker in workers if worker.numbers)],
            up=sum(worker.is_up for worker in workers),
            losses=self._losses,
            processes={
                "supervisor": os.getpid(),
                **{str(worker.index): worker.pid for worker in workers},
            },
        )

    async def _look_at(self, worker: Worker) -> None:
        reply = await worker.ask("numbers", _NUMBERS_S)
        if reply is not None and "numbers" in reply:
            worker.numbers = reply["numbers"]

    async def _feel_pulses(self) -> None:
        """Kill a worker that has been silent for half a minute: it would hold back every switch."""
        while True:
            await asyncio.sleep(_PULSE_S)
            up = [worker for worker in self._workers.values() if worker.is_up]
            replies = await asyncio.gather(
                *(worker.ask("alive", _LONGEST_SILENCE_S) for worker in up)
            )
            for worker, reply in zip(up, replies, strict=True):
                if reply is None and worker.is_up:
                    worker.problem = "it had not said anything for half a minute.", 1
                    worker.signal(signal.SIGKILL)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _wait_for_stdin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop when stdin closes, as it does when the parent process ends, however it ends."""
        while os.read(0, 1024):
            pass
        loop.call_soon_threadsafe(self._stopped.set)


def supervise(settings: ServerSettings, words: Sequence[str]) -> None:
    """Serve with several workers until asked to stop; see ``Supervisor``.

    Raises:
        InputError: A setting, a model or a port is not as it should be.
        ServingError: A worker did not start.
    """
    if sys.platform == "win32":
        raise InputError("Windows cannot share a port among workers.", "Leave `--workers` at 1.")

    async def run() -> None:
        await Supervisor(settings, words).run()

    with asyncio.Runner() as runner:
        runner.run(run())
