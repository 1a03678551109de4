"""Artifacts asked in a fresh process, and the layer that is named where one is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from agiwb.artifacts.manifest import MODEL_FILES, Format
from agiwb.conversion.parity.check import Asked, Draft, ask_artifact, ask_artifacts, check_parity
from agiwb.conversion.parity.explained import with_first_divergence
from agiwb.conversion.parity.layers import first_divergence, layers_by_word
from agiwb.conversion.parity.questions import Questions, draw_questions
from agiwb.conversion.parity.reference import Reference, ask_reference
from agiwb.conversion.registry import load_converter
from agiwb.conversion.source import source_of
from agiwb.datasets.registry import load_dataset
from agiwb.errors import CancelledError, InputError, WorkError
from agiwb.runtimes.fresh_process import Limits

if TYPE_CHECKING:
    import keras

slow = pytest.mark.slow


@dataclass(frozen=True)
class Trained:
    """A model of digits with convolution, batch norm and two layers of like names."""

    model: keras.Model
    questions: Questions
    questions_file: Path
    reference: Reference
    folders: dict[Format, Path]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    from agiwb.runtimes.keras import KerasRuntime

    data, layers = load_dataset("digits"), keras.layers
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8), name="pixels"),
            layers.Rescaling(1 / 16, name="scale"),
            layers.Reshape((8, 8, 1), name="picture"),
            layers.Conv2D(4, 3, activation="relu", name="conv_1"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(name="flat"),
            layers.Dense(16, activation="relu", name="dense"),
            layers.Dense(16, activation="relu", name="dense_1"),
            layers.Dense(10, activation="softmax", name="probabilities"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)  # or the train step would be traced twice
    model.fit(data.train.features, data.train.labels, epochs=4, verbose=0)
    place = tmp_path_factory.mktemp("trained")
    model.save(place / "model.keras")
    runtime = KerasRuntime(place / "model.keras")
    questions = draw_questions(data, runtime.signature, 64, 0)
    questions.write(place / "questions.npz")
    folders: dict[Format, Path] = {}
    source = source_of(model, data.classes, "0" * 64)
    for wanted in ("onnx", "litert", "saved_model", "frozen_pb"):
        folders[wanted] = place / wanted
        folders[wanted].mkdir()
        load_converter(wanted)(source, folders[wanted])
    return Trained(
        model, questions, place / "questions.npz", ask_reference(runtime, questions), folders
    )


def perturbed(trained: Trained, layer: str, folder: Path) -> Path:
    """Return an ONNX artifact whose weights of one layer were damaged."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(trained.folders["onnx"] / "model.onnx")
    kernel = trained.model.get_layer(layer).get_weights()[0]
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight).copy()
        if values.size == kernel.size and np.allclose(
            np.sort(values, axis=None), np.sort(kernel, axis=None)
        ):
            values.flat[::7] += 0.5
            weight.CopyFrom(numpy_helper.from_array(values, weight.name))
            break
    else:
        pytest.fail(f"the file holds no weights of {layer}")
    folder.mkdir()
    onnx.save(model, folder / "model.onnx")
    return folder


@slow
@pytest.mark.parametrize("wanted", ["onnx", "litert", "saved_model", "frozen_pb"])
def test_a_good_artifact_agrees_and_no_layer_of_it_differs(
    trained: Trained, wanted: Format
) -> None:
    report = check_parity(
        trained.folders[wanted], trained.questions_file, trained.reference, wanted
    )
    assert report.passed
    assert report.edge_cases == ("batch of 1", "batch of 64", "zeros", "full scale")
    assert report.seconds > 0
    found = first_divergence(trained.model, trained.folders[wanted], wanted, trained.questions.real)
    assert found is None


@slow
@pytest.mark.parametrize("layer", ["conv_1", "dense", "dense_1", "probabilities"])
def test_the_layer_with_damaged_weights_is_named(
    trained: Trained, tmp_path: Path, layer: str
) -> None:
    folder = perturbed(trained, layer, tmp_path / "bad")
    report = check_parity(folder, trained.questions_file, trained.reference, "onnx")
    real = trained.questions.real
    explained = with_first_divergence(report, lambda: trained.model, folder, real, real)
    found = explained.first_divergence
    assert not explained.passed
    assert found is not None
    assert (found.layer, found.layer_class) == (
        layer,
        type(trained.model.get_layer(layer)).__name__,
    )
    assert found.error > 0.01 > (found.error_before or 0)
    assert f"The first layer that differs is {layer} (" in explained.problems[-1]


@slow
@pytest.mark.parametrize("wanted", ["saved_model", "frozen_pb"])
def test_it_is_named_in_a_graph_too(trained: Trained, tmp_path: Path, wanted: Format) -> None:
    import keras

    other = keras.models.clone_model(trained.model)
    other.set_weights(trained.model.get_weights())
    kernel, bias = other.get_layer("dense").get_weights()
    other.get_layer("dense").set_weights([kernel + 0.5, bias])
    data = load_dataset("digits")
    load_converter(wanted)(source_of(other, data.classes, "0" * 64), tmp_path)
    found = first_divergence(trained.model, tmp_path, wanted, trained.questions.real)
    assert found is not None
    assert (found.layer, found.layer_class) == ("dense", "Dense")


