"""What an inspection finds, against the model that was written; and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from agiwb.cli import main
from agiwb.errors import InputError, NotFoundError
from agiwb.inspection.difference import compare_models
from agiwb.inspection.inspect_model import inspect_model
from agiwb.inspection.inspection import GraphNode
from agiwb.reporting.graph_layout import layered
from agiwb.reporting.inspection import difference_page, inspection_page, plot_graph, plot_weights
from agiwb.trust.encryption import encrypt_folder
from agiwb.trust.key_files import make_encryption_key
from tests.importing.import_files import tiny_tflite
from tests.inspection.inspected_models import write_all
from tests.serving.onnx_models import make_artifact, write_mlp, write_two_by_two

NUMBERS = 64 * 64 + 64 + 64 * 10 + 10
FLOAT_FILES = ["model.keras", "model.h5", "saved_model", "frozen.pb", "model.onnx", "model.tflite"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_all(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOAT_FILES)
def test_every_format_has_the_weights_that_were_written(models: Path, name: str) -> None:
    found = inspect_model(models / name)
    floats = [one for one in found.tensors if one.dtype == "float32" and one.parameters > 1]
    assert sum(one.parameters for one in floats) == NUMBERS
    kernel = max(floats, key=lambda one: one.parameters)
    real = np.load(models / "kernel.npy")
    assert kernel.spread is not None
    assert kernel.spread.zeros == 32 * 64
    assert kernel.spread.maximum == real.max()
    assert kernel.spread.mean == pytest.approx(real.mean(dtype=np.float64), abs=1e-9)
    assert sum(kernel.spread.histogram) == real.size
    assert kernel.size_bytes == real.nbytes
    (given,) = found.signature.inputs
    assert (given.name, given.dtype, given.shape) == ("features", "float32", (None, 64))
    names = {node.name for node in found.nodes}
    assert all(taken in names for node in found.nodes for taken in node.inputs)
    assert sum(bool(node.inputs) for node in found.nodes) >= 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "operators"),
    [
        ("model.keras", {"Dense": 2, "InputLayer": 2, "Softmax": 1}),
        ("model.h5", {"Dense": 2, "InputLayer": 2, "Softmax": 1}),
        ("saved_model", {"MatMul": 2, "BiasAdd": 2, "Relu": 1, "Softmax": 1}),
        ("frozen.pb", {"MatMul": 2, "BiasAdd": 2, "Relu": 1, "Softmax": 1}),
        ("model.onnx", {"MatMul": 2, "Add": 2, "Relu": 1, "Softmax": 1}),
        ("model.tflite", {"FULLY_CONNECTED": 2, "SOFTMAX": 1}),
    ],
)
def test_operators_are_counted(models: Path, name: str, operators: dict[str, int]) -> None:
    found = inspect_model(models / name).operators
    assert {kind: found.get(kind) for kind in operators} == operators


@pytest.mark.slow
@pytest.mark.parametrize("name", ["integers.onnx", "integers.tflite"])
def test_integers_are_shown_as_the_values_they_stand_for(models: Path, name: str) -> None:
    found = inspect_model(models / name)
    kernel = max(found.tensors, key=lambda one: one.parameters)
    assert kernel.dtype in {"int8", "uint8"}
    assert kernel.size_bytes == 64 * 64
    assert kernel.quantization is not None
    assert kernel.spread is not None
    step = max(kernel.quantization.scales)
    real = np.load(models / "kernel.npy")
    assert kernel.spread.maximum == pytest.approx(real.max(), abs=step)
    assert kernel.spread.minimum == pytest.approx(real.min(), abs=step)
    assert kernel.spread.distinct is not None
    assert kernel.spread.zeros >= 32 * 64


@pytest.mark.slow
def test_a_keras_layer_owns_its_weights_however_deep_they_lie(models: Path) -> None:
    layers = {one.name: one for one in inspect_model(models / "model.keras").layers}
    assert {name: one.parameters for name, one in layers.items()} == {"hidden": 4160, "inside": 650}
    recurrent = {one.name: one for one in inspect_model(models / "recurrent.keras").layers}
    assert {name: (one.operator, one.parameters) for name, one in recurrent.items()} == {
        "memory": ("LSTM", 4 * 4 * (3 + 4 + 1)),
        "d": ("Dense", 5),
    }


@pytest.mark.slow
def test_nothing_is_imported_that_could_run_the_model(models: Path) -> None:
    code = (
        "import sys; from agiwb.inspection.inspect_model import inspect_model\n"
        f"for path in {[str(models / name) for name in FLOAT_FILES]!r}: inspect_model(path)\n"
        "print({'tensorflow', 'keras', 'onnxruntime', 'mlflow'} & set(sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "set()"


@pytest.mark.slow
def test_one_changed_weight_is_found_in_the_second_model(models: Path) -> None:
    found = compare_models(models / "model.keras", models / "changed.keras")
    (change,) = found.tensors
    assert (change.name, change.changed, change.largest) == ("hidden/0", 1, 3.0)
    assert (found.signature, found.operators, found.unchanged) == ((), {}, 3)
    assert "hidden/0" in difference_page(found)
    assert compare_models(models / "model.keras", models / "model.keras").is_empty


@pytest.mark.slow
def test_models_of_two_formats_are_matched_by_shape(models: Path) -> None:
    found = compare_models(models / "model.keras", models / "saved_model")
    assert found.tensors == ()
    assert found.unchanged == 4
    integers = compare_models(models / "model.tflite", models / "integers.tflite")
    (kernel,) = [one for one in integers.tensors if one.dtypes == ("float32", "int8")]
    assert 0 < kernel.largest < 0.01
    assert kernel.relative is not None
    assert kernel.relative < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FLOAT_FILES if name != "saved_model"])
def test_a_damaged_file_is_the_user_s_to_mend(models: Path, tmp_path: Path, name: str) -> None:
    damaged = tmp_path / name
    for content in (b"", b"\x00" * 400, (models / name).read_bytes()[:-1500]):
        damaged.write_bytes(content)
        with pytest.raises(InputError, match=re.escape(str(damaged))):
            inspect_model(damaged)


@pytest.mark.slow
def test_a_damaged_variable_file_is_the_user_s_to_mend(models: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(models / "saved_model", tmp_path / "saved_model")
    for name in ("variables.data-00000-of-00001", "variables.index"):
        path = folder / "variables" / name
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(InputError, match="cannot be read as saved_model"):
            inspect_model(folder)


def test_a_folder_without_a_model_and_a_file_of_no_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="holds no model"):
        inspect_model(tmp_path)
    with pytest.raises(NotFoundError, match="There is no"):
        inspect_model(tmp_path / "nothing.onnx")
    (tmp_path / "text.txt").write_text("x")
    with pytest.raises(InputError, match="of no format that is inspected"):
        inspect_model(tmp_path / "text.txt")


def test_weights_inside_of_branches_are_told(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def branch(value: float) -> onnx.GraphProto:
        weight = numpy_helper.from_array(np.full((3, 2), value, np.float32), "w")
        result = helper.make_tensor_value_info("y", TensorProto.FLOAT, (3, 2))
        constant = helper.make_node("Constant", [], ["w"], value=weight)
        return helper.make_graph(
            [constant, helper.make_node("Relu", ["w"], ["y"], name="cut")], "b", [], [result]
        )

    node = helper.make_node(
        "If", ["which"], ["out"], then_branch=branch(1.0), else_branch=branch(0.0)
    )
    graph = helper.make_graph(
        [node],
        "main",
        [helper.make_tensor_value_info("which", TensorProto.BOOL, ())],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, (3, 2))],
    )
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    found = inspect_model(tmp_path / "m.onnx")
    assert [(tensor.name, tensor.shape) for tensor in found.tensors] == [
        ("w", (3, 2)),
        ("b_2/w", (3, 2)),
    ]
    assert [tensor.spread.zeros for tensor in found.tensors if tensor.spread] == [6, 0]
    assert [spec.name for spec in found.signature.inputs] == ["which"]
    assert found.operators["Relu"] == 2


def test_what_unpacks_to_far_more_than_it_has_is_refused(tmp_path: Path) -> None:
    import h5py

    many = 2**40
    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", (many,), "float32")  # nothing of it is stored
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", '{"class_name": "Sequential", "config": {"layers": []}}')
        archive.writestr("metadata.json", "{}")
        archive.write(tmp_path / "model.weights.h5", "model.weights.h5")
    with pytest.raises(InputError, match=f"has 0 bytes, and would unpack to {4 * many:,}"):
        inspect_model(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", bytes(101 * 2**20))
    with pytest.raises(InputError, match=r"The part config\.json has .* would unpack to 105,"):
        inspect_model(tmp_path / "m.keras")


def test_weights_of_a_litert_file_s_other_graphs_are_told(tmp_path: Path) -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(tiny_tflite(), 0)
    values = np.array([0, 1, 2, 3], np.float32)
    for _ in range(2):  # the second one's is stored anew
        branch = schema.ModelT.InitFromPackedBuf(tiny_tflite(), 0).subgraphs[0]
        weights = schema.BufferT()
        weights.data = np.frombuffer(values.tobytes(), np.uint8)
        branch.tensors[0].buffer, branch.name = len(model.buffers), b"branch"
        model.buffers.append(weights)
        model.subgraphs.append(branch)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    (tmp_path / "m.tflite").write_bytes(bytes(builder.Output()))
    found = inspect_model(tmp_path / "m.tflite")
    assert [(tensor.name, tensor.size_bytes) for tensor in found.tensors] == [
        ("branch_1/features", 16),
        ("branch_2/features", 16),
    ]
    assert [layer.name for layer in found.layers] == ["branch_1/ADD_0", "branch_2/ADD_0"]
    assert (found.operators, len(found.nodes)) == ({"ADD": 3}, 1)


def test_a_model_without_weights_has_a_signature_and_a_picture(tmp_path: Path) -> None:
    found = inspect_model(write_two_by_two(tmp_path / "m"))
    assert [str(spec) for spec in found.signature.inputs] == ["a: float32 (?)", "b: int64 (?)"]
    assert (found.parameters, found.sparsity, found.tensors) == (0, None, ())
    assert "Add" in plot_graph(found).alt
    assert inspection_page(found).count("<img") == 1


def test_an_encrypted_artifact_is_inspected_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_artifact(tmp_path / "plain")
    key = make_encryption_key(tmp_path / "key")
    monkeypatch.setenv("AGIWB_ENCRYPTION_KEY_FILE", str(key))
    sealed = encrypt_folder(tmp_path / "plain", tmp_path / "sealed")
    plain = inspect_model(tmp_path / "plain")
    assert inspect_model(sealed) == plain.model_copy(update={"path": str(sealed)})


def test_the_command_prints_a_table_json_and_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write_mlp(tmp_path / "one") / "model.onnx"
    other = write_mlp(tmp_path / "other", hidden=64) / "model.onnx"
    page = tmp_path / "page.html"
    assert main(["inspect", str(one), "--html", str(page)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"MatMul_0\s+MatMul\s+8,192\s+32,768\s+0.0%\s+float32", printed)
    assert "How the values of 2 tensors spread: w1 from" in page.read_text()
    assert main(["inspect", str(one), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["operators"]["MatMul"] == 2
    assert main(["inspect", str(one), str(other)]) == 0
    assert re.search(r"MatMul_0\s+32,768\s+16,384", capsys.readouterr().out)


def test_a_node_lies_below_its_inputs_also_in_a_long_chain_or_a_loop(tmp_path: Path) -> None:
    chain = [GraphNode(name=str(n), operator="A", inputs=(str(n - 1),)) for n in range(5000)]
    places = layered(chain[::-1])
    assert [places[str(n)][1] for n in range(5000)] == list(range(5000))
    loop = [GraphNode(name=a, operator="A", inputs=(b,)) for a, b in ("ab", "ba")]
    assert {depth for _, depth in layered(loop).values()} == {0, 1}
    diamond = [
        GraphNode(name="top", operator="A"),
        GraphNode(name="left", operator="A", inputs=("top",)),
        GraphNode(name="right", operator="A", inputs=("top",)),
        GraphNode(name="end", operator="A", inputs=("left", "right")),
    ]
    places = layered(diamond)
    assert len(set(places.values())) == 4
    assert places["end"] == (0.0, 2)


def test_weights_of_any_kind_are_drawn(tmp_path: Path) -> None:
    found = inspect_model(write_mlp(tmp_path / "m"))
    assert plot_weights(found).png().startswith(b"\x89PNG")
    assert "w1 from" in plot_weights(found).alt
