"""Pieces of work for crews: what they do and with whom is written into files."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from agiwb.crews.crew import Line


@dataclass(frozen=True)
class Piece:
    """A piece of work: it notes its beginning and its end, and waits in between for a file."""

    name: str
    notes: Path
    gate: Path | None = None


def get_ready() -> None:
    """Need nothing."""


def work(piece: Piece, line: Line) -> str:
    """Return the workspace it was done with; it asks, and wants its own name back."""
    with piece.notes.open("a") as notes:
        notes.write(f"begin {piece.name} {os.getpid()}\n")
    line.tell(piece.name)
    while piece.gate is not None and not piece.gate.exists():
        time.sleep(0.02)
    for number in range(3):
        assert line.ask((piece.name, number)) == f"{piece.name} {number}"
    with piece.notes.open("a") as notes:
        notes.write(f"end {piece.name}\n")
    return os.environ["AGIWB_WORKSPACE"]


def say_and_end(piece: Piece, line: Line) -> str:
    """Return the piece's name, said twice just before: as a number and as it is."""
    line.tell(int(piece.name))
    line.tell(piece.name)
    return piece.name


def answer(number: int, what: object) -> object:
    """Return the answer to what a piece of work asks."""
    return f"{what[0]} {what[1]}" if isinstance(what, tuple) else None
