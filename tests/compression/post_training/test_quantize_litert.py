"""LiteRT with integer inputs and outputs, and with 16-bit activations, on digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agiwb.compression.post_training.litert import quantize_litert
from agiwb.errors import InputError

NO_SAMPLES = np.zeros((0, 8, 8), np.float32)


@pytest.fixture(scope="module")
def exported(digits_cnn_run: Any, tmp_path_factory: Any) -> tuple[Path, Any, Any]:
    from agiwb.compression.quantization import export_saved_model
    from agiwb.datasets.registry import load_dataset
    from agiwb.models.loading import load_keras_model

    model = load_keras_model(digits_cnn_run.file("model.keras"))
    folder = tmp_path_factory.mktemp("exported") / "saved_model"
    export_saved_model(model, folder)
    return folder, model, load_dataset("digits")


def answers(content: bytes, features: np.ndarray) -> tuple[np.ndarray, type, type]:
    """Return what the model says, in floats, and the types that go in and come out."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    model = Interpreter(model_content=content, experimental_op_resolver_type=plain)
    (given,), (answered,) = model.get_input_details(), model.get_output_details()
    model.resize_tensor_input(given["index"], features.shape)
    model.allocate_tensors()
    model.set_tensor(given["index"], stored(features, given))
    model.invoke()
    raw = model.get_tensor(answered["index"])
    scale, zero = answered["quantization"]
    floats = (raw.astype(np.float32) - zero) * scale if scale else raw
    return floats, given["dtype"], answered["dtype"]


def stored(features: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    scale, zero = details["quantization"]
    if not scale:
        return features
    limits = np.iinfo(details["dtype"])
    return np.clip(np.rint(features / scale) + zero, limits.min, limits.max).astype(
        details["dtype"]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("numbers", "interface", "dtype"),
    [
        ("float16", "float", np.float32),
        ("int8", "float", np.float32),
        ("int8", "integer", np.int8),
        ("int16x8", "float", np.float32),
        ("int16x8", "integer", np.int16),
    ],
)
def test_the_numbers_and_the_interface_are_as_asked(
    numbers: str, interface: str, dtype: type, exported: Any
):
    folder, model, digits = exported
    content = quantize_litert(folder, numbers, digits.train.features[:100], interface)
    features, labels = digits.test.features, digits.test.labels
    found, taken, given = answers(content, features)
    expected = model.predict(features, verbose=0)
    before, after = (float(np.mean(each.argmax(1) == labels)) for each in (expected, found))
    print(f"\n{numbers}, {interface}: {before:.4f} -> {after:.4f}, {len(content)} bytes")
    assert taken == given == dtype
    assert np.abs(found - expected).max() < {"float16": 0.01, "int8": 0.2, "int16x8": 0.1}[numbers]
    assert after > before - 0.02


@pytest.mark.slow
def test_calibrated_numbers_need_samples(exported: Any):
    with pytest.raises(InputError, match="no samples"):
        quantize_litert(exported[0], "int8", NO_SAMPLES)


@pytest.mark.slow
@pytest.mark.parametrize("numbers", ["float32", "float16", "dynamic"])
def test_floats_have_no_integer_interface(numbers: str, tmp_path: Path):
    with pytest.raises(InputError, match="cannot take integers"):
        quantize_litert(tmp_path, numbers, NO_SAMPLES, "integer")
