"""The prediction log that a server appends to."""

from __future__ import annotations

import errno
import hashlib
import logging
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from agiwb.errors import ServingError
from agiwb.serving.prediction_log.frame import encode_frame
from agiwb.serving.prediction_log.places import folder_of
from agiwb.serving.prediction_log.policy import LogPolicy
from agiwb.serving.prediction_log.prediction import Prediction
from agiwb.serving.prediction_log.redaction import Redactor
from agiwb.serving.prediction_log.segment import Segment

_LOOK_S = 1.0
_MOST_RETIRED = 16
"""Segments that wait to be closed; whoever retires one more waits for the disk, too."""
_FIX = "Free some space, or serve without logging predictions."
_REASONS = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "quota",
    errno.EFBIG: "file_too_large",
    errno.EIO: "disk_error",
    errno.EACCES: "permission",
    errno.EROFS: "permission",
    errno.EPERM: "permission",
}
_NOT_THE_FILES_FAULT = {errno.ENOSPC, errno.EDQUOT}


class PredictionLog:
    """Appends the predictions of a server's models, each to a segment of its own.

    What ``append`` has returned from survives what the policy's ``durability`` says. After an
    error each new prediction is tried again, so that logging goes on once there is space.

    Thread safety: every method may be called from any thread.

    Attributes:
        logged: Predictions appended, by model.
        lost: Predictions that could not be, by model and reason (``disk_full``, ``quota``,
            ``file_too_large``, ``disk_error``, ``permission``, ``encoding``, ``other``).
            With durability ``none`` they may have been counted as logged before.
    """

    def __init__(self, folder: Path, *, policy: LogPolicy | None = None) -> None:
        """Log below ``folder``, ``<workspace>/predictions``; nothing is made before the first.

        Raises:
            ConfigError: The key that the policy's rules need is missing or too short.
        """
        self.policy = policy or LogPolicy()
        self._logged: Counter[str] = Counter()
        self._lost: Counter[tuple[str, str]] = Counter()
        self.logged: Mapping[str, int] = self._logged
        self.lost: Mapping[tuple[str, str], int] = self._lost
        self._folder = folder
        hides = bool(self.policy.redact) or self.policy.unnamed == "drop"
        self._redactor = Redactor(self.policy) if hides else None
        self._samples = self.policy.share < 1
        self._segment_bytes = self.policy.segment_bytes
        self._sampling_key = str(self.policy.seed).encode()
        self._segments: dict[str, Segment] = {}
        self._failing: set[str] = set()
        self._retired: deque[Segment] = deque()
        self._lock = threading.Lock()
        self._closing = threading.Lock()
        self._closed = threading.Event()
        self._keeper: threading.Thread | None = None

    def append(self, prediction: Prediction) -> None:
        """Log one prediction, unless it is outside the sampled share.

        Raises:
            ServingError: It could not be logged, and the policy is to refuse then.
        """
        if frame := self._frame(prediction):
            self._write(prediction.model, frame, 1)

    def append_all(self, predictions: Sequence[Prediction]) -> list[ServingError | None]:
        """Log predictions of one model by one write, those inside the sampled share.

        Returns:
            For each why it is to be refused, as it could not be logged; None for all others.
        """
        refusals: list[ServingError | None] = [None] * len(predictions)
        places, frames = [], []
        for place, prediction in enumerate(predictions):
            try:
                frame = self._frame(prediction)
            except ServingError as refusal:
                refusals[place] = refusal
                continue
            if frame:
                places.append(place)
                frames.append(frame)
        if frames:
            try:
                self._write(predictions[0].model, b"".join(frames), len(frames))
            except ServingError as refusal:
                for place in places:
                    refusals[place] = refusal
        return refusals

    def seal(self) -> None:
        """End all segments, so that they can be compacted; the next prediction begins a new one.

        Raises:
            ServingError: What was buffered could not be written, and the policy is to refuse.
        """
        refusals = []
        with self._lock:
            for model, segment in list(self._segments.items()):
                try:
                    self._flush(model, segment)
                except ServingError as refusal:
                    refusals.append(refusal)
                self._retire(model)
        self._close_retired()
        if refusals:
            raise refusals[0]

    def close(self) -> None:
        """End all segments and the thread that keeps them.

        Raises:
            ServingError: As ``seal``; everything is ended nevertheless.
        """
        self._closed.set()
        if self._keeper is not None:
            self._keeper.join()
            self._keeper = None
        self.seal()

    def _is_sampled(self, request_id: str) -> bool:
        digest = hashlib.blake2b(request_id.encode(), digest_size=8, key=self._sampling_key)
        return int.from_bytes(digest.digest(), "little") < self.policy.share * 2.0**64

    def _frame(self, prediction: Prediction) -> bytes:
        """Return the frame; b"" if it is outside the share, or cannot be made and may be lost."""
        if self._samples and not self._is_sampled(prediction.request_id):
            return b""
        try:
            if self._redactor is not None:
                prediction = self._redactor.redact(prediction)
            return encode_frame(prediction)
        except (TypeError, ValueError, struct.error) as error:
            with self._lock:
                self._lose(prediction.model, 1, "encoding", str(error), error)
            return b""

    def _write(self, model: str, frames: bytes, rows: int) -> None:
        with self._lock:
            try:
                segment = self._segments.get(model) or self._open(model)
                # Its age is looked after by a thread.
                if segment.size + len(frames) > self._segment_bytes and segment.size:
                    segment.flush()
                    self._retire(model)
                    segment = self._open(model)
                segment.append(frames, rows)
            except OSError as error:
                if not self._write_elsewhere(model, frames, rows, error):
                    return
            self._logged[model] += rows
            if model in self._failing:
                self._recover(model)
        if len(self._retired) > _MOST_RETIRED:
            self._close_retired()

    def _write_elsewhere(self, model: str, frames: bytes, rows: int, error: OSError) -> bool:
        """Return whether a new segment took what this one did not; the lock is held."""
        segment = self._segments.get(model)
        if segment is not None:
            held, held_rows = segment.drain()
            frames, rows = held + frames, held_rows + rows
        if segment is None or error.errno in _NOT_THE_FILES_FAULT:
            self._lose_to(error, model, rows)
            return False
        self._retire(model)
        try:
            self._open(model).append(frames, rows)
        except OSError as again:
            self._lose_to(again, model, rows)
            return False
        return True

    def _open(self, model: str) -> Segment:
        segment = Segment(folder_of(self._folder, model), self.policy.durability)
        self._segments[model] = segment
        if self._keeper is None and not self._closed.is_set():
            self._keeper = threading.Thread(target=self._keep, name="prediction-log", daemon=True)
            self._keeper.start()
        return segment

    def _retire(self, model: str) -> None:
        """Append no more to a model's segment; the lock is held, so its closing is for later."""
        self._retired.append(self._segments.pop(model))

    def _close_retired(self) -> None:
        """Close what was retired, once it is on the disk; takes long, so never under the lock."""
        with self._closing:
            while self._retired:
                segment = self._retired.popleft()
                self._sync(segment)
                segment.close()

    def _flush(self, model: str, segment: Segment) -> None:
        try:
            segment.flush()
        except OSError as error:
            _, rows = segment.drain()
            self._lose_to(error, model, rows)

    def _keep(self) -> None:
        """Every second: write what is buffered, have it reach the disk, seal what is old."""
        while not self._closed.wait(_LOOK_S):
            for model, segment in list(self._segments.items()):
                try:
                    self._look_after(model, segment)
                except (OSError, ServingError) as error:  # there is nobody to refuse
                    _warn_of(segment, error)
            self._close_retired()

    def _look_after(self, model: str, segment: Segment) -> None:
        with self._lock:
            if self._segments.get(model) is not segment:
                return
            if segment.is_gone():
                logging.getLogger("agiwb").warning(
                    "The predictions in %s were deleted while they were logged.", segment.path
                )
                if segment.rows_in_buffer:  # they came later, and were not meant
                    self._write_elsewhere(model, b"", 0, FileNotFoundError("It was deleted"))
                else:
                    self._retire(model)
                return
            self._flush(model, segment)
            if time.monotonic() - segment.opened_at > self.policy.segment_seconds:
                self._retire(model)
                return
        with self._closing:
            self._sync(segment)

    def _sync(self, segment: Segment) -> None:
        """Have a segment reach the disk if the policy is so; nobody closes it meanwhile."""
        if self.policy.durability == "process":
            try:
                segment.sync()
            except OSError as error:
                _warn_of(segment, error)

    def _lose_to(self, error: OSError, model: str, rows: int) -> None:
        reason = _REASONS.get(error.errno or 0, "other")
        self._lose(model, rows, reason, error.strerror or str(error), error)

    def _lose(self, model: str, rows: int, reason: str, words: str, error: Exception) -> None:
        """Count predictions as lost, and raise if the policy is to refuse."""
        self._lost[model, reason] += rows
        if self.policy.on_error == "refuse":
            raise ServingError(f"The prediction could not be logged: {words}.", _FIX) from error
        if model not in self._failing:
            self._failing.add(model)
            logging.getLogger("agiwb").warning(
                "Predictions of %r are not logged any more: %s. %s", model, words, _FIX
            )

    def _recover(self, model: str) -> None:
        self._failing.discard(model)
        lost = sum(rows for (its, _), rows in self.lost.items() if its == model)
        logging.getLogger("agiwb").warning(
            "Predictions of %r are logged again; %d were lost so far.", model, lost
        )


def _warn_of(segment: Segment, error: OSError | ServingError) -> None:
    words = (error.strerror if isinstance(error, OSError) else "") or error
    logging.getLogger("agiwb").warning("%s: %s", segment.path, words)
