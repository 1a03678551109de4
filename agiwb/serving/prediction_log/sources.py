"""Where the rows of a model's log are at one moment: in open segments, and in parts."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agiwb.errors import WorkspaceError
from agiwb.serving.prediction_log.frame import (
    read_frames,
    read_frames_backwards,
    read_payload,
)
from agiwb.serving.prediction_log.payload import FORMAT, decode_prediction, format_of, time_of
from agiwb.serving.prediction_log.places import Part, day_of, id_of, parts_in, segments_in
from agiwb.serving.prediction_log.prediction import Prediction
from agiwb.serving.prediction_log.segment import warn_of_damage
from agiwb.serving.prediction_log.shared import shared_log

_CLOCKS_APART_S = 1.0
"""A file's time is that of the kernel's last tick, and a request's that of its beginning."""


@dataclass(frozen=True)
class OpenSegment:
    """A segment that stays readable when compaction deletes it.

    Attributes:
        path: The file.
        descriptor: Its descriptor.
        covered: The days whose rows are in Parquet already.
    """

    path: Path
    descriptor: int
    covered: frozenset[str]

    @property
    def identifier(self) -> str:
        """The segment's id."""
        return id_of(self.path)

    @property
    def newest(self) -> float:
        """No row is newer than this Unix time in seconds."""
        return os.fstat(self.descriptor).st_mtime + _CLOCKS_APART_S

    def content(self) -> memoryview:
        """Return the segment's bytes; a copy, because a writer may cut it back meanwhile."""
        chunks, place = [], 0
        while chunk := os.pread(self.descriptor, 1 << 26, place):
            chunks.append(chunk)
            place += len(chunk)
        return memoryview(b"".join(chunks))

    def frames(self, *, backwards: bool = False) -> Iterator[tuple[int, memoryview]]:
        """Yield offset and payload of the rows that are in no part; damage is warned of."""
        read = read_frames_backwards if backwards else read_frames

        def on_damage(start: int, end: int) -> None:
            warn_of_damage(self.path, start, end)

        told = False
        for offset, payload in read(self.content(), on_damage):
            if format_of(payload) != FORMAT:
                if not told:
                    logging.getLogger("agiwb").warning(
                        "%s holds predictions that are skipped: a later version of agiwb wrote "
                        "them.",
                        self.path,
                    )
                told = True
            elif not self.covered or day_of(time_of(payload)) not in self.covered:
                yield offset, payload

    def prediction_at(self, offset: int) -> Prediction:
        """Return what is in the frame at ``offset``, which was whole when it was found."""
        return decode_prediction(read_payload(self.descriptor, offset))


@contextlib.contextmanager
def open_sources(folder: Path) -> Iterator[tuple[list[OpenSegment], list[Part]]]:
    """Yield the segments and the parts, in which together each row is once.

    Segments come first: what is compacted after they were opened is still in them, what was before
    is in a part that is listed now.

    Raises:
        WorkspaceError: There are more segments than a process may open.
    """
    with contextlib.ExitStack() as opened:
        found: list[tuple[Path, int]] = []
        for path in segments_in(folder):
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno != errno.EMFILE:
                    raise
                raise WorkspaceError(
                    f"The folder {folder} holds more segments than a process may open.",
                    f"Run `python -m agiwb.serving.prediction_log.compaction {folder}` first.",
                ) from None
            opened.callback(os.close, descriptor)
            found.append((path, descriptor))
        parts = _parts(folder)
        days: dict[str, set[str]] = {}
        for part in parts:
            for identifier in part.ids:
                days.setdefault(identifier, set()).add(part.day)
        segments = [
            OpenSegment(path, descriptor, frozenset(days.get(id_of(path), ())))
            for path, descriptor in found
        ]
        yield segments, parts


def _parts(folder: Path) -> list[Part]:
    """Return the parts in a folder and those in the object store, each once, by day."""
    parts = parts_in(folder)
    if (shared := shared_log(folder)) is None:
        return parts
    here = {(part.day, part.path.name) for part in parts}
    parts += [part for part in shared.parts() if (part.day, part.path.name) not in here]
    return sorted(parts, key=lambda part: (part.day, part.path.name))
