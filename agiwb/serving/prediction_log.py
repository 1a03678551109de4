"""What was asked of a model and what it answered, kept on disk for monitoring.

A model's log is a folder, ``predictions/<model>/``. Each server process appends to a segment of its
own, a file of JSON lines, one line for each request. A request's line is in the file before its
answer is sent, so a server that is killed loses nothing it has acknowledged.
"""

from __future__ import annotations

import logging
import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import InputError, ServingError
from agiwb.runtimes.runtime import Tensors
from agiwb.serving.json_text import dump_json, load_json

_SUFFIX = ".jsonl"
# Features may be personal: for this user alone.
_FILE_MODE = 0o600


@dataclass(frozen=True)
class Prediction:
    """One request: ``time`` is Unix time in seconds, ``latency_ms`` from its body to its answer."""

    request_id: str
    time: float
    model: str
    version: int
    inputs: Tensors
    outputs: Tensors
    latency_ms: float


class PredictionLog:
    """Appends to one segment.

    Thread safety: ``append`` is called from one thread at a time. Atomicity: a line is written by
    one call to the system; if that fails the segment is cut back to its former end. A line
    survives the death of the process, not that of the machine within its last seconds.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{os.getpid()}{_SUFFIX}"
        self._descriptor: int | None = None

    def append(self, prediction: Prediction) -> None:
        """Write one line; the segment is made at the first.

        Raises:
            ServingError: The disk is full, or the folder cannot be written.
        """
        line = dump_json(vars(prediction)) + b"\n"
        try:
            if self._descriptor is None:
                self._descriptor = self._open()
            self._write(self._descriptor, line)
        except OSError as error:
            raise ServingError(
                f"The prediction could not be logged: {error.strerror}.",
                "Free some space, or serve without logging predictions.",
            ) from error

    def close(self) -> None:
        """Close the segment."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _FILE_MODE)

    def _write(self, descriptor: int, line: bytes) -> None:
        written = os.write(descriptor, line)
        if written < len(line):
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
            raise OSError(0, "the disk is full")


@dataclass(frozen=True)
class PredictionWindow:
    """Predictions in order of time, one row each; a request may hold several.

    Attributes:
        times: float64, shape ``(rows,)``, Unix time in seconds.
        features: float32, shape ``(rows, ...)``, the first input.
        probabilities: float32, shape ``(rows, classes)``, the first output.
        versions: int64, shape ``(rows,)``, the version that answered.
    """

    times: NDArray[np.float64]
    features: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    versions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.times)

    def between(self, start: float, end: float) -> PredictionWindow:
        """Return the rows of the time from ``start`` to ``end``, Unix times in seconds."""
        rows = (self.times >= start) & (self.times <= end)
        return PredictionWindow(
            self.times[rows], self.features[rows], self.probabilities[rows], self.versions[rows]
        )


@dataclass(frozen=True)
class _Entry:
    time: float
    version: int
    features: NDArray[np.float32]
    probabilities: NDArray[np.float32]


def read_predictions(folder: Path, last_rows: int | None = None) -> PredictionWindow:
    """Return the newest ``last_rows`` predictions logged in ``folder``, or all of them.

    Lines that are torn, as a power cut may leave them, are skipped with a warning; a last line that
    is still being written is skipped without. So are rows whose shapes are not the newest line's:
    they belong to a model with another signature.
    """
    entries: list[_Entry] = []
    for segment in _newest_first(folder):
        if _is_enough(entries, segment, last_rows):
            break
        entries += _read_tail(segment, last_rows, entries[0] if entries else None)
    entries.sort(key=lambda entry: entry.time)
    return _window(entries, last_rows)


def _newest_first(folder: Path) -> list[Path]:
    segments = [(path.stat().st_mtime, path) for path in folder.glob(f"*{_SUFFIX}")]
    return [path for _, path in sorted(segments, reverse=True)]


def _is_enough(entries: list[_Entry], segment: Path, last_rows: int | None) -> bool:
    """Return whether nothing in ``segment`` can be newer than the rows already found."""
    if last_rows is None:
        return False
    last_write = segment.stat().st_mtime
    newer = [entry for entry in entries if entry.time > last_write]
    return sum(len(entry.features) for entry in newer) >= last_rows


def _read_tail(segment: Path, last_rows: int | None, like: _Entry | None) -> list[_Entry]:
    """Return the segment's newest entries, enough for ``last_rows`` rows.

    They have the shapes of ``like``, by default those of the newest.
    """
    entries: list[_Entry] = []
    rows = damaged = 0
    for line in _lines_backwards(segment):
        if last_rows is not None and rows >= last_rows:
            break
        entry = _parse(line)
        if entry is None:
            damaged += 1
            continue
        like = like or entry
        if _shapes(entry) != _shapes(like):
            continue
        entries.append(entry)
        rows += len(entry.features)
    if damaged:
        logging.getLogger("agiwb").warning("%s: %d damaged lines are skipped.", segment, damaged)
    return entries


def _lines_backwards(segment: Path) -> Iterator[bytes]:
    """Yield the segment's complete lines, the last one first."""
    if segment.stat().st_size == 0:
        return
    with (
        segment.open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        end = content.rfind(b"\n")
        while end > 0:
            start = content.rfind(b"\n", 0, end) + 1
            yield content[start:end]
            end = start - 1


def _parse(line: bytes) -> _Entry | None:
    try:
        document = load_json(line)
        features, probabilities = _first(document["inputs"]), _first(document["outputs"])
        entry = _Entry(document["time"], document["version"], features, probabilities)
    except (InputError, LookupError, TypeError, ValueError):
        return None
    return entry if len(features) == len(probabilities) else None


def _first(tensors: Mapping[str, Any]) -> NDArray[np.float32]:
    return np.atleast_1d(np.array(next(iter(tensors.values()), []), np.float32))


def _shapes(entry: _Entry) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return entry.features.shape[1:], entry.probabilities.shape[1:]


def _window(entries: list[_Entry], last_rows: int | None) -> PredictionWindow:
    if not entries:
        nothing = np.zeros((0, 0), np.float32)
        return PredictionWindow(np.zeros(0), nothing, nothing, np.zeros(0, np.int64))
    counts = [len(entry.features) for entry in entries]
    newest = slice(-last_rows if last_rows else None, None)
    return PredictionWindow(
        times=np.repeat(np.array([entry.time for entry in entries], np.float64), counts)[newest],
        features=np.concatenate([entry.features for entry in entries])[newest],
        probabilities=np.concatenate([entry.probabilities for entry in entries])[newest],
        versions=np.repeat(np.array([entry.version for entry in entries], np.int64), counts)[
            newest
        ],
    )
