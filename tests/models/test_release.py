"""Letting go of a model's weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest

from agiwb.models.release import release_weights

pytestmark = pytest.mark.slow

WIDTH = 4096
WEIGHTS_BYTES = 2 * 4 * WIDTH * WIDTH


def test_the_memory_goes_back_and_the_layers_stay(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential(
        [keras.Input((WIDTH,)), keras.layers.Dense(WIDTH), keras.layers.Dense(WIDTH, name="last")]
    )
    asked = np.ones((1, WIDTH), np.float32)
    right = np.asarray(model(asked))
    model.save(tmp_path / "model.keras")
    process = psutil.Process()
    held = process.memory_info().rss
    release_weights(model)
    assert held - process.memory_info().rss > 0.9 * WEIGHTS_BYTES
    assert model.get_layer("last").kernel.shape == (WIDTH, WIDTH)
    assert model.count_params() == 2 * (WIDTH * WIDTH + WIDTH)
    with pytest.raises(Exception, match=r"shape|Matrix size-incompatible"):
        model(asked)
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(again(asked)), right)
