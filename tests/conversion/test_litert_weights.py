"""Large weights of LiteRT: never inside the converter, and in the file as if they had been."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from agiwb.errors import WorkError
from tests.conversion.large_weights import MODELS, build, largest_error

if TYPE_CHECKING:
    import keras

pytestmark = pytest.mark.slow


def written(model: keras.Model, folder: Path) -> Counter[str]:
    """Write ``model.tflite``, and return how often it has each operator."""
    from agiwb.conversion.litert import write_litert
    from agiwb.conversion.source import source_of
    from agiwb.inspection.inspect_model import inspect_model

    folder.mkdir()
    write_litert(source_of(model, (), "0" * 64, contract=False), folder)
    return Counter(inspect_model(folder / "model.tflite").operators)


@pytest.mark.parametrize("name", ["transformer", "recurrent"])
def test_the_file_is_the_one_of_a_converter_that_saw_the_weights(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agiwb.conversion import litert_weights
    from agiwb.runtimes.runtime import open_runtime

    model, asked = build(name)
    inside = written(model, tmp_path / "inside")
    monkeypatch.setattr(litert_weights, "LEAST_BYTES", 1)
    outside = written(model, tmp_path / "outside")
    assert largest_error(model, tmp_path / "outside", asked) < 1e-5
    assert outside["FULLY_CONNECTED"] == inside["FULLY_CONNECTED"]
    assert outside["BATCH_MATMUL"] == inside["BATCH_MATMUL"]
    assert outside["RESHAPE"] == inside["RESHAPE"]
    sizes = [(tmp_path / each / "model.tflite").stat().st_size for each in ("inside", "outside")]
    assert sizes[1] < 1.1 * sizes[0]
    signature = open_runtime(tmp_path / "outside").signature
    assert [spec.name for spec in signature.inputs] == list(asked)


def test_a_weight_that_is_both_looked_up_and_multiplied_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agiwb.conversion import litert_weights
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    words = keras.Input((6,), dtype="int32", name="words")
    table = keras.layers.ReversibleEmbedding(300, 64)
    model = keras.Model(words, table(table(words), reverse=True))
    monkeypatch.setattr(litert_weights, "LEAST_BYTES", 1)
    operators = written(model, tmp_path / "m")
    assert operators["FULLY_CONNECTED"] == 1
    assert operators["BATCH_MATMUL"] == operators["TRANSPOSE"] == 0
    assert largest_error(model, tmp_path / "m", MODELS["transformer"][1]) < 1e-5


def test_weights_beyond_what_a_file_can_hold(tmp_path: Path) -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    from agiwb.conversion.lifted_weight import Weight
    from agiwb.conversion.litert_metadata import completed
    from agiwb.conversion.source import ConversionSource
    from tests.importing.import_files import tiny_tflite

    model = schema.ModelT.InitFromPackedBuf(tiny_tflite(), 0)
    taken, signature = schema.TensorMapT(), schema.SignatureDefT()
    taken.name, taken.tensorIndex = "w", 0
    signature.inputs = [taken]
    model.signatureDefs = [signature]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    huge = Weight("w", np.dtype(np.float32), (2**15, 2**15), lambda: np.zeros(0))
    source = ConversionSource(None, None, (), "0" * 64)
    with pytest.raises(WorkError, match=r"take 4\.0 GiB, and a LiteRT file holds 2"):
        completed(bytes(builder.Output()), [huge], source)
