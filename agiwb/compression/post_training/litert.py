"""LiteRT in smaller numbers, from a SavedModel of one input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import INPUT_NAME
from agiwb.conversion.litert_numbers import Numbers, litert_content
from agiwb.conversion.options import Interface
from agiwb.errors import WorkError

_LOOP = "TensorListReserve"


def quantize_litert(
    saved_model: Path,
    numbers: Numbers,
    samples: NDArray[np.float32],
    interface: Interface = "float",
) -> bytes:
    """Return the SavedModel as a ``.tflite`` file's content; see ``litert_content``.

    Args:
        saved_model: Folder of a model that maps ``features`` to ``probabilities``.
        numbers: Which the file holds.
        samples: Real training examples, float32 ``(samples, *feature_shape)``.
        interface: What goes in and comes out.

    Raises:
        WorkError: A recurrent layer is left in a loop.
    """
    try:
        return litert_content(saved_model, numbers, {INPUT_NAME: samples}, interface)
    except Exception as error:
        # The converter's own class is private, and its message is the whole graph.
        if _LOOP not in str(error):
            raise
        raise WorkError(
            "LiteRT cannot run a recurrent layer over sequences of a free or very great length.",
            "Give the model's input a length.",
        ) from error
