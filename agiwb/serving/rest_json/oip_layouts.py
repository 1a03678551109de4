"""What JSON says about the binary tensors behind it, remembered.

A client that sends binary tensors says the same with every request, as long as their shapes are the
same. To read and check that again took a tenth of what a request of 32 rows costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from agiwb.artifacts.signature import Signature
from agiwb.runtimes.runtime import Tensors
from agiwb.serving.rest_json.oip_binary import read_binary

_MOST = 256
_LONGEST = 1024
"""Bytes of JSON; those who say more can afford to have it read."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the binary data an input is."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Layout(Generic[T]):
    """What was read of a JSON text that fits ``signature``.

    Attributes:
        signature: By which it was read.
        places: Of all inputs, which are the whole of the binary data.
        rest: What else the text says.
    """

    signature: Signature
    places: tuple[Place, ...]
    rest: T

    @property
    def bytes(self) -> int:
        """Of the binary data."""
        return self.places[-1].stop

    def read(self, binary: memoryview) -> Tensors:
        """Return the inputs, as ``read_binary`` does."""
        return {
            each.name: read_binary(
                binary[each.start : each.stop], each.dtype, each.shape, each.name
            )
            for each in self.places
        }


class Layouts(Generic[T]):
    """The newest layouts. Thread-safe: at worst one is read again."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, bytes], Layout[T]] = {}

    def recall(self, signature: Signature, text: bytes) -> Layout[T] | None:
        """Return what was remembered of ``text``, read by this very ``signature``."""
        known = self._known.get((id(signature), text))
        return known if known is not None and known.signature is signature else None

    def remember(self, text: bytes, layout: Layout[T]) -> None:
        """Keep a layout, unless its text is long."""
        if len(text) > _LONGEST:
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[id(layout.signature), text] = layout
