"""Large JSON documents, read and written without holding up the other threads.

A parser holds Python's lock until it has read all that it was given. The one long list of a predict
body is therefore read in pieces, between which the event loop gets its turn, and the large arrays
of an answer are written likewise.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
from numpy.typing import NDArray

from agiwb.serving.rest_json.lenient_json import load_leniently

LARGE = 1 << 18
"""Bytes from which a document is worth the trouble, and a thread of its own."""

_PIECE_BYTES = 1 << 17
_MOST_LEVELS = 64
"""Of a row; each bracket behind a piece is compared with as many."""
_TO_THE_LIST = re.compile(
    rb'\s*\{(?:\s*"signature_name"\s*:\s*"[^"\\]*"\s*,)?\s*"(instances|inputs)"\s*:\s*\[\s*'
)
_OPENED = re.compile(rb"(?:\[\s*){1,%d}" % (_MOST_LEVELS + 1))


def has_large(arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Return whether one of ``arrays`` is large."""
    for array in arrays.values():  # noqa: SIM110  a generator costs each request a microsecond
        if array.nbytes >= LARGE:
            return True
    return False


def dump_in_pieces(array: NDArray[Any], dump: Callable[[NDArray[Any]], bytes]) -> bytes:
    """Return what ``dump`` returns for an array, called with pieces of it that are not large."""
    if array.nbytes <= _PIECE_BYTES or not array.ndim:
        return dump(array)
    rows = len(array) * _PIECE_BYTES // array.nbytes
    if not rows:
        return b"[%b]" % b",".join(dump_in_pieces(row, dump) for row in array)
    pieces = (dump(array[start : start + rows]) for start in range(0, len(array), rows))
    return b"[%b]" % b",".join(piece[1:-1] for piece in pieces)


def load_large(text: bytes) -> Any:
    """Return the JSON document ``text``; one that is read in pieces may hold NaN and infinities.

    Raises:
        JSONDecodeError: It is none, or could not be read in pieces and has what orjson cannot read.
    """
    with _without_looking_for_garbage():
        document = _load_in_pieces(text)
        return orjson.loads(text) if document is None else document


def _load_in_pieces(text: bytes) -> Any:
    """Return a predict body whose list can be read in pieces; None for any other document.

    No place of the cuts can make it read wrongly: if all pieces are the content of lists, then the
    pieces with the commas between them are the content of their concatenation.
    """
    head = _TO_THE_LIST.match(text)
    end = text.rfind(b"]")
    if head is None or end < head.end():
        return None
    opened = _OPENED.match(text, head.end(), end)
    levels = opened[0].count(b"[") if opened else 0
    if levels > _MOST_LEVELS:
        return None
    key = head[1].decode()
    rows: list[Any] = []
    try:
        document = orjson.loads(head[0] + text[end:])
        for start, stop in _pieces(text, head.end(), end, levels):
            piece = _load_piece(b"[%b]" % text[start:stop])
            if not piece:
                return None
            rows += piece
    except (ValueError, RecursionError):
        return None
    if document[key] != []:  # it came again behind the list
        return None
    document[key] = rows
    return document


def _pieces(text: bytes, start: int, end: int, levels: int) -> Iterator[tuple[int, int]]:
    """Yield where the pieces of a list's content begin and end, cut at commas between its rows.

    ``levels`` is how many brackets a row begins with.
    """
    between = re.compile(rb"(?:\]\s*){%d},\s*(?:\[\s*){%d}" % (levels, levels))
    while found := between.search(text, start + _PIECE_BYTES, end):
        stop = text.index(b",", found.start())
        yield start, stop
        start = stop + 1
    yield start, end  # if nothing is there, the comma was one too many


def _load_piece(piece: bytes) -> Any:
    try:
        return orjson.loads(piece)
    except orjson.JSONDecodeError:
        if b"NaN" in piece or b"Inf" in piece:
            return load_leniently(piece, is_whole=True)
        raise


@contextmanager
def _without_looking_for_garbage() -> Iterator[None]:
    """Let nobody look for garbage after every few hundred lists that are made in the block.

    Each look is at all that were made so far: millions of small lists would take many times longer
    to look through than to read.
    """
    looks = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looks:
            gc.enable()
