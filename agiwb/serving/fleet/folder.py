"""What the servers of a fleet tell each other, in a folder that all of them can write.

    members/<member>.json               what a server has loaded, rewritten at every look
    switches/<model>/<ordinal>.json     an agreement: which version answers from when on

A switch is made once and never changed. Its file gets its name by a hard link, which fails where
the name is taken, also on network file systems: of two servers that agree at once, one wins.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from agiwb.serving.fleet.timetable import Switch

_FORGET_S = 3600.0


@dataclass(frozen=True)
class Member:
    """What one server says of itself, by model.

    Attributes:
        name: Unique among all servers there were.
        beat: Changes each time it says so; a server whose beat stands still is gone.
        wants: The version its policy would have answer.
        holds: The versions that it can answer with.
        failed: Versions that it could not load, and why.
    """

    name: str
    beat: int = 0
    wants: Mapping[str, int] = field(default_factory=dict)
    holds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    failed: Mapping[str, Mapping[int, str]] = field(default_factory=dict)


class FleetFolder:
    """The files of a fleet. Thread and process safe; any method may raise OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members = path / "members"
        self._switches = path / "switches"

    def tell(self, member: Member) -> None:
        """Say what is so of ``member`` now; it need not survive a crash of the machine."""
        self._members.mkdir(parents=True, exist_ok=True)
        draft = self._members / f".{member.name}.part"
        draft.write_text(json.dumps(asdict(member)), "utf-8")
        draft.replace(self._members / f"{member.name}.json")

    def leave(self, name: str) -> None:
        """Take back what ``name`` has said: it answers no more."""
        (self._members / f"{name}.json").unlink(missing_ok=True)

    def members(self) -> list[Member]:
        """Return all that have not left, also those that are gone without a word."""
        found = []
        for path in sorted(self._members.glob("*.json")):
            with contextlib.suppress(FileNotFoundError):  # it left meanwhile
                found.append(_member(json.loads(path.read_bytes())))
        return found

    def forget_the_dead(self) -> None:
        """Delete what servers said that have said nothing for an hour."""
        for path in self._members.glob("*.json"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _FORGET_S:
                    path.unlink()

    def switches(self, model: str) -> list[Switch]:
        """Return the newest two switches of a model, in their order."""
        names = [path for path in self._of(model).glob("*.json") if path.stem.isdecimal()]
        newest = sorted(names, key=lambda path: int(path.stem))[-2:]
        return [Switch(**json.loads(path.read_bytes())) for path in newest]

    def add(self, model: str, switch: Switch) -> bool:
        """Agree upon a switch; return whether there was none of its ordinal yet."""
        folder = self._of(model)
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{uuid.uuid4().hex}.part"
        try:
            with draft.open("w") as stream:
                json.dump(asdict(switch), stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.link(draft, folder / f"{switch.ordinal:08d}.json")
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
        return True

    def _of(self, model: str) -> Path:
        return self._switches / quote(model, safe=" ")


def _member(told: Mapping[str, Any]) -> Member:
    return Member(
        told["name"],
        told["beat"],
        told["wants"],
        {model: tuple(numbers) for model, numbers in told["holds"].items()},
        {
            model: {int(number): why for number, why in failures.items()}
            for model, failures in told["failed"].items()
        },
    )
