"""A training's whole state on disk, so that a killed one goes on as if nothing had happened.

Keras' own ``BackupAndRestore`` keeps weights and optimiser only: after a resume dropout draws other
numbers, early stopping has forgotten the best epoch, and the result differs. Here everything that
the next epoch depends on is kept.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from agiwb.errors import WorkError
from agiwb.runs.files import write_atomic
from agiwb.training.state import training_state

_LARGEST_SHARE_OF_TIME = 0.02

_STATE = {
    "EpochReport": ("curves",),
    "EarlyStopping": ("wait", "best", "best_epoch", "best_weights", "stopped_epoch"),
    "ReduceLROnPlateau": ("wait", "best", "cooldown_counter"),
}
"""What each callback remembers from one epoch to the next."""


class Checkpoint(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
    """Keeps the state after an epoch in ``path``, and restores it when a training begins.

    It must come last among the callbacks, for the others forget everything as training begins.
    Writing takes at most a fiftieth of the time: after fast epochs it is left out, and a resumed
    training repeats those. A checkpoint is whole or is the former one.
    """

    def __init__(self, path: Path, peers: Sequence[keras.callbacks.Callback]) -> None:
        super().__init__()
        self._path = path
        self._peers = {type(peer).__name__: peer for peer in peers if type(peer).__name__ in _STATE}
        self._cost_s = 0.0
        self._written_at = -float("inf")

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Restore the state, if there is one."""
        if not self._path.is_file():
            return
        try:
            self._restore(_read(self._path))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise WorkError(
                f"The checkpoint {self._path} cannot be used: {str(error).rstrip('.')}.",
                "Delete it, and start the training anew.",
            ) from error

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep the state, unless that would cost too much of the time since the last one."""
        began = time.monotonic()
        if self._cost_s > _LARGEST_SHARE_OF_TIME * (began - self._written_at):
            return
        if report := self._peers.get("EpochReport"):
            report.log()
        stream = io.BytesIO()
        np.savez(stream, allow_pickle=False, **self._collect(epoch + 1))
        write_atomic(self._path, stream.getvalue())
        self._written_at = time.monotonic()
        self._cost_s = self._written_at - began

    def _collect(self, epochs_done: int) -> dict[str, Any]:
        arrays = {
            f"variable_{i}": _storable(value) for i, value in enumerate(training_state(self.model))
        }
        notes: dict[str, dict[str, Any]] = {}
        for name, peer in self._peers.items():
            notes[name] = {}
            for attribute in _STATE[name]:
                value = getattr(peer, attribute, None)
                if attribute == "best_weights":
                    weights = dict(enumerate(value or ()))
                    arrays |= {f"best_{index}": array for index, array in weights.items()}
                elif attribute == "curves":
                    notes[name][attribute] = [epoch.model_dump() for epoch in value or ()]
                else:
                    notes[name][attribute] = None if value is None else float(value)
        arrays["notes"] = np.array(
            json.dumps(
                {
                    "epochs_done": epochs_done,
                    "stopped": bool(self.model.stop_training),
                    "peers": notes,
                }
            )
        )
        return arrays

    def _restore(self, arrays: dict[str, Any]) -> None:
        from agiwb.training.curves import Epoch

        for index, variable in enumerate(training_state(self.model)):
            variable.assign(arrays[f"variable_{index}"])
        for name, values in json.loads(str(arrays["notes"]))["peers"].items():
            peer = self._peers[name]
            for attribute, value in values.items():
                restored = [Epoch(**epoch) for epoch in value] if attribute == "curves" else value
                setattr(peer, attribute, restored)
            if name == "EarlyStopping":
                count = sum(key.startswith("best_") for key in arrays)
                peer.best_weights = [arrays[f"best_{index}"] for index in range(count)] or None


def _storable(variable: Any) -> Any:
    """Return a variable's value in a type that NumPy can store; bfloat16 fits into float32."""
    value = variable.numpy()
    return value.astype(np.float32) if value.dtype.kind == "V" else value


def epochs_done(path: Path, epochs: int) -> int:
    """Return how many of ``epochs`` the checkpoint at ``path`` has behind it; 0 if there is none.

    One that was stopped early has all of them behind it.
    """
    try:
        notes = json.loads(str(_read(path)["notes"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return 0
    return epochs if notes["stopped"] else int(notes["epochs_done"])


def _read(path: Path) -> dict[str, Any]:
    # np.load leaves a path open when it cannot be read; a stream of ours it cannot.
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}
