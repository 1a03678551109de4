"""The convert step on real models: every format, and every way to fail."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from agiwb.artifacts.manifest import (
    FULL_PRECISION,
    MODEL_FILES,
    PARITY_FILE,
    Format,
    read_artifact,
)
from agiwb.artifacts.resolve import MODEL_FILE, resolve_artifact
from agiwb.conversion import registry
from agiwb.conversion.convert import ConvertConfig, ConvertRecord, convert
from agiwb.conversion.keras_file import write_keras
from agiwb.conversion.parity.report import ParityReport, told
from agiwb.conversion.parity.tolerance import TOLERANCES
from agiwb.conversion.source import ConversionSource
from agiwb.errors import (
    CancelledError,
    ConfigError,
    InputError,
    NotFoundError,
    WorkspaceError,
)
from agiwb.reporting.conversion import parity_table, plot_parity
from agiwb.runs.events import Event
from agiwb.runs.files import damaged_files, sha256_of_file
from agiwb.runs.record import Record
from agiwb.runs.store import open_store

if TYPE_CHECKING:
    import keras

slow = pytest.mark.slow


@dataclass(frozen=True)
class Watched:
    """A conversion to every format, with what it told on the way and printed on stdout."""

    record: ConvertRecord
    events: list[Event]
    printed: bytes


def watched(trained: Record) -> Watched:
    events: list[Event] = []
    with tempfile.TemporaryFile() as kept:
        shown = os.dup(1)
        os.dup2(kept.fileno(), 1)
        try:
            config = ConvertConfig(model=trained.run.id, seed=7)
            record = convert(config, reuse=False, listener=events.append)
        finally:
            os.dup2(shown, 1)
            os.close(shown)
        kept.seek(0)
        return Watched(record, events, kept.read())


@pytest.fixture(scope="module")
def digits_mlp(digits_run: Record) -> Watched:
    return watched(digits_run)


@pytest.fixture(scope="module")
def digits_cnn(digits_cnn_run: Record) -> Watched:
    return watched(digits_cnn_run)


@pytest.fixture(scope="module")
def converted(digits_mlp: Watched) -> ConvertRecord:
    return digits_mlp.record


def folder_of(record: ConvertRecord, wanted: Format) -> Path:
    artifact = next(made for made in record.artifacts if made.format == wanted)
    return record.file(artifact.path)


# ---- what passes


@slow
@pytest.mark.parametrize("name", ["digits_mlp", "digits_cnn"])
def test_every_format_agrees_with_the_model(name: str, request: pytest.FixtureRequest) -> None:
    trained = request.getfixturevalue(f"{name.removesuffix('_mlp')}_run")
    conversion = request.getfixturevalue(name)
    record, events = conversion.record, conversion.events

    assert record.problems == ()
    assert tuple(made.format for made in record.artifacts) == FULL_PRECISION
    assert record.reference_score == pytest.approx(trained.metrics["test_accuracy"])
    for made in record.artifacts:
        assert made.passed
        assert made.path == made.format
        assert made.max_abs_error <= (TOLERANCES[made.format].max_abs_error or 0)
        assert made.top1_agreement == 1
        assert made.test_score == record.reference_score
    for phase in ("convert", "check"):
        told = [(event.done, event.total) for event in events if event.phase == phase]
        assert (told[0], told[-1]) == ((0, 6), (6, 6))
        assert told == sorted(told)  # some of those that follow each other fast are left out
    assert record.metrics == {"test_accuracy": record.reference_score}
    assert not record.file("rejected").exists()


@slow
@pytest.mark.parametrize("wanted", FULL_PRECISION)
def test_an_artifact_says_what_it_is(
    converted: ConvertRecord, digits_run: Record, wanted: Format
) -> None:
    folder = folder_of(converted, wanted)
    artifact = read_artifact(folder)
    assert artifact.format == wanted
    assert artifact.name == converted.model_name == "digits-mlp"
    assert artifact.dataset == "digits"
    assert artifact.classes == tuple("0123456789")
    assert artifact.source_sha256 == sha256_of_file(digits_run.file(MODEL_FILE))
    assert [str(spec) for spec in artifact.signature.inputs] == ["features: float32 (?, 8, 8)"]
    assert [str(spec) for spec in artifact.signature.outputs] == ["probabilities: float32 (?, 10)"]
    assert damaged_files(folder, artifact.files) == []
    assert MODEL_FILES[wanted] in [file.path for file in artifact.files]
    report = ParityReport.model_validate_json((folder / "parity.json").read_bytes())
    assert report.passed
    assert report.examples == 256


@slow
@pytest.mark.parametrize("wanted", FULL_PRECISION)
def test_a_format_does_not_need_the_others(digits_run: Record, wanted: Format) -> None:
    record = convert(ConvertConfig(model=digits_run.run.id, formats=(wanted,)), reuse=False)
    assert record.problems == ()
    assert [made.format for made in record.artifacts] == [wanted]


@slow
def test_the_origin_is_recorded_and_the_artifact_found_by_its_model(
    converted: ConvertRecord, digits_run: Record
) -> None:
    assert converted.run.provenance.parents["model"] == digits_run.run.id
    assert set(converted.run.provenance.inputs) == {"model", "dataset"}
    found = resolve_artifact(digits_run.run.id, "onnx", open_store())
    assert read_artifact(found.folder).format == "onnx"


@slow
def test_nothing_new_means_no_new_run(converted: ConvertRecord) -> None:
    again = convert(converted.config)
    assert again.reused
    assert again.run.id == converted.run.id


@slow
def test_no_file_holds_optimiser_state(converted: ConvertRecord) -> None:
    import h5py

    written = folder_of(converted, "keras") / "model.keras"
    with zipfile.ZipFile(written) as archive:
        assert not json.loads(archive.read("config.json")).get("compile_config")
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
            assert "optimizer" not in weights
    with h5py.File(folder_of(converted, "h5") / "model.h5") as weights:
        assert "optimizer_weights" not in weights
        assert "training_config" not in weights.attrs


@slow
def test_onnx_has_named_dimensions_and_metadata(
    converted: ConvertRecord, digits_run: Record
) -> None:
    import onnx

    model = onnx.load(folder_of(converted, "onnx") / "model.onnx")
    versions = {entry.domain: entry.version for entry in model.opset_import}
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    dimensions = [value.type.tensor_type.shape.dim[0].dim_param for value in model.graph.input]
    assert versions[""] == 18
    assert json.loads(metadata["classes"]) == list("0123456789")
    assert metadata["source_sha256"] == sha256_of_file(digits_run.file(MODEL_FILE))
    assert dimensions == ["batch"]


@slow
def test_litert_needs_no_operators_of_tensorflow(converted: ConvertRecord) -> None:
    assert b"Flex" not in (folder_of(converted, "litert") / "model.tflite").read_bytes()


@slow
def test_nothing_is_printed_on_stdout(digits_mlp: Watched, digits_cnn: Watched) -> None:
    assert digits_mlp.printed == digits_cnn.printed == b""


# ---- what fails, and what that leaves


def _write_wrong(source: ConversionSource, folder: Path) -> None:
    """Write a model whose classes came out in another order, as a faulty converter might."""
    _write_changed(source, folder, lambda kernel: kernel[:, ::-1])


def _write_nan(source: ConversionSource, folder: Path) -> None:
    """Write a model that answers nothing but NaN."""
    _write_changed(source, folder, lambda kernel: np.nan * kernel)


def _write_changed(source: ConversionSource, folder: Path, change: Callable[[Any], Any]) -> None:
    import keras

    faulty = keras.models.clone_model(source.model)
    faulty.set_weights(source.model.get_weights())
    kernel, bias = faulty.layers[-1].get_weights()
    faulty.layers[-1].set_weights([change(kernel), bias])
    write_keras(replace(source, model=faulty), folder)


def _without_permission(source: ConversionSource, folder: Path) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


def _with_a_full_disk(source: ConversionSource, folder: Path) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@slow
def test_a_faulty_format_is_a_problem_and_is_kept_apart(
    digits_run: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry._HOMES, "keras", f"{__name__}:_write_wrong")
    config = ConvertConfig(model=digits_run.run.id, formats=("keras", "h5"), seed=99)
    record = convert(config, reuse=False)

    assert not record.passed
    assert len(record.problems) == 2
    assert record.problems[0].startswith("keras: the probabilities differ")
    assert "The first layer that differs is probabilities (Dense)" in record.problems[1]
    assert [(made.format, made.passed) for made in record.artifacts] == [
        ("keras", False),
        ("h5", True),
    ]
    assert record.file("rejected/keras/parity.json").is_file()
    assert not record.file("keras").exists()
    why = rf"keras artifact .* did not pass .* `agiwb runs show {record.run.id[:8]}` tells why; "
    why += r".* --formats keras --allow-divergence` keeps it"
    with pytest.raises(NotFoundError, match=why):
        resolve_artifact(record.run.id, "keras", open_store())
    with pytest.raises(NotFoundError, match="Make one with"):
        resolve_artifact(record.run.id, "onnx", open_store())


@slow
def test_a_divergence_that_is_allowed_is_kept_and_marked(
    digits_run: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry._HOMES, "keras", f"{__name__}:_write_wrong")
    config = ConvertConfig(model=digits_run.run.id, formats=("keras",), allow_divergence=True)
    events: list[Event] = []
    record = convert(config, reuse=False, listener=events.append)

    (made,) = record.artifacts
    assert not record.passed
    assert (made.path, made.passed, made.diverges) == ("keras", False, True)
    assert read_artifact(record.file("keras")).divergence == record.problems
    assert any("keras DIVERGES, and is kept" in event.message for event in events)


@slow
def test_an_artifact_that_answers_nan_is_kept_apart(
    digits_run: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry._HOMES, "keras", f"{__name__}:_write_nan")
    record = convert(ConvertConfig(model=digits_run.run.id, formats=("keras",)), reuse=False)
    assert len(record.problems) == 1
    assert "NaN" in record.problems[0]
    assert "The first layer that differs is probabilities (Dense)" in record.problems[0]
    assert read_artifact(record.file("rejected/keras")).format == "keras"
    with pytest.raises(NotFoundError, match="did not pass its parity check"):
        resolve_artifact(record.run.id, "keras", open_store())


@slow
def test_only_a_full_disk_stops_the_other_formats(
    digits_run: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry._HOMES, "keras", f"{__name__}:_without_permission")
    config = ConvertConfig(model=digits_run.run.id, formats=("keras", "h5"))
    record = convert(config, reuse=False)
    assert record.problems == ("keras: PermissionError: [Errno 13] Permission denied",)
    assert [made.format for made in record.artifacts] == ["h5"]

    monkeypatch.setitem(registry._HOMES, "keras", f"{__name__}:_with_a_full_disk")
    with pytest.raises(WorkspaceError, match="The disk is full"):
        convert(config, reuse=False)


@slow
def test_a_converter_that_raises_does_not_stop_the_others(tmp_path: Path, workspace: Path) -> None:
    # LiteRT and ONNX have no such operator.
    path = save(tmp_path, lambda keras, x: keras.ops.erfinv(keras.ops.tanh(x)), fitted=True)
    formats: tuple[Format, ...] = ("litert", "onnx", "saved_model")
    record = convert(ConvertConfig(model=str(path), dataset="digits", formats=formats))
    litert, onnx = record.problems
    assert litert == "litert: LiteRT has no built-in operator for Erfinv."
    assert onnx.startswith("onnx: ")
    assert "Erfinv" in onnx
    assert len(onnx) < 450
    assert [made.format for made in record.artifacts] == ["saved_model"]
    assert not record.file("rejected").exists()


@slow
def test_a_model_at_chance_passes_in_no_format(tmp_path: Path, workspace: Path) -> None:
    path = save(tmp_path, lambda _, x: 0 * x)
    record = convert(ConvertConfig(model=str(path), dataset="digits", formats=("keras",)))
    assert len(record.problems) == 1
    assert "no better than chance on digits" in record.problems[0]
    assert record.artifacts[0].max_abs_error == 0
    assert not record.artifacts[0].passed


@slow
def test_cancelling_stops_before_the_next_format(digits_run: Record) -> None:
    with pytest.raises(CancelledError):
        convert(
            ConvertConfig(model=digits_run.run.id, samples=9), reuse=False, cancelled=lambda: True
        )


# ---- a model that agiwb did not train


@slow
def test_a_users_sequential_model_gets_the_contracts_names(tmp_path: Path, workspace: Path) -> None:
    path = save(tmp_path, fitted=True, sequential=True)
    record = convert(ConvertConfig(model=str(path), dataset="digits"))
    assert record.problems == ()
    assert record.model_name == "mine"
    for wanted in ("saved_model", "frozen_pb", "onnx", "litert"):
        signature = read_artifact(folder_of(record, wanted)).signature
        assert [spec.name for spec in signature.inputs] == ["features"]
        assert [spec.name for spec in signature.outputs] == ["probabilities"]


@slow
def test_the_data_set_of_an_unknown_model_must_be_given(tmp_path: Path, workspace: Path) -> None:
    path = save(tmp_path)
    with pytest.raises(ConfigError, match=f"`dataset` is needed.*{path}"):
        convert(ConvertConfig(model=str(path)))
    assert open_store().summaries() == []


@slow
def test_a_data_set_that_does_not_fit_is_refused(tmp_path: Path, workspace: Path) -> None:
    path = save(tmp_path)
    with pytest.raises(ConfigError, match=r"\(28, 28\).*the model takes \(8, 8\)"):
        convert(ConvertConfig(model=str(path), dataset="mnist5k"))
    assert open_store().summaries() == []


@slow
def test_a_model_with_two_inputs_is_refused(tmp_path: Path, workspace: Path) -> None:
    import keras

    pair = [keras.Input((8, 8)), keras.Input((8, 8))]
    keras.Model(pair, keras.layers.Add()(pair)).save(tmp_path / "two.keras")
    with pytest.raises(InputError, match="has 2 inputs and 1 outputs"):
        convert(ConvertConfig(model=str(tmp_path / "two.keras"), dataset="digits"))
    assert open_store().summaries() == []


@slow
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"not an archive"])
def test_a_damaged_file_is_named_and_leaves_no_run(
    tmp_path: Path, workspace: Path, content: bytes
) -> None:
    path = tmp_path / "mine.keras"
    path.write_bytes(content)
    with pytest.raises(NotFoundError, match=str(path)):
        convert(ConvertConfig(model=str(path), dataset="digits"))
    assert open_store().summaries() == []


@slow
def test_logits_are_not_called_probabilities(tmp_path: Path, workspace: Path) -> None:
    path = save(tmp_path, activation="linear")
    with pytest.raises(InputError, match=r"not probabilities.*--no-score"):
        convert(ConvertConfig(model=str(path), dataset="digits"))


@slow
def test_answers_of_another_task_are_compared_alone(tmp_path: Path, workspace: Path) -> None:
    def maps(keras: Any, x: Any) -> Any:
        return keras.layers.Reshape((16, 4))(x)

    path = save(tmp_path, maps, activation="linear")
    asked = ConvertConfig(model=str(path), dataset="digits", formats=("onnx", "litert_int8"))
    with pytest.raises(ConfigError, match=r"outputs of shape \(16, 10\)"):
        convert(asked)
    record = convert(asked.model_copy(update={"score": False}))
    assert record.problems == ()
    assert (record.metric, record.reference_score, record.metrics) == (None, None, {})
    report = ParityReport.model_validate_json(
        (folder_of(record, "litert_int8") / PARITY_FILE).read_bytes()
    )
    assert report.passed
    assert 0 < report.max_abs_error < 0.1
    assert (report.metric, report.change, report.test_score, report.chance_score) == (None,) * 4
    assert "test" not in told(report, 1)
    assert plot_parity(record).get_axes()
    made = read_artifact(folder_of(record, "litert_int8"))
    assert (made.task, made.classes, made.dataset) == (None, (), "digits")
    assert [spec.shape for spec in made.signature.outputs] == [(None, 16, 10)]
    assert not any(name.startswith("test") for name in parity_table(record).columns)


# ---- the config and the module


def test_unknown_and_missing_formats_are_refused() -> None:
    with pytest.raises(ConfigError, match="tflite"):
        ConvertConfig(formats=("tflite",))
    with pytest.raises(ConfigError, match="formats"):
        ConvertConfig(formats=())


def test_a_format_given_twice_is_written_once() -> None:
    assert ConvertConfig(formats=("onnx", "h5", "onnx")).formats == ("onnx", "h5")


def test_the_step_is_there_without_tensorflow() -> None:
    code = (
        "import sys, agiwb.conversion.convert\n"
        "print([name for name in ('tensorflow', 'keras', 'onnx', 'mlflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def save(
    folder: Path,
    change: object = None,
    *,
    fitted: bool = False,
    sequential: bool = False,
    activation: str = "softmax",
) -> Path:
    """Return the path of a user's model for digits, saved as ``mine.keras``."""
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    keras.utils.set_random_seed(0)
    flat = [keras.layers.Rescaling(1 / 16), keras.layers.Flatten()]
    last = keras.layers.Dense(10, activation=activation)
    model: keras.Model
    if sequential:
        model = keras.Sequential([keras.Input((8, 8)), *flat, last])
    else:
        pixels = keras.Input((8, 8), name="pixels")
        x = flat[1](flat[0](pixels))
        model = keras.Model(pixels, last(change(keras, x) if callable(change) else x))
    if fitted:
        _fit(model)
    model.save(folder / "mine.keras")
    return folder / "mine.keras"


def _fit(model: keras.Model) -> None:
    from agiwb.datasets.registry import load_dataset

    data = load_dataset("digits").train
    model.compile("adam", "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)  # or the train step would be traced twice
    model.fit(data.features, data.labels, epochs=3, verbose=0)
