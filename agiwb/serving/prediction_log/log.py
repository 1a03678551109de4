"""The prediction log that a server appends to."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import struct
import threading
import time
from collections import Counter
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
            With durability ``none`` one may have been counted as logged before.
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
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._keeper: threading.Thread | None = None

    def append(self, prediction: Prediction) -> None:
        """Log one prediction, unless it is outside the sampled share.

        Raises:
            ServingError: It could not be logged, and the policy is to refuse then.
        """
        if self._samples and not self._is_sampled(prediction.request_id):
            return
        frame = self._encode(prediction)
        if frame:
            self._write(prediction.model, frame, 1)

    def append_all(self, predictions: Sequence[Prediction]) -> None:
        """Log a batch with one write for each model; all of a model's are logged or none.

        Raises:
            ServingError: Some could not be logged, and the policy is to refuse then.
        """
        frames: dict[str, list[bytes]] = {}
        for prediction in predictions:
            if not self._samples or self._is_sampled(prediction.request_id):
                frame = self._encode(prediction)
                if frame:
                    frames.setdefault(prediction.model, []).append(frame)
        for model, its in frames.items():
            self._write(model, b"".join(its), len(its))

    def seal(self) -> None:
        """End all segments, so that they can be compacted; the next prediction begins a new one.

        Raises:
            ServingError: What was buffered could not be written, and the policy is to refuse.
        """
        with self._lock:
            for model in list(self._segments):
                self._seal(model)

    def close(self) -> None:
        """End all segments and the thread that keeps them."""
        self._closed.set()
        if self._keeper is not None:
            self._keeper.join()
            self._keeper = None
        self.seal()

    def _is_sampled(self, request_id: str) -> bool:
        digest = hashlib.blake2b(request_id.encode(), digest_size=8, key=self._sampling_key)
        return int.from_bytes(digest.digest(), "little") < self.policy.share * 2.0**64

    def _encode(self, prediction: Prediction) -> bytes:
        """Return the frame, or b"" if it cannot be made and the policy is to serve then."""
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
                    self._seal(model)
                    segment = self._open(model)
                segment.append(frames, rows)
            except OSError as error:
                if not self._write_elsewhere(model, frames, rows, error):
                    return
            self._logged[model] += rows
            if model in self._failing:
                self._recover(model)

    def _write_elsewhere(self, model: str, frames: bytes, rows: int, error: OSError) -> bool:
        """Return whether a new segment took what this one did not; the lock is held."""
        segment = self._segments.get(model)
        if segment is None or error.errno in _NOT_THE_FILES_FAULT:
            self._lose_to(error, model, rows)
            return False
        self._segments.pop(model).close()
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

    def _seal(self, model: str) -> None:
        """End a model's segment; the lock is held."""
        segment = self._segments.pop(model)
        try:
            self._flush(model, segment)
            with contextlib.suppress(OSError):
                if self.policy.durability == "process" and segment.is_dirty:
                    os.fdatasync(segment.descriptor)
        finally:
            segment.close()

    def _flush(self, model: str, segment: Segment) -> None:
        rows = segment.rows_in_buffer
        try:
            segment.flush()
        except OSError as error:
            self._lose_to(error, model, rows)

    def _keep(self) -> None:
        """Every second: write what is buffered, have it reach the disk, seal what is old."""
        while not self._closed.wait(_LOOK_S):
            for model in list(self._segments):
                with contextlib.suppress(ServingError):
                    self._look_after(model)

    def _look_after(self, model: str) -> None:
        with self._lock:
            segment = self._segments.get(model)
            if segment is None:
                return
            if segment.is_gone():
                self._segments.pop(model).close()
                logging.getLogger("agiwb").warning(
                    "The predictions in %s were deleted while they were logged.", segment.path
                )
                return
            self._flush(model, segment)
            if time.monotonic() - segment.opened_at > self.policy.segment_seconds:
                self._seal(model)
                return
            if self.policy.durability != "process" or not segment.is_dirty:
                return
            segment.is_dirty = False
            descriptor = os.dup(segment.descriptor)
        # Without the lock: it takes long.
        try:
            os.fdatasync(descriptor)
        except OSError as error:
            logging.getLogger("agiwb").warning("%s: %s.", segment.path, error.strerror)
        finally:
            os.close(descriptor)

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
