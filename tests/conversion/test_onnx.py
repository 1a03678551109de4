from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.mark.slow
def test_weights_too_large_for_one_file_lie_beside_it(tmp_path: Path) -> None:
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras
    import onnx

    from agiwb.conversion.options import ConversionOptions
    from agiwb.conversion.registry import load_converter
    from agiwb.conversion.source import source_of
    from agiwb.runtimes.runtime import open_runtime

    keras.utils.set_random_seed(0)
    numbers = keras.Input((40,), name="numbers")
    model = keras.Model(numbers, keras.layers.Dense(50, name="answer")(numbers))
    one_byte = ConversionOptions(external_data_bytes=1)
    load_converter("onnx")(source_of(model, (), "0" * 64, one_byte, contract=False), tmp_path)
    assert (tmp_path / "model.onnx.data").stat().st_size >= 40 * 50 * 4
    assert (tmp_path / "model.onnx").stat().st_size < 40 * 50 * 4
    onnx.checker.check_model(tmp_path / "model.onnx")
    asked = np.random.default_rng(0).normal(size=(7, 40)).astype(np.float32)
    (answer,) = open_runtime(tmp_path).run({"numbers": asked}).values()
    np.testing.assert_allclose(answer, np.asarray(model(asked)), rtol=1e-5, atol=1e-5)
