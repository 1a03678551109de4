"""ONNX Runtime's quantization of the digits CNN: names, types, sizes and accuracies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agiwb.compression.advisor import Scheme, choose_scheme, read_processor
from agiwb.errors import InputError

pytestmark = pytest.mark.slow

U8S8 = Scheme("uint8", "int8", reduce_range=False)
SAFE = Scheme("uint8", "int8", reduce_range=True)
S8S8 = Scheme("int8", "int8", reduce_range=False)


@pytest.fixture(scope="module")
def digits() -> Any:
    from agiwb.datasets.registry import load_dataset

    return load_dataset("digits")


@pytest.fixture(scope="module")
def exported(digits_cnn_run: Any, digits: Any, tmp_path_factory: Any) -> tuple[Path, Any]:
    from agiwb.compression.post_training.onnx import export_onnx
    from agiwb.models.loading import load_keras_model

    model = load_keras_model(digits_cnn_run.file("model.keras"))
    folder = tmp_path_factory.mktemp("exported")
    return export_onnx(model, digits.classes, folder, "0" * 64), model


@pytest.fixture(scope="module")
def variants(exported: Any, digits: Any, tmp_path_factory: Any) -> dict[str, Path]:
    """Each variant's file, and the float model's."""
    from agiwb.compression.post_training import onnx as quantized
    from agiwb.compression.quantization import calibration_samples

    source, _ = exported
    folder = tmp_path_factory.mktemp("variants")
    samples = calibration_samples(digits.train.features, 200, seed=1)
    names = ["dynamic", "conv_dynamic", "float16", "chosen", "safe", "signed", "entropy"]
    files = {name: folder / f"{name}.onnx" for name in [*names, "percentile", "per_channel"]}
    quantized.quantize_dynamic(source, files["dynamic"], U8S8)
    quantized.quantize_dynamic(source, files["conv_dynamic"], U8S8, convolutions=True)
    quantized.halve(source, files["float16"])
    chosen = choose_scheme(read_processor()).scheme
    quantized.quantize_static(source, files["chosen"], chosen, samples)
    quantized.quantize_static(source, files["safe"], SAFE, samples)
    quantized.quantize_static(source, files["signed"], S8S8, samples)
    for calibration in ("entropy", "percentile"):
        quantized.quantize_static(source, files[calibration], chosen, samples, calibration)
    wide = Scheme("uint8", "int8", reduce_range=False, per_channel=True)
    quantized.quantize_static(source, files["per_channel"], wide, samples)
    return {"float32": source, **files}


def operators(path: Path) -> set[str]:
    import onnx

    return {node.op_type for node in onnx.load(path).graph.node}


def test_names_types_batch_and_metadata_stay(variants: dict[str, Path]):
    import onnx

    for name, path in variants.items():
        model = onnx.load(path)
        onnx.checker.check_model(model)
        for value, called in (
            (model.graph.input[0], "features"),
            (model.graph.output[0], "probabilities"),
        ):
            assert value.name == called, name
            assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
            assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
        properties = {entry.key: entry.value for entry in model.metadata_props}
        assert properties["source_sha256"] == "0" * 64
        assert "classes" in properties


def test_the_variants_compute_in_the_numbers_they_are_called_by(variants: dict[str, Path]):
    import onnx

    assert "ConvInteger" not in operators(variants["dynamic"])
    assert "MatMulInteger" in operators(variants["dynamic"])
    assert "ConvInteger" in operators(variants["conv_dynamic"])
    for name in ("chosen", "safe", "signed", "entropy", "percentile", "per_channel"):
        assert {"QuantizeLinear", "DequantizeLinear"} <= operators(variants[name]), name
    halves = {tensor.data_type for tensor in onnx.load(variants["float16"]).graph.initializer}
    assert onnx.TensorProto.FLOAT16 in halves
    assert "BatchNormalization" not in operators(variants["chosen"])


def test_reduced_weights_keep_to_seven_bits(variants: dict[str, Path]):
    import onnx

    largest = {}
    for name in ("safe", "per_channel"):
        weights = [
            onnx.numpy_helper.to_array(tensor)
            for tensor in onnx.load(variants[name]).graph.initializer
            if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1
        ]
        assert weights
        largest[name] = max(int(np.abs(each.astype(int)).max()) for each in weights)
    assert largest == {"safe": 64, "per_channel": 127}


def test_every_variant_still_reads_digits(variants: dict[str, Path], exported: Any, digits: Any):
    from agiwb.compression.saturation import open_session

    features, labels = digits.test.features, digits.test.labels
    expected = exported[1].predict(features, verbose=0)
    accuracies = {"keras": float(np.mean(expected.argmax(1) == labels))}
    for name, path in variants.items():
        answers = open_session(path, optimised=True)(features)
        accuracies[name] = float(np.mean(answers.argmax(1) == labels))
        if name in {"float32", "float16"}:
            assert np.abs(answers - expected).max() < (1e-5 if name == "float32" else 1e-2)
    sizes = {name: path.stat().st_size for name, path in variants.items()}
    print(f"\n{read_processor()}: accuracies {accuracies}, bytes {sizes}")
    for name in set(accuracies) - {"per_channel", "signed"}:  # these two may saturate
        assert accuracies[name] > accuracies["keras"] - 0.03, name
    assert sizes["float16"] < sizes["float32"]


def test_the_check_finds_saturation_where_the_processor_has_it(
    variants: dict[str, Path], exported: Any, digits: Any
):
    from agiwb.compression.saturation import check_saturation

    validation = digits.validation
    processor = read_processor()
    checks = {
        name: check_saturation(variants[name], exported[0], validation.features, validation.labels)
        for name in ("chosen", "safe", "per_channel")
    }
    print(f"\n{processor}")
    for name, check in checks.items():
        print(f"{name}: {check}")
    assert checks["chosen"].cause == "none"
    assert checks["safe"].disagreement <= 0.02
    if processor.adds_in_32_bits:
        assert checks["per_channel"].cause == "none"
    else:  # whether this small model overflows there depends on its weights
        assert checks["per_channel"].cause in {"none", "saturation"}


def test_calibration_needs_samples(exported: Any, digits: Any, tmp_path: Path):
    from agiwb.compression.post_training.onnx import quantize_static

    with pytest.raises(InputError, match="no samples"):
        quantize_static(exported[0], tmp_path / "out.onnx", U8S8, digits.train.features[:0])
    assert not list(tmp_path.iterdir())


def test_dense_layers_shrink_to_a_quarter(tmp_path: Path):
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    from agiwb.compression.post_training.onnx import export_onnx, halve, quantize_dynamic

    keras.utils.set_random_seed(0)
    layers = [keras.Input((64,)), keras.layers.Dense(300, "relu"), keras.layers.Dense(10)]
    source = export_onnx(keras.Sequential(layers), tuple("0123456789"), tmp_path)
    quantize_dynamic(source, tmp_path / "dynamic.onnx", U8S8)
    halve(source, tmp_path / "half.onnx")
    whole = source.stat().st_size
    assert (tmp_path / "dynamic.onnx").stat().st_size < 0.35 * whole
    assert (tmp_path / "half.onnx").stat().st_size < 0.55 * whole
