"""What a worker shares with the others: when versions answer, what is changed, what was counted."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from agiwb.errors import ServingError
from agiwb.serving.engine import Engine
from agiwb.serving.servables.catalogue import Catalogue
from agiwb.serving.workers.assignment import Assignment
from agiwb.serving.workers.changes import carry_out
from agiwb.serving.workers.gates import Gate, Gates
from agiwb.serving.workers.link import Link, Message
from agiwb.serving.workers.numbers import numbers_of
from agiwb.serving.workers.summed_metrics import SummedMetrics

_LONGEST_JOIN_S = 120.0
_LOOK_S = 0.02
_LONGEST_LABELS_S = 20.0
_NUMBERS_TIMEOUT_S = 5.0
_CHANGE_TIMEOUT_S = 30.0


class Crew:
    """The other workers, as one of them sees them; the catalogue's admissions. Thread-safe.

    Attributes:
        index: Which worker this is, from 0.
        workers: How many there are.
        link: To the supervisor.
        on_drain: Called when the server is about to stop.
    """

    def __init__(self, assignment: Assignment) -> None:
        """Take up the assignment; nothing is said before ``start``."""
        self.index = assignment.index
        self.workers = assignment.workers
        self.link = Link(assignment.link)
        self._gates = Gates(assignment.gates)
        os.close(assignment.gates)
        self._required: dict[str, list[int]] = {}
        self._missed: list[Message] = []
        self._missed_until = 0
        self._leaving = threading.Event()
        self.on_drain: Callable[[], None] = lambda: None

    def start(self, engine: Engine) -> None:
        """Begin to follow the supervisor, and learn what the others answer with.

        Raises:
            ServingError: The supervisor does not answer.
        """
        catalogue, rollout = engine.catalogue, engine.rollout
        decided: dict[str, Callable[[str, int], None]] = {
            "admit": catalogue.admit,
            "dismiss": catalogue.dismiss,
        }
        self.link.start(
            {
                **{kind: partial(_decide, decide) for kind, decide in decided.items()},
                "hold_back": lambda order: _hold_back(catalogue, order),
                "numbers": lambda _: _numbers(engine),
                "alive": lambda _: {},
                "drain": lambda _: self._drain(),
            },
            {"change": lambda order: carry_out(catalogue, rollout, order["change"])},
        )
        greeting = self.link.ask("greet")
        self._required = greeting["required"]
        self._note_missed(greeting)
        self._carry_out = partial(carry_out, catalogue, rollout)

    def join(self) -> None:
        """Return once this worker has all that the others answer with; it may then answer.

        What was changed while it began is made up for here. From then on it is told of changes.

        Raises:
            ServingError: It could not load that within two minutes.
        """
        ends = time.monotonic() + _LONGEST_JOIN_S
        labels_end = time.monotonic() + _LONGEST_LABELS_S
        while not self._leaving.is_set():
            for change in self._missed:
                self._carry_out(change, max(0.0, labels_end - time.monotonic()))
            reply = self.link.ask("join", done=self._missed_until)
            if reply["joined"]:
                self._required = {}
                return
            self._required = reply["required"]
            self._note_missed(reply)
            if time.monotonic() > ends:
                names = ", ".join(f"{name} {numbers}" for name, numbers in self._required.items())
                raise ServingError(
                    f"Worker {self.index} could not load what the other workers answer with "
                    f"({names}).",
                    "Its log tells why; are those versions still in their base path?",
                )
            if not self._missed:
                self._leaving.wait(_LOOK_S)

    def leave(self) -> None:
        """Have ``join`` return at once: the server stops."""
        self._leaving.set()

    def up(self, ready: str) -> None:
        """Say that this worker answers; ``ready`` is the line for who started the server."""
        self.link.tell("up", ready=ready)

    def failed(self, error: ServingError | Exception, exit_code: int) -> None:
        """Say why this worker ends."""
        self.link.tell("failed", problem=str(error), exit_code=exit_code)

    def share(self, change: Mapping[str, Any]) -> list[str]:
        """Have the other workers carry out ``change``, too; return what went wrong there."""
        reply = self.link.ask("share", _CHANGE_TIMEOUT_S, change=dict(change))
        problems: list[str] = reply["problems"]
        return problems

    def hint(self, change: Mapping[str, Any]) -> None:
        """Have the other workers carry out ``change``, without waiting for them."""
        self.link.tell("share", change=dict(change))

    def summed_metrics(self) -> SummedMetrics:
        """Return the sums of what all workers have counted.

        Raises:
            ServingError: The supervisor does not answer.
        """
        return SummedMetrics(self.link.ask("sum", _NUMBERS_TIMEOUT_S))

    # What the catalogue asks; see agiwb.serving.servables.admission.

    def place(self, name: str, number: int) -> Gate:
        """Return the gate that all workers share for this version."""
        slot: int = self.link.ask("place", name=name, number=number)["slot"]
        return Gate(self._gates, slot)

    def stand_by(self, name: str, number: int) -> None:
        """Say that this worker can answer with the version."""
        self.link.tell("stand_by", name=name, number=number)

    def fail(self, name: str, number: int, reason: str) -> None:
        """Say that this worker cannot load the version."""
        self.link.tell("fail", name=name, number=number, reason=reason)

    def withdraw(self, name: str, number: int) -> None:
        """Ask to unload a version that stands by."""
        self.link.tell("withdraw", name=name, number=number)

    def end(self, name: str, number: int) -> None:
        """Say that the version is unloaded."""
        self.link.tell("end", name=name, number=number)

    def want(self, name: str, number: int | None) -> None:
        """Do nothing: who has a version loaded wants it."""

    def required(self, name: str) -> Collection[int]:
        """Return what the others answer with, until this worker does as well."""
        return self._required.get(name, ())

    def _drain(self) -> Message:
        self.on_drain()
        return {}

    def _note_missed(self, reply: Message) -> None:
        """Keep what was changed, elsewhere, up to the number that the supervisor tells."""
        self._missed, self._missed_until = reply["missed"], reply["until"]


def _decide(decide: Callable[[str, int], None], order: Message) -> Message:
    decide(order["name"], order["number"])
    return {}


def _numbers(engine: Engine) -> Message:
    engine.note_shares()
    return {"numbers": numbers_of(engine.metrics)}


def _hold_back(catalogue: Catalogue, order: Message) -> Message:
    catalogue.hold_back(order["name"], order["number"], order["reason"])
    return {}
