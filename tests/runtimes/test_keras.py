"""Keras files, and what is refused in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.errors import NotFoundError
from agiwb.runtimes.keras import KerasRuntime
from tests.conformance.runtime import RuntimeConformance


class TestKerasFile(RuntimeConformance):
    format = "keras"


class TestH5File(RuntimeConformance):
    format = "h5"


@pytest.mark.slow
def test_several_inputs_and_outputs_are_told_apart_by_name(tmp_path: Path) -> None:
    import keras

    left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    difference = keras.layers.Subtract(name="difference")([left, right])
    total = keras.layers.Add(name="total")([left, right])
    keras.Model([left, right], [difference, total]).save(tmp_path / "model.keras")

    runtime = KerasRuntime(tmp_path / "model.keras")
    answer = runtime.run({"right": np.ones((1, 2)), "left": np.full((1, 2), 3)})

    assert [spec.name for spec in runtime.signature.inputs] == ["left", "right"]
    assert answer["difference"].tolist() == [[2, 2]]
    assert answer["total"].tolist() == [[4, 4]]


@pytest.mark.slow
def test_a_sequential_model_has_a_signature(tmp_path: Path) -> None:
    import keras

    layers = [keras.Input((3,), name="row"), keras.layers.Dense(2, name="pair")]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    assert KerasRuntime(tmp_path / "model.keras").signature == Signature(
        inputs=(TensorSpec(name="row", dtype="float32", shape=(None, 3)),),
        outputs=(TensorSpec(name="pair", dtype="float32", shape=(None, 2)),),
    )


@pytest.mark.slow
@pytest.mark.parametrize("file", ["model.keras", "model.h5"])
def test_code_in_a_file_is_not_run(tmp_path: Path, file: str) -> None:
    import keras

    features = keras.Input((3,))
    keras.Model(features, keras.layers.Lambda(lambda x: x + 1)(features)).save(tmp_path / file)
    with pytest.raises(NotFoundError, match="agiwb runs no code"):
        KerasRuntime(tmp_path / file)
