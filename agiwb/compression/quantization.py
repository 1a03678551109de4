"""What conversions need: the model as a SavedModel, and examples to calibrate on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras


def export_saved_model(model: keras.Model, folder: Path) -> None:
    """Write ``model`` as a SavedModel that maps ``features`` to ``probabilities``.

    ``features`` has the shape and dtype of the model's input with a free batch, ``probabilities``
    is float32 ``(batch, classes)``, whatever the model calls its own tensors. Recurrent layers are
    written step by step, as LiteRT has no loop over a free batch.
    """
    from agiwb.compression.keras_model import rebuild
    from agiwb.conversion.exported import export_named
    from agiwb.conversion.source import source_of
    from agiwb.conversion.unrolled import unrolled

    named = source_of(rebuild(model), (), "").named_model
    export_named(unrolled(named) or named, folder)


def calibration_samples(
    features: NDArray[np.float32], count: int, seed: int
) -> NDArray[np.float32]:
    """Return ``count`` examples drawn from ``features`` without repetition, or all if fewer."""
    order = np.random.default_rng(seed).permutation(len(features))
    return features[order[:count]]
