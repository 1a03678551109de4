"""How deep and how long a JSON document may be, checked before it is parsed."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from agiwb.errors import InputError

PARSER_LEVELS = 1024
"""Levels of nesting at which orjson stops, before its stack could overflow."""

# A string, its escapes included; possessive, so that the time is linear whatever comes.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_BRACKETS = b"[]{}"
_NO_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))


@dataclass(frozen=True, slots=True)
class Limits:
    """What a document may hold.

    Attributes:
        levels: Of lists and objects in one another; more than 1024 mean 1024.
        values: Entries of all lists and objects together.
    """

    levels: int = PARSER_LEVELS
    values: int = 1 << 24


DEFAULT_LIMITS = Limits()


def check_limits(text: bytes, limits: Limits = DEFAULT_LIMITS) -> None:
    """Raise InputError if the document is nested too deeply or holds too many values.

    The time is linear in the document's length, and next to nothing for one that is too short, or
    has too few brackets, to go beyond a limit. It need not be valid JSON.
    """
    if limits.levels < PARSER_LEVELS and _is_deeper(text, limits.levels):
        raise too_deep(limits.levels)
    # A value and its comma take two characters.
    if len(text) > 2 * limits.values and text.count(b",") >= limits.values:
        raise InputError(
            f"The JSON document holds more than {limits.values} values.",
            "Ask for fewer examples at a time.",
        )


def too_deep(levels: int) -> InputError:
    """Return what to raise for a document of more than ``levels`` levels."""
    return InputError(
        f"JSON Parse error: lists and objects are nested more than {levels} levels deep.",
        "A tensor has as many levels as dimensions.",
    )


def _is_deeper(text: bytes, levels: int) -> bool:
    if text.count(b"[") + text.count(b"{") <= levels:
        return False
    brackets = _STRING.sub(b"", text).translate(None, _NO_BRACKETS)
    # Of the openers, 0x5B and 0x7B, bit 1 is set; of the closers, 0x5D and 0x7D, bit 2.
    steps = 3 - (np.frombuffer(brackets, np.uint8) & 0b110).astype(np.int64)
    return bool(steps.cumsum().max(initial=0) > levels)
