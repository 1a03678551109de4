"""Pieces of work for crews: what they do and with whom is written into files."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from agiwb.crews.crew import Line


@dataclass(frozen=True)
class Piece:
    """A piece of work: it notes its beginning and its end in ``notes``, and takes ``seconds``."""

    name: str
    notes: Path
    seconds: float = 0.0


def get_ready() -> None:
    """Need nothing."""


def work(piece: Piece, line: Line) -> str:
    """Return the workspace it was done with; halfway it asks, and wants its own name back."""
    with piece.notes.open("a") as notes:
        notes.write(f"begin {piece.name} {os.getpid()}\n")
    line.tell(piece.name)
    time.sleep(piece.seconds / 2)
    for number in range(3):
        assert line.ask((piece.name, number)) == f"{piece.name} {number}"
    time.sleep(piece.seconds / 2)
    with piece.notes.open("a") as notes:
        notes.write(f"end {piece.name}\n")
    return os.environ["AGIWB_WORKSPACE"]


def answer(number: int, what: object) -> object:
    """Return the answer to what a piece of work asks."""
    return f"{what[0]} {what[1]}" if isinstance(what, tuple) else None
