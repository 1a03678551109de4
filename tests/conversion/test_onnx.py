"""Large weights: never inside tf2onnx, and in the file as if they had been."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.conversion.large_weights import MODELS, build, largest_error

if TYPE_CHECKING:
    import keras
    import onnx

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=MODELS)
def made(request: pytest.FixtureRequest) -> tuple[keras.Model, dict[str, Any]]:
    return build(request.param)


def written(model: keras.Model, folder: Path, **options: Any) -> onnx.ModelProto:
    import onnx

    from agiwb.conversion.onnx import write_onnx
    from agiwb.conversion.options import ConversionOptions
    from agiwb.conversion.source import source_of

    folder.mkdir(exist_ok=True)
    write_onnx(source_of(model, (), "0" * 64, ConversionOptions(**options), contract=False), folder)
    onnx.checker.check_model(folder / "model.onnx")
    return onnx.load(folder / "model.onnx")


def test_the_graph_is_the_one_with_the_weights_inside(
    made: tuple[keras.Model, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agiwb.conversion import lifted_graph

    model, asked = made
    outside = written(model, tmp_path / "outside")
    assert largest_error(model, tmp_path / "outside", asked) < 1e-5
    monkeypatch.setattr(lifted_graph, "_LEAST_BYTES", 1 << 40)
    inside = written(model, tmp_path / "inside")
    tensors = [
        Counter(tuple(tensor.dims) for tensor in each.graph.initializer)
        for each in (outside, inside)
    ]
    assert tensors[0] == tensors[1]
    operators = [Counter(node.op_type for node in each.graph.node) for each in (outside, inside)]
    assert operators[0] == operators[1]
    assert {value.name for value in outside.graph.input} == set(asked)


def test_weights_too_large_for_one_file_lie_beside_it(
    made: tuple[keras.Model, dict[str, Any]], tmp_path: Path
) -> None:
    model, asked = made
    written(model, tmp_path, external_data_bytes=1)
    floats = sum(np.prod(weight.shape) for weight in model.weights)
    assert (tmp_path / "model.onnx.data").stat().st_size >= 4 * floats * 0.9
    assert (tmp_path / "model.onnx").stat().st_size < 4 * floats / 2
    assert largest_error(model, tmp_path, asked) < 1e-5


def test_a_saved_model_is_not_filled_to_be_translated(
    made: tuple[keras.Model, dict[str, Any]], tmp_path: Path
) -> None:
    from agiwb.conversion.exported import export_named
    from agiwb.conversion.lifted_graph import lifted_graph
    from agiwb.conversion.saved_weights import SavedWeights
    from agiwb.conversion.source import source_of

    model, _ = made
    export_named(source_of(model, (), "", contract=False).named_model, tmp_path / "m")
    lifted = lifted_graph(tmp_path / "m")
    assert lifted.weights
    assert lifted.definition.ByteSize() < 2 * sum(8 * np.prod(w.shape) for w in model.weights)
    known = [np.asarray(weight) for weight in model.weights]
    for read in lifted.weights.values():
        value = read()
        assert value.nbytes >= 1 << 16
        assert any(np.array_equal(value, weight) for weight in known)
    saved = SavedWeights(tmp_path / "m")
    variables = saved.loaded.signatures["serving_default"].variables
    assert len(variables) == len(known)
    for variable in variables:
        assert any(np.array_equal(saved.read(variable), weight) for weight in known)
        assert variable.numpy().size == 0
