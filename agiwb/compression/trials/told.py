"""What a sweep tells of each candidate while others are still being made; written and read here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agiwb.runs.context import Context
from agiwb.runs.events import Event

_MADE = " was made."
_NOT_MADE = " could not be made: "


@dataclass(frozen=True)
class Told:
    """What is known of a candidate before all are measured together.

    Attributes:
        recipe: Its name.
        reason: Why it could not be made; empty if it was.
        validation_accuracy: Share right of the validation split, 0 to 1; None if it was not made.
        gzip_bytes: Its file after gzip; None if it was not made.
    """

    recipe: str
    reason: str = ""
    validation_accuracy: float | None = None
    gzip_bytes: int | None = None


def tell_made(context: Context, recipe: str, validation_error: float, gzip_bytes: float) -> None:
    """Tell that the recipe's file is there, and what is known of it at once."""
    context.say(f"{recipe}{_MADE}", validation_accuracy=1 - validation_error, gzip_bytes=gzip_bytes)


def not_made(recipe: str, reason: str) -> str:
    """Return the message that the recipe could not be made."""
    return f"{recipe}{_NOT_MADE}{reason}"


def read_told(events: Iterable[Event]) -> list[Told]:
    """Return what the events tell of candidates, in the order in which it was told."""
    found = []
    for event in events:
        if event.message.endswith(_MADE) and event.values:
            values = event.values
            found.append(
                Told(
                    event.message.removesuffix(_MADE),
                    validation_accuracy=values.get("validation_accuracy"),
                    gzip_bytes=int(values.get("gzip_bytes", 0)),
                )
            )
        elif _NOT_MADE in event.message:
            recipe, _, reason = event.message.partition(_NOT_MADE)
            found.append(Told(recipe, reason))
    return found


def is_of_candidate(message: str) -> bool:
    """Return whether a sweep's message says that a candidate was made, or was not."""
    return message.endswith(_MADE) or _NOT_MADE in message