@slow
def test_a_destroyed_range_of_an_integer_model_is_found_where_it_begins(
    trained: Trained, tmp_path: Path
) -> None:
    data = load_dataset("digits")
    # Calibrated on pictures that are nearly black: what is brighter is cut off at once.
    black = {"pixels": np.clip(data.train.features[:50], 0, 0.1)}
    load_converter("litert_int8")(source_of(trained.model, data.classes, "0" * 64,
                                            samples=black), tmp_path)  # fmt: skip
    report = check_parity(tmp_path, trained.questions_file, trained.reference, "litert_int8")
    assert not report.passed
    assert any("most probable class" in problem for problem in report.problems)
    found = first_divergence(trained.model, tmp_path, "litert_int8", trained.questions.real)
    assert found is not None
    assert found.layer in {"scale", "picture"}  # the converter may make one operator of both
    assert found.error_before is None


@slow
@pytest.mark.parametrize("wanted", ["onnx", "litert", "saved_model"])
def test_a_nan_is_named_where_it_begins_even_if_a_relu_swallows_it(
    tmp_path: Path, wanted: Format
) -> None:
    import keras
    from keras import layers

    x = inputs = keras.Input((6,), name="features")
    for name in ("first", "second"):
        x = layers.Dense(8, name=name)(x)
    x = layers.ReLU(name="third")(x)
    model = keras.Model(inputs, layers.Dense(4, name="fourth")(x))
    broken = keras.models.clone_model(model)
    broken.set_weights(model.get_weights())
    kernel, bias = broken.get_layer("second").get_weights()
    broken.get_layer("second").set_weights([kernel, np.where(np.arange(8) == 0, np.nan, bias)])
    load_converter(wanted)(source_of(broken, (), "0" * 64, contract=False), tmp_path)
    asked = {"features": np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)}
    found = first_divergence(model, tmp_path, wanted, asked)
    assert found is not None
    named = ("third", ("second",)) if wanted == "litert" else ("second", ())  # it fuses the two
    assert (found.layer, found.fused) == named
    assert "it gives values that are NaN or infinite, after " in str(found)


@slow
def test_a_report_without_problems_is_left_as_it_is(trained: Trained) -> None:
    folder = trained.folders["onnx"]
    report = check_parity(folder, trained.questions_file, trained.reference, "onnx")
    real = trained.questions.real
    assert with_first_divergence(report, lambda: trained.model, folder, real, real) is report


@slow
@pytest.mark.parametrize(
    ("limits", "match"),
    [
        (Limits(seconds=0.01), "gave no answer within 0.01 s"),
        (Limits(memory_bytes=2**20), "took more than 1 MiB of memory"),
    ],
)
def test_a_limit_that_is_passed_is_one_sentence(
    trained: Trained, limits: Limits, match: str
) -> None:
    with pytest.raises(WorkError, match=match):
        ask_artifact(trained.folders["onnx"], trained.questions_file, "onnx", limits=limits)


@slow
def test_only_the_artifact_that_is_to_blame_fails(trained: Trained, tmp_path: Path) -> None:
    drafts = [
        Draft("onnx", _greedy(tmp_path), trained.questions_file),
        Draft("litert", trained.folders["litert"], trained.questions_file),
    ]
    said = ask_artifacts(drafts, limits=Limits(memory_bytes=2**30))
    assert isinstance(said["litert"], Asked)
    assert isinstance(said["onnx"], WorkError)
    assert "took more than 1,024 MiB of memory" in str(said["onnx"])


def _greedy(folder: Path) -> Path:
    """Return a folder with an ONNX model that fills two GiB whatever it is asked."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    one = numpy_helper.from_array(np.ones(1, np.float32))
    graph = helper.make_graph(
        [
            helper.make_node("ConstantOfShape", ["size"], ["ones"], value=one),
            helper.make_node("ReduceSum", ["ones"], ["sum"], keepdims=0),
            helper.make_node("Add", ["features", "sum"], ["answer"]),
        ],
        "greedy",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 8, 8])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["batch", 8, 8])],
        [numpy_helper.from_array(np.array([2**29]), "size")],
    )
    imports = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9), folder / "model.onnx")
    return folder


@slow
def test_cancelling_is_heard_while_an_artifact_is_asked(trained: Trained) -> None:
    def stop() -> None:
        raise CancelledError("The run was cancelled.")

    with pytest.raises(CancelledError):
        ask_artifact(
            trained.folders["litert"], trained.questions_file, "litert", while_waiting=stop
        )


@slow
@pytest.mark.parametrize(
    ("wanted", "damage"),
    [
        ("onnx", lambda content: content[: len(content) // 2]),
        ("litert", lambda content: content[:40] + bytes(len(content) - 40)),
        ("litert", lambda _: b""),
    ],
)
def test_a_damaged_file_is_refused_and_ends_nothing(
    trained: Trained, tmp_path: Path, wanted: Format, damage: Callable[[bytes], bytes]
) -> None:
    content = (trained.folders[wanted] / MODEL_FILES[wanted]).read_bytes()
    (tmp_path / MODEL_FILES[wanted]).write_bytes(damage(content))
    with pytest.raises((InputError, WorkError)) as raised:
        ask_artifact(tmp_path, trained.questions_file, wanted)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("words", "names", "expected"),
    [
        (
            ["dense_1", "dense_1_2", "conv_1_1"],
            ["conv_1", "dense", "dense_1"],
            {"dense_1": "dense", "dense_1_2": "dense_1", "conv_1_1": "conv_1"},
        ),
        (["dense", "dense_1"], ["dense", "dense_1"], {"dense": "dense", "dense_1": "dense_1"}),
        (
            ["dense_1", "dense_1_1", "MatMul"],
            ["dense", "dense_1"],
            {"dense_1": "dense", "dense_1_1": "dense_1"},
        ),
        (["Relu"], ["dense"], {}),
    ],
)
def test_numbers_behind_the_names_of_layers_are_understood(
    words: list[str], names: list[str], expected: dict[str, Any]
) -> None:
    assert layers_by_word(words, names) == expected
