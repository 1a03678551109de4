"""Sizes, against numbers worked out by hand."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest

from agiwb.compression.sizes import measure_file, measure_model


def test_size_is_that_of_the_file_and_of_what_travels(tmp_path: Path):
    file = tmp_path / "model.tflite"
    content = b"weights " * 1000
    file.write_bytes(content)
    size = measure_file(file)
    assert size.size_bytes == 8000
    assert size.gzip_bytes == len(gzip.compress(content, 9, mtime=0)) < 100
    assert size.xz_bytes == len(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)) < 150


@pytest.mark.slow
def test_bound_is_the_entropy_of_the_weights_and_their_codebook():
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64, name="only")])
    kernel = np.zeros(4096, np.float32)
    kernel[:512], kernel[512:1024] = 0.5, -0.25
    shuffled = np.random.default_rng(0).permutation(kernel).reshape(64, 64)
    model.set_weights([shuffled, np.zeros(64)])
    size = measure_model(model, packed=True)
    shares = np.array([3 / 4, 1 / 8, 1 / 8])
    bits = 4096 * -(shares * np.log2(shares)).sum()
    assert size.entropy_bytes == round(bits / 8) + 2 * 4
    assert size.layer_sparsity == {"only": 0.75}
    # What the container adds: the architecture, the biases, and what its coder falls short of.
    assert size.packed_bytes
    assert size.entropy_bytes < size.packed_bytes < size.entropy_bytes + 1000

    model.set_weights([np.random.default_rng(0).normal(size=(64, 64)), np.zeros(64)])
    size = measure_model(model, packed=False)
    assert (size.entropy_bytes, size.packed_bytes) == (4096 * 4, None)
