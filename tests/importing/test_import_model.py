"""Models made elsewhere are imported, found by name, and go through the steps that come after."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from agiwb import (
    ConvertConfig,
    EvaluateConfig,
    ImportConfig,
    InputError,
    NotFoundError,
    ServeConfig,
    WorkError,
    convert,
    evaluate,
    import_model,
    open_runtime,
    open_store,
    serve,
)
from agiwb.artifacts.any_format import find_source, with_own_format
from agiwb.artifacts.manifest import PARITY_FILE, read_artifact
from agiwb.artifacts.resolve import ArtifactSource, resolve_artifact, resolve_model
from agiwb.cli import main
from agiwb.conversion.onnx_from_litert import onnx_from_litert
from agiwb.importing.report import SCAN_FILE
from agiwb.jobs.job import submit
from agiwb.runs.record import Record
from tests.importing.import_files import (
    DENSE,
    onnx_model,
    sequential,
    sliding_sums,
    tiny_tflite,
    with_external_data,
    write_keras,
)

EXAMPLES = np.random.default_rng(0).random((3, 4), np.float32)


def test_an_onnx_file_with_its_weights_beside_it(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "Mine (2).onnx"
    path.write_bytes(with_external_data("weights.bin"))
    weights = np.arange(12, dtype=np.float32).reshape(4, 3)
    (tmp_path / "weights.bin").write_bytes(weights.tobytes())
    (tmp_path / "other.bin").write_bytes(b"not of it")
    record = import_model(ImportConfig(path=path, classes=("a", "b", "c")))
    assert (record.model_name, record.format, record.formats) == ("Mine-2", "onnx", ("onnx",))
    found = resolve_artifact("Mine-2", "onnx", open_store())
    assert {file.path for file in found.artifact.files} == {"model.onnx", "weights.bin", SCAN_FILE}
    assert (found.artifact.opset, found.artifact.operators) == (18, {"MatMul": 1})
    assert found.artifact.classes == ("a", "b", "c")
    assert found.artifact.tool_versions == {"a-trainer": "1.2"}
    answer = open_runtime(found.folder).run({"features": EXAMPLES})["scores"]
    np.testing.assert_allclose(answer, EXAMPLES @ weights, rtol=1e-6)
    with pytest.raises(NotFoundError, match=r"as onnx.*--format onnx.*import its Keras file"):
        resolve_model("Mine-2", open_store())
    assert main(["inspect", "Mine-2"]) == 0
    assert "scores" in capsys.readouterr().out
    assert import_model(ImportConfig(path=path, classes=("a", "b", "c"))).reused


def test_what_is_refused_leaves_nothing(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(with_external_data("../secret"))
    (tmp_path.parent / "secret").write_bytes(bytes(48))
    before = {file for file in workspace.rglob("*") if file.suffix == ".onnx"}
    assert main(["import", str(path)]) == 2
    assert "would read '../secret', outside its folder" in capsys.readouterr().err
    assert {file for file in workspace.rglob("*") if file.suffix == ".onnx"} == before == set()
    assert open_store().registered_names() == []


def test_what_only_the_engine_refuses_is_refused_too(workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    model = onnx_model()
    model.graph.node[0].op_type = "NoSuchOperator"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="NoSuchOperator"):
        import_model(ImportConfig(path=path))
    assert open_store().summaries() == []


def test_a_scanner_is_asked_besides(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "theirs.onnx"
    path.write_bytes(onnx_model().SerializeToString())
    program = tmp_path / "scanner"

    def answer(severity: str) -> None:
        issues = json.dumps({"issues": [{"severity": severity, "message": "It is odd."}]})
        program.write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && echo "scan, version 1" || echo \'{issues}\'\n'
        )
        program.chmod(0o755)

    monkeypatch.setenv("AGIWB_MODEL_SCANNER", str(program))
    answer("critical")
    with pytest.raises(InputError, match=r"theirs\.onnx is not .* scan 1 finds: 'It is odd\.'"):
        import_model(ImportConfig(path=path))
    answer("warning")
    scan = import_model(ImportConfig(path=path)).scan
    assert (scan.scanner, scan.scanner_findings) == ("scan 1", ("warning: It is odd.",))
    monkeypatch.setenv("AGIWB_MODEL_SCANNER", str(tmp_path / "none"))
    with pytest.raises(InputError, match="could not be asked"):
        import_model(ImportConfig(path=path), reuse=False)


def test_a_model_of_one_format_needs_no_word_of_it(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "sums.tflite").write_bytes(tiny_tflite())
    import_model(ImportConfig(path=tmp_path / "sums.tflite"))
    with serve(ServeConfig(model="sums", rest_api_port=0, grpc=False)) as endpoint:
        np.testing.assert_allclose(endpoint.predict(EXAMPLES[:1]), 2 * EXAMPLES[:1])
    told = with_own_format(EvaluateConfig(model="sums"), open_store())
    assert told.format == "litert"
    job = submit("evaluate", EvaluateConfig(model="sums"))
    assert job.config["format"] == "litert"
    job.cancel()
    asked = EvaluateConfig(model="sums", format="onnx", dataset="digits")
    with pytest.raises(NotFoundError, match=r"no onnx artifact of 'sums'.*`--format litert`"):
        evaluate(asked)


def test_what_was_made_of_an_import_is_found_by_its_name(workspace: Path, tmp_path: Path) -> None:
    import_model(ImportConfig(path=sliding_sums(tmp_path / "theirs.onnx")))
    rows = np.random.default_rng(1).random((40, 4), np.float32)
    np.savez(tmp_path / "rows.npz", x=rows, y=np.arange(40) % 3)
    half = ConvertConfig(
        model="theirs", dataset=f"{tmp_path}/rows.npz", formats=("onnx_float16",), score=False
    )
    made = convert(half)
    found = resolve_artifact("theirs", "onnx_float16", open_store())
    assert found.run_id == made.run.id
    parity = json.loads((found.folder / PARITY_FILE).read_text())
    assert parity["unanswered"] == ["one step"]  # which is less than a window
    own = find_source("theirs", open_store())
    assert isinstance(own, ArtifactSource)
    assert own.artifact.format == "onnx"


@pytest.mark.slow
def test_a_litert_file_becomes_onnx(workspace: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", x=np.repeat(EXAMPLES, 8, axis=0), y=np.arange(24) % 2)
    (tmp_path / "sums.tflite").write_bytes(tiny_tflite())
    import_model(ImportConfig(path=tmp_path / "sums.tflite"))
    asked = ConvertConfig(
        model="sums", dataset=f"{tmp_path}/rows.npz", formats=("onnx",), score=False
    )
    assert convert(asked).passed
    store = open_store()
    found, own = resolve_artifact("sums", "onnx", store), resolve_artifact("sums", "litert", store)
    assert found.artifact.signature == own.artifact.signature
    answer = open_runtime(found.folder).run({"features": EXAMPLES[:1]})["sums"]
    np.testing.assert_allclose(answer, 2 * EXAMPLES[:1], rtol=1e-6)

    (tmp_path / "model.tflite").write_bytes(tiny_tflite(int8=True))
    with pytest.raises(WorkError, match="has `features` in integers of int8"):
        onnx_from_litert(tmp_path, opset=17)


@pytest.mark.slow
def test_a_keras_file_goes_through_all_steps(digits_run: Record, tmp_path: Path) -> None:
    path = shutil.copy(digits_run.file("model.keras"), tmp_path / "elsewhere.keras")
    record = import_model(ImportConfig(path=path, dataset="digits"))
    assert record.formats == ("keras",)
    assert resolve_model("elsewhere", open_store()).run_id == record.run.id
    manifest = read_artifact(record.run.folder / "keras")
    assert manifest.tool_versions == {"keras": importlib.metadata.version("keras")}
    converted = convert(ConvertConfig(model="elsewhere", formats=("onnx",), samples=64))
    assert converted.passed
    assert resolve_artifact("elsewhere", "onnx", open_store()).run_id == converted.run.id
    found = evaluate(EvaluateConfig(model="elsewhere", format="onnx"))
    trained = digits_run.metrics["test_accuracy"]
    assert found.metrics["test_accuracy"] == pytest.approx(trained, abs=1e-6)


@pytest.mark.slow
def test_files_of_keras_2(workspace: Path, tmp_path: Path) -> None:
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    model = tf_keras.Sequential([
        layers.Input((8, 8, 1)),
        layers.SeparableConv2D(4, 3, activation="relu"),
        layers.BatchNormalization(),
        layers.DepthwiseConv2D(3),
        layers.Reshape((16, 4)),
        layers.Bidirectional(layers.LSTM(5)),
        layers.Dense(3, activation="softmax"),
    ])  # fmt: skip
    images = np.random.default_rng(1).random((4, 8, 8, 1), np.float32)
    wanted = model.predict(images, verbose=0)
    for name in ("old.h5", "old.keras"):
        model.save(tmp_path / name)
        record = import_model(ImportConfig(path=tmp_path / name))
        assert record.formats == ("keras",)
        assert "`time_major` is gone" in record.scan.contents.changes
        source = resolve_model("old", open_store())
        runtime = open_runtime(source.path.parent)
        (taken,) = runtime.signature.inputs
        (answer,) = runtime.run({taken.name: images}).values()
        np.testing.assert_allclose(answer, wanted, atol=1e-5)


@pytest.mark.slow
def test_a_saved_model_that_reads_a_file(workspace: Path, tmp_path: Path) -> None:
    from agiwb.tensorflow_quietly import import_tensorflow

    tf = import_tensorflow()
    module = tf.Module()
    module.weight = tf.Variable(2.0)
    spec = [tf.TensorSpec([None, 4], tf.float32, name="features")]
    honest = tf.function(lambda features: {"twice": features * module.weight}, spec)
    module.call = honest
    tf.saved_model.save(module, tmp_path / "honest", signatures=honest)
    record = import_model(ImportConfig(path=tmp_path / "honest"))
    assert {"SaveV2", "RestoreV2"} <= record.scan.contents.operators.keys()
    found = resolve_artifact("honest", "saved_model", open_store())
    answer = open_runtime(found.folder).run({"features": EXAMPLES})["twice"]
    np.testing.assert_allclose(answer, 2 * EXAMPLES)

    canary = tmp_path / "canary"

    def evil(features):  # type: ignore[no-untyped-def]
        with tf.control_dependencies([tf.io.write_file(str(canary), "x")]):
            return {"twice": features * module.weight + float(len("x"))}

    module.call = tf.function(evil, spec)
    tf.saved_model.save(module, tmp_path / "evil", signatures=module.call)
    with pytest.raises(InputError, match="the operator WriteFile, which reaches outside"):
        import_model(ImportConfig(path=tmp_path / "evil"))
    assert not canary.exists()
    assert open_store().registered_names() == ["honest"]


@pytest.mark.slow
def test_classes_of_the_users_own(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_layers.py").write_text(
        "import keras\n\n\n@keras.saving.register_keras_serializable('mine')\n"
        "class Doubled(keras.layers.Layer):\n    def call(self, inputs):\n"
        "        return 2 * inputs\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    own = {**DENSE, "module": None, "class_name": "Doubled", "registered_name": "mine>Doubled",
           "config": {"name": "doubled"}}  # fmt: skip
    path = write_keras(tmp_path / "own.keras", sequential(own))
    with pytest.raises(InputError, match=r"'mine>Doubled'.*`custom_objects`"):
        import_model(ImportConfig(path=path))
    import h5py

    with h5py.File(tmp_path / "weights.h5", "w"):
        pass
    weights = (tmp_path / "weights.h5").read_bytes()
    write_keras(path, sequential(own), **{"model.weights.h5": weights})
    record = import_model(ImportConfig(path=path, custom_objects="my_layers"))
    assert record.scan.contents.custom == ("mine>Doubled",)
    assert record.signature.outputs[0].shape == (None, 4)
    assert "my_layers" not in sys.modules


def test_a_refusal_names_the_users_file(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.tflite").write_bytes(tiny_tflite()[:-40])
    with pytest.raises(InputError, match=r"^The file cut\.tflite is not imported"):
        import_model(ImportConfig(path=tmp_path / "cut.tflite"))
    assert open_store().registered_names() == []


def test_a_refusal_while_loading_names_the_users_file_too(workspace: Path, tmp_path: Path) -> None:
    model = onnx_model()
    model.graph.initializer[0].dims[:] = [6, 2]  # as many values, and no matrix that fits
    (tmp_path / "misfit.onnx").write_bytes(model.SerializeToString())
    said = r"^The file misfit\.onnx is not imported: it cannot be loaded"
    with pytest.raises(InputError, match=said) as caught:
        import_model(ImportConfig(path=tmp_path / "misfit.onnx"))
    assert "The file model.onnx" not in str(caught.value)
