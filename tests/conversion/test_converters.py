"""Converters on models of several inputs, of strings and of sequences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from agiwb.artifacts.manifest import FORMATS, Artifact, Format
from agiwb.conversion.config import ConvertConfig
from agiwb.conversion.reachable import reachable, require_reachable
from agiwb.errors import ConfigError, InputError, WorkError

if TYPE_CHECKING:
    import keras

slow = pytest.mark.slow
USERS = np.array(["a", "é", "nobody"], object)
ITEMS = np.array(["b", "c", ""], object)


@pytest.fixture(scope="module")
def pairs() -> keras.Model:
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    sides = {name: keras.Input((), dtype="string", name=name) for name in ("user", "item")}
    towers = [
        layers.Embedding(5, 3, name=f"{name}_vector")(
            layers.StringLookup(vocabulary=["a", "b", "c", "é"], name=f"{name}_index")(side)
        )
        for name, side in sides.items()
    ]
    return keras.Model(list(sides.values()), layers.Dot(axes=1, name="score")(towers))


def difference(model: keras.Model, wanted: Format, folder: Path, **options: Any) -> float:
    """Return the largest difference between an artifact's answers and the model's."""
    from agiwb.conversion.registry import load_converter
    from agiwb.conversion.source import source_of
    from agiwb.runtimes.runtime import open_runtime

    asked = {"user": USERS, "item": ITEMS}
    source = source_of(model, (), "0" * 64, samples=asked, contract=False, **options)
    load_converter(wanted)(source, folder)
    (answer,) = open_runtime(folder).run(source.prepared(asked)).values()
    (right,) = source.named_model(dict(source.prepared(asked))).values()
    return float(np.abs(answer - np.asarray(right)).max())


@slow
@pytest.mark.parametrize("wanted", ["saved_model", "onnx", "litert"])
def test_strings_are_looked_up_inside_the_file(
    pairs: keras.Model, wanted: Format, tmp_path: Path
) -> None:
    assert difference(pairs, wanted, tmp_path) < 1e-5


@slow
@pytest.mark.parametrize("wanted", ["frozen_pb", "litert_int8"])
def test_what_cannot_take_strings_names_the_way_out_and_it_works(
    pairs: keras.Model, wanted: Format, tmp_path: Path
) -> None:
    with pytest.raises(WorkError, match="--no-preprocessing"):
        difference(pairs, wanted, tmp_path)
    assert difference(pairs, wanted, tmp_path, preprocessing=False) < 1e-3


@slow
def test_a_saved_model_holds_each_weight_once(pairs: keras.Model, tmp_path: Path) -> None:
    import tensorflow as tf

    from agiwb.conversion.exported import export_named
    from agiwb.conversion.source import source_of

    export_named(source_of(pairs, (), "", contract=False).named_model, tmp_path / "m")
    stored = tf.train.list_variables(str(tmp_path / "m" / "variables" / "variables"))
    shapes = sorted(tuple(shape) for name, shape in stored if name.endswith("VARIABLE_VALUE"))
    assert shapes == sorted(tuple(weight.shape) for weight in pairs.weights)
    loaded = tf.saved_model.load(str(tmp_path / "m"))
    assert len(loaded.trainable_variables) == len(loaded.variables) == len(pairs.weights)


@slow
def test_a_cut_model_comes_with_its_vocabulary(pairs: keras.Model) -> None:
    from agiwb.conversion.source import source_of

    source = source_of(pairs, (), "", contract=False, preprocessing=False)
    assert source.preprocessing is not None
    assert source.preprocessing.vocabularies["user"] == ("[UNK]", "a", "b", "c", "é")
    assert source.prepared({"user": USERS, "item": ITEMS})["user"].tolist() == [1, 4, 0]


def test_all_formats_are_those_without_an_extra() -> None:
    assert ConvertConfig(formats="all").formats == tuple(f for f in FORMATS if f != "openvino")
    with pytest.raises(ConfigError, match="opset"):
        ConvertConfig(opset=12)


def test_a_format_without_a_way_says_where_to_go_back_to() -> None:
    assert reachable("litert_int8") == ()
    require_reachable("onnx", "onnx_float16")
    with pytest.raises(InputError, match=r"litert cannot be made from onnx.*keras"):
        require_reachable("onnx", "litert")


def test_a_manifest_of_before_still_loads() -> None:
    old = (
        '{"format": "onnx", "name": "m", "dataset": null, "classes": [], "source_sha256": "",'
        ' "signature": {"inputs": [], "outputs": []}, "files": []}'
    )
    artifact = Artifact.model_validate_json(old)
    assert artifact.operators == {}
    assert artifact.lineage.parent is None
