"""A fleet, as one of its servers sees it: when a version may answer, agreed by all.

Servers look at the model repository at different moments and load at different speeds. If each
answered with a new version as soon as it has it, a client whose next request reaches another server
would see the old one again. So a version that is loaded stands by until all servers have it; then
one of them writes down a moment that lies ahead by several looks, and from that moment on each
answers with it, by its own clock and without asking anybody.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path

from agiwb.errors import ServingError, WorkspaceError
from agiwb.serving.fleet.folder import FleetFolder, Member
from agiwb.serving.fleet.timetable import Switch, TimedAdmission, Timetable
from agiwb.serving.servables.catalogue import Catalogue

LEAD_S = 5.0
"""Seconds from an agreement to the switch."""
_LOOKS_A_LEAD = 10
_SILENT, _GONE = 0.6, 3.0
"""Leads without a look, after which a server is not ready, and after which none waits for it.

Who sends the requests has the rest of the lead to notice, before a switch it cannot know of.
"""
_LONGEST_JOIN_S = 120.0

_log = logging.getLogger("agiwb")


class Fleet:
    """The other servers; the catalogue's admissions. Thread-safe.

    Guaranteed, as long as the servers' clocks agree and each looks in time: of two requests, one
    sent after the other was answered, the second is not answered with what came before. A server
    that cannot look, or lacks what the others answer with, says so by ``hindrance``, and is to be
    taken out by who sends the requests.

    Attributes:
        lead_s: Seconds from an agreement to the switch.
    """

    def __init__(self, path: Path, lead_s: float = LEAD_S) -> None:
        """Hold the folder that all servers of the fleet share; nothing is said before ``start``."""
        self._folder = FleetFolder(path)
        self.lead_s, self._look_s = lead_s, lead_s / _LOOKS_A_LEAD
        host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())
        self._name = f"{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._catalogue: Catalogue | None = None
        self._changing = threading.Lock()
        self._timetables: dict[str, Timetable] = {}
        self._wants: dict[str, int] = {}
        self._holds: dict[str, set[int]] = {}
        self._waits: set[tuple[str, int]] = set()
        self._withdrawn: set[tuple[str, int]] = set()
        self._failed: dict[str, dict[int, str]] = {}
        self._beat = 0
        self._seen: dict[str, tuple[int, float]] = {}
        self._lacking = "It has not looked at its fleet yet."
        self._looked_at = time.monotonic()
        self._wake = threading.Event()
        self._stopping = self._in_trouble = False
        self._thread = threading.Thread(target=self._follow, name="fleet", daemon=True)

    def start(self, catalogue: Catalogue) -> None:
        """Begin to look, twice a second, and learn what the others answer with.

        Raises:
            WorkspaceError: The folder cannot be read or written.
        """
        self._catalogue = catalogue
        for model in catalogue.models():
            self._timetable(model.name)
        try:
            self._folder.forget_the_dead()
            self._look()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WorkspaceError(
                f"The fleet's folder {self._folder.path} cannot be used: {error}.",
                "Give a folder that every server of the fleet can read and write.",
            ) from error
        self._thread.start()

    def join(self) -> None:
        """Return once this server has what the others answer with, or is stopped.

        Raises:
            ServingError: It could not load that within two minutes.
        """
        ends = time.monotonic() + _LONGEST_JOIN_S
        while (lacking := self.hindrance()) and not self._stopping:
            if time.monotonic() > ends:
                raise ServingError(
                    f"This server cannot join its fleet. {lacking}",
                    "Its log tells why; is that version still in the base path?",
                )
            time.sleep(self._look_s / 10)

    def stop(self) -> None:
        """Leave the fleet, once no request is answered any more."""
        self._stopping = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(2 * self._look_s)
        try:
            self._folder.leave(self._name)
        except OSError as error:
            _log.warning("The fleet is not told that this server leaves: %s", error)

    def hindrance(self) -> str:
        """Return why this server should be sent no requests; "" if it should."""
        if time.monotonic() - self._looked_at > _SILENT * self.lead_s:
            return "It cannot reach its fleet's folder."
        return self._lacking

    # What the catalogue asks; see agiwb.serving.servables.admission.

    def place(self, name: str, number: int) -> TimedAdmission:
        """Return the admission of a version."""
        return TimedAdmission(self._timetable(name), number)

    def want(self, name: str, number: int | None) -> None:
        """Take note of the version that the model's policy would have answer."""
        with self._changing:
            if number is not None and self._wants.get(name) != number:
                self._wants[name] = number
                self._wake.set()

    def stand_by(self, name: str, number: int) -> None:
        """Say that this server can answer with the version."""
        with self._changing:
            self._holds.setdefault(name, set()).add(number)
            self._failed.get(name, {}).pop(number, None)
            self._waits.add((name, number))
        self._wake.set()

    def fail(self, name: str, number: int, reason: str) -> None:
        """Say that this server cannot load the version."""
        with self._changing:
            self._failed.setdefault(name, {})[number] = reason
        self._wake.set()

    def withdraw(self, name: str, number: int) -> None:
        """Ask to unload a version that stands by."""
        with self._changing:
            self._withdrawn.add((name, number))
        self._wake.set()

    def end(self, name: str, number: int) -> None:
        """Say that the version is unloaded."""
        with self._changing:
            held = self._holds.get(name, set())
            held.discard(number)
            if not held:  # until it wants one again, the others need not wait for this server
                self._wants.pop(name, None)
            for kept in (self._waits, self._withdrawn):
                kept.discard((name, number))
        self._wake.set()

    def required(self, name: str) -> Collection[int]:
        """Return what the fleet answers with, and what it is about to."""
        return self._timetable(name).required()

    def _timetable(self, name: str) -> Timetable:
        with self._changing:
            return self._timetables.setdefault(name, Timetable())

    def _follow(self) -> None:
        while not self._stopping:
            self._wake.clear()
            begun = time.monotonic()
            try:
                self._look()
                self._decide()
                self._in_trouble = False
            except Exception:  # the next look may do better
                if not self._in_trouble:
                    logging.getLogger("agiwb").exception("The fleet cannot be looked at.")
                self._in_trouble = True
            due = min(
                (left for one in list(self._timetables.values()) if (left := one.seconds_left())),
                default=self._look_s,
            )
            # However often it is woken, it looks ten times a second at most.
            time.sleep(min(due, self._look_s / 5))
            self._wake.wait(max(0.0, begun + min(due, self._look_s) - time.monotonic()))

    def _look(self) -> None:
        """Say what is so here, hear what is elsewhere, and agree where all are of one mind."""
        begun = time.monotonic()
        self._folder.tell(self._myself())
        told = self._folder.members()
        for name in list(self._timetables):
            self._follow_switches(name)
            self._agree(name, self._living(told, name))
        self._lacking = self._what_is_lacking(told)
        self._looked_at = begun

    def _myself(self) -> Member:
        with self._changing:
            self._beat += 1
            return Member(
                self._name,
                self._beat,
                dict(self._wants),
                {name: tuple(sorted(numbers)) for name, numbers in self._holds.items()},
                {name: dict(failures) for name, failures in self._failed.items()},
            )

    def _living(self, told: Collection[Member], name: str) -> list[Member]:
        """Return the members that serve a model and have spoken lately, by our own clock."""
        now = time.monotonic()
        for member in told:
            if self._seen.get(member.name, (None, 0.0))[0] != member.beat:
                self._seen[member.name] = member.beat, now
        return [
            member
            for member in told
            if now - self._seen[member.name][1] <= _GONE * self.lead_s
            and (name in member.wants or name in member.holds)
        ]

    def _follow_switches(self, name: str) -> None:
        table = self._timetable(name)
        known = table.last
        table.follow(self._folder.switches(name))
        if table.last != known:
            _log.info(
                "The fleet answers with version %s of %s %s.",
                table.agreed,
                name,
                f"in {table.seconds_left():.1f} s" if table.seconds_left() else "now",
            )

    def _agree(self, name: str, living: Collection[Member]) -> None:
        """Have a version that all want and hold be switched to; one switch at a time."""
        table = self._timetable(name)
        with self._changing:
            number = self._wants.get(name)
            is_here = number in self._holds.get(name, ())
        if number is None or not is_here or number == table.agreed or table.seconds_left():
            return
        if not all(
            member.wants.get(name) == number and number in member.holds.get(name, ())
            for member in living
        ):
            return
        # Where nobody answers with anything, nobody needs to be waited for.
        answers = any(table.agreed in member.holds.get(name, ()) for member in living)
        at = time.time() + (self.lead_s if answers else 0.0)
        self._folder.add(name, Switch(table.last + 1, number, at))
        self._follow_switches(name)

    def _what_is_lacking(self, told: Collection[Member]) -> str:
        for name, table in list(self._timetables.items()):
            others = [one for one in self._living(told, name) if one.name != self._name]
            for number in table.required():
                with self._changing:
                    is_here = number in self._holds.get(name, ())
                if not is_here and any(number in one.holds.get(name, ()) for one in others):
                    return f"The other servers answer with version {number} of {name}."
        return ""

    def _decide(self) -> None:
        """Tell the catalogue what became of the versions that stand by."""
        assert self._catalogue is not None  # noqa: S101  it is started
        with self._changing:
            waits, withdrawn = sorted(self._waits), set(self._withdrawn)
            wants = dict(self._wants)
        failures = self._failures() if waits else {}
        for name, number in waits:
            answering = self._timetable(name).answering()
            if number == answering or number not in (wants.get(name), self._timetable(name).agreed):
                # Also what can be had by its number only: it takes nobody's place.
                if (name, number) in withdrawn and number != answering:
                    self._catalogue.dismiss(name, number)
                else:
                    self._catalogue.admit(name, number)
                with self._changing:
                    self._waits.discard((name, number))
                    self._withdrawn.discard((name, number))
            elif reason := failures.get((name, number)):
                self._catalogue.hold_back(name, number, reason)

    def _failures(self) -> Mapping[tuple[str, int], str]:
        """Return by version why others could not load it."""
        found: dict[tuple[str, int], str] = {}
        for member in self._folder.members():
            for name, failures in member.failed.items():
                for number, why in failures.items():
                    if member.name != self._name:
                        found[name, number] = f"The server {member.name} cannot load it: {why}"
        return found
