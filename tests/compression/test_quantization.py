"""LiteRT conversion: names, types, operators and answers of each precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from agiwb.compression.quantization import calibration_samples
from agiwb.compression.recipe import Precision
from agiwb.runs.record import Record

PRECISIONS = get_args(Precision)


def test_calibration_draws_different_real_examples_the_same_each_time():
    features = np.arange(50, dtype=np.float32)[:, np.newaxis]
    drawn = calibration_samples(features, 20, seed=1)
    assert drawn.shape == (20, 1)
    assert len(np.unique(drawn)) == 20
    assert np.array_equal(drawn, calibration_samples(features, 20, seed=1))
    assert not np.array_equal(drawn, calibration_samples(features, 20, seed=2))
    assert len(calibration_samples(features, 200, seed=1)) == 50


@pytest.fixture(scope="module")
def conversions(
    digits_cnn_run: Record, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Path], Any]:
    """A ``.tflite`` file of the digits CNN in each precision, and the Keras model itself."""
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    from agiwb.compression.post_training.litert import quantize_litert
    from agiwb.compression.quantization import export_saved_model
    from agiwb.datasets.registry import load_dataset

    folder = tmp_path_factory.mktemp("conversions")
    model = keras.models.load_model(digits_cnn_run.file("model.keras"), compile=False)
    export_saved_model(model, folder / "saved_model")
    samples = load_dataset("digits").train.features[:100]
    files = {}
    for precision in PRECISIONS:
        files[precision] = folder / f"{precision}.tflite"
        files[precision].write_bytes(quantize_litert(folder / "saved_model", precision, samples))
    return files, model


def interpreter(path: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    opened = Interpreter(
        model_path=str(path),
        experimental_op_resolver_type=_plain_operators(),
    )
    opened.allocate_tensors()
    return opened


def _plain_operators() -> Any:
    from ai_edge_litert.interpreter import OpResolverType

    return OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_interface_is_the_same_in_every_precision(precision: str, conversions: Any):
    model = interpreter(conversions[0][precision])
    assert model.get_signature_list() == {
        "serving_default": {"inputs": ["features"], "outputs": ["probabilities"]}
    }
    (features,), (probabilities,) = model.get_input_details(), model.get_output_details()
    assert features["dtype"] == probabilities["dtype"] == np.float32
    assert features["shape_signature"].tolist() == [-1, 8, 8]
    assert probabilities["shape_signature"].tolist() == [-1, 10]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "tolerance"),
    [("float32", 1e-5), ("float16", 1e-2), ("dynamic", 0.1), ("int8", 0.2)],
)
def test_the_answers_are_those_of_the_keras_model(
    precision: str, tolerance: float, conversions: Any
):
    from agiwb.datasets.registry import load_dataset
    from agiwb.runtimes.litert import LiteRTRuntime

    features = load_dataset("digits").test.features
    files, model = conversions
    expected = model.predict(features, verbose=0)
    assert len(np.unique(expected.argmax(axis=1))) == 10
    answers = LiteRTRuntime(files[precision], 1).run({"features": features})["probabilities"]
    assert np.abs(answers - expected).max() < tolerance
    agreement = np.mean(answers.argmax(axis=1) == expected.argmax(axis=1))
    assert agreement > (0.95 if precision == "int8" else 0.98)


@pytest.mark.slow
def test_no_operator_needs_tensorflow_and_int8_computes_in_no_floats(conversions: Any):
    for precision, path in conversions[0].items():
        operators = [entry["op_name"] for entry in interpreter(path)._get_ops_details()]
        assert operators
        assert not [name for name in operators if name.startswith(("Flex", "CUSTOM"))], precision
    model = interpreter(conversions[0]["int8"])
    ends = {entry["index"] for entry in model.get_input_details() + model.get_output_details()}
    inner = {entry["dtype"] for entry in model.get_tensor_details() if entry["index"] not in ends}
    assert np.int8 in inner
    assert not inner & {np.float16, np.float32}


@pytest.mark.slow
def test_fewer_bits_make_smaller_files(conversions: Any):
    sizes = {precision: path.stat().st_size for precision, path in conversions[0].items()}
    assert sizes["float32"] > sizes["float16"] > sizes["int8"]
    assert sizes["float32"] == sizes["dynamic"]  # each kernel of this small model is too small
