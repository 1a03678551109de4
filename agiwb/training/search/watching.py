"""What a trial's fit tells: its batches, and that its loss is still a number."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras

from agiwb.errors import WorkError


class BatchWatch(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
    """Calls ``tick`` after each batch, and raises WorkError once the loss is no number."""

    def __init__(self, tick: Callable[[], None]) -> None:
        super().__init__()
        self._tick = tick

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if not math.isfinite(float((logs or {}).get("loss", math.nan))):
            raise WorkError("The loss became NaN or infinite.", "Try a smaller `learning_rate`.")
        self._tick()
