from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.mark.slow
@pytest.mark.parametrize("opset", [13, 18])
def test_gelu_is_written_in_operators_of_onnx(tmp_path: Path, opset: int) -> None:
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    from agiwb.conversion.options import ConversionOptions
    from agiwb.conversion.registry import load_converter
    from agiwb.conversion.source import source_of
    from agiwb.runtimes.runtime import open_runtime

    keras.utils.set_random_seed(0)
    numbers = keras.Input((3,), name="numbers")
    model = keras.Model(numbers, keras.layers.Dense(8, activation="gelu", name="answer")(numbers))
    source = source_of(model, (), "0" * 64, ConversionOptions(opset=opset), contract=False)
    load_converter("onnx")(source, tmp_path)
    asked = np.random.default_rng(0).normal(0, 20, (500, 3)).astype(np.float32)
    (answer,) = open_runtime(tmp_path).run({"numbers": asked}).values()
    np.testing.assert_allclose(answer, np.asarray(model(asked)), rtol=1e-5, atol=1e-5)
