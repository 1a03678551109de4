"""A segment: the file that one process appends to for one model."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import time
from pathlib import Path
from typing import Literal

from agiwb.serving.prediction_log.places import segment_name

Durability = Literal["process", "disk", "none"]

# Features may be personal: for this user alone.
_FILE_MODE = 0o600
_FOLDER_MODE = 0o700
_BUFFER_BYTES = 1 << 16


class Segment:
    """An open segment; as long as it is, its file is locked, and the kernel frees the lock.

    Atomicity: what is appended together is written by one call to the system; if that fails the
    file is cut back to its former end. Thread safety: none; the log holds a lock.

    Attributes:
        path: The file.
        descriptor: Its descriptor; -1 once it is closed.
        size: Its bytes, with those in the buffer.
        opened_at: ``time.monotonic()`` of its beginning.
        rows_in_buffer: Predictions acknowledged that the death of this process would lose.
        is_dirty: Whether something was written that may not be on the disk.
    """

    def __init__(self, folder: Path, durability: Durability) -> None:
        """Make the file.

        Raises:
            OSError: The folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=_FOLDER_MODE)
        self.path = folder / segment_name(time.time(), secrets.token_hex(6))
        self.size = 0
        self.opened_at = time.monotonic()
        self.is_dirty = False
        self.rows_in_buffer = 0
        self._buffer: bytearray | None = bytearray() if durability == "none" else None
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        if durability == "disk":
            flags |= os.O_DSYNC
        # It gets its name only once it is locked, so that nobody takes it for one without a writer.
        draft = self.path.with_name(f".{self.path.name}")
        self.descriptor = os.open(draft, flags, _FILE_MODE)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            draft.rename(self.path)
            if durability == "disk":
                sync_folder(folder)
        except OSError:
            self.close()
            draft.unlink(missing_ok=True)
            raise

    def append(self, frames: bytes, rows: int) -> None:
        """Write whole frames, which hold ``rows`` predictions.

        Raises:
            OSError: They could not be written, and none of them is in the file or the buffer; or
                what was in the buffer could not, and still is there.
        """
        if self._buffer is None:
            self._write(frames)
            return
        if len(self._buffer) >= _BUFFER_BYTES:
            self.flush()
        self._buffer += frames
        self.rows_in_buffer += rows
        self.size += len(frames)

    def flush(self) -> None:
        """Write what is in the buffer; if that fails it stays there.

        Raises:
            OSError: It could not be written.
        """
        if self._buffer:
            self._write(bytes(self._buffer))
            self.drain()

    def drain(self) -> tuple[bytes, int]:
        """Empty the buffer; return the frames that were in it and how many predictions."""
        drained = bytes(self._buffer or b""), self.rows_in_buffer
        if self._buffer:
            self._buffer.clear()
        self.rows_in_buffer = 0
        self.size -= len(drained[0])
        return drained

    def sync(self) -> None:
        """Return once what was written is on the disk; at once if it is, or the file is closed.

        Raises:
            OSError: It is unknown what is on the disk.
        """
        if self.is_dirty and self.descriptor >= 0:
            # Before: what is written meanwhile is for the next time.
            self.is_dirty = False
            os.fdatasync(self.descriptor)

    def is_gone(self) -> bool:
        """Return whether somebody has deleted the file."""
        return os.fstat(self.descriptor).st_nlink == 0

    def close(self) -> None:
        """Close the file, which seals it. What is in the buffer is lost: ``flush`` first."""
        descriptor, self.descriptor = self.descriptor, -1
        with contextlib.suppress(OSError):
            os.close(descriptor)

    def _write(self, frames: bytes) -> None:
        self.is_dirty = True
        written = os.write(self.descriptor, frames)
        if written < len(frames):
            try:
                # The second attempt says what is the matter.
                while written < len(frames):
                    written += os.write(self.descriptor, memoryview(frames)[written:])
            except OSError:
                os.ftruncate(self.descriptor, os.fstat(self.descriptor).st_size - written)
                raise
        self.size += written


def sync_folder(folder: Path) -> None:
    """Return once the names in ``folder`` are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def warn_of_damage(path: Path, start: int, end: int) -> None:
    """Say that some bytes of a segment are lost."""
    logging.getLogger("agiwb").warning(
        "%s is damaged: its bytes from %d to %d hold no prediction and are skipped.",
        path,
        start,
        end - 1,
    )
