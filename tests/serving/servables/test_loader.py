"""From a folder to a servable: which format, whole files only, and what is told of it."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import psutil
import pytest

from agiwb.artifacts.manifest import MANIFEST_FILE
from agiwb.errors import InputError, NotFoundError
from agiwb.serving.servables.loader import load_servable
from agiwb.serving.servables.servable import RunTime
from agiwb.serving.status import Code, Refusal
from agiwb.serving.versions import Version
from agiwb.tensorflow_quietly import import_tensorflow
from tests.serving.onnx_models import (
    make_artifact,
    write_half_plus_two,
    write_sequence,
    write_two_by_two,
)

X = {"x": np.array([1.0, 2.0], np.float32)}


def test_onnx_runs_in_process_inline_and_is_timed(tmp_path):
    servable = load_servable("m", Version(1, write_half_plus_two(tmp_path / "1")))
    assert servable.run(X)["y"].tolist() == [2.5, 3.0]
    assert list(servable.signatures) == ["serving_default"]
    assert servable.signatures["serving_default"].method == "tensorflow/serving/predict"
    assert servable.inline
    assert 0 < servable.run_time.seconds(1) < 1
    assert _children_of_models() == []


def test_outputs_are_filtered_and_other_signatures_unknown(tmp_path):
    servable = load_servable("m", Version(1, write_two_by_two(tmp_path / "1")))
    inputs = {"a": np.zeros(2, np.float32), "b": np.array([1, 2])}
    assert list(servable.run(inputs, outputs=["b_twice"])) == ["b_twice"]
    with pytest.raises(InputError, match="no signature `classify`"):
        servable.run(inputs, "classify")


def test_a_closed_servable_answers_no_more(tmp_path):
    servable = load_servable("m", Version(1, write_half_plus_two(tmp_path / "1")))
    servable.close()
    with pytest.raises(InputError, match="unloaded"):
        servable.run(X)


def test_a_changed_byte_is_refused_with_the_name_of_the_file(tmp_path):
    folder = make_artifact(tmp_path / "1")
    assert load_servable("m", Version(1, folder)).run(X)["y"].tolist() == [2.5, 3.0]
    content = bytearray((folder / "model.onnx").read_bytes())
    content[-1] ^= 1
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(Refusal, match=r"1/model\.onnx is not the one") as refused:
        load_servable("m", Version(1, folder))
    assert refused.value.code is Code.DATA_LOSS
    (folder / "model.onnx").unlink()
    with pytest.raises(Refusal, match=r"1/model\.onnx is not the one"):
        load_servable("m", Version(1, folder))
    (folder / MANIFEST_FILE).write_text("{}")
    with pytest.raises(InputError, match=r"artifact\.json cannot be read"):
        load_servable("m", Version(1, folder))


def test_a_folder_without_a_served_model_is_named(tmp_path):
    (tmp_path / "1").mkdir()
    with pytest.raises(NotFoundError, match=r"of the model 'm' holds no model\.onnx or"):
        load_servable("m", Version(1, tmp_path / "1"))
    (tmp_path / "1" / "model.h5").write_bytes(b"")
    with pytest.raises(NotFoundError, match=r"\.h5 file, which itself is not served"):
        load_servable("m", Version(1, tmp_path / "1"))


def test_onnx_goes_before_other_formats(tmp_path):
    folder = write_half_plus_two(tmp_path / "1")
    for name in ("model.tflite", "saved_model.pb", "model.keras"):
        (folder / name).write_bytes(b"not read")
    assert load_servable("m", Version(1, folder)).inline


def test_loading_imports_nothing_heavy(tmp_path):
    folder = write_half_plus_two(tmp_path / "1")
    words = (
        "import sys; from pathlib import Path\n"
        "from agiwb.serving.servables.loader import load_servable\n"
        "from agiwb.serving.versions import Version\n"
        f"load_servable('m', Version(1, Path({str(folder)!r})))\n"
        "heavy = {'tensorflow', 'keras', 'mlflow', 'pandas', 'pyarrow', 'matplotlib'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    found = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, check=True, text=True
    )
    assert found.stdout.strip() == "[]"


@pytest.mark.slow
def test_keras_and_litert_of_one_model_answer_alike(tmp_path):
    tf = import_tensorflow()
    import keras

    model = keras.Sequential([keras.Input((3,), name="features"), keras.layers.Dense(2)])
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    model.save(tmp_path / "1" / "model.keras")
    converted = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    (tmp_path / "2" / "model.tflite").write_bytes(converted)
    features = np.arange(6, dtype=np.float32).reshape(2, 3)
    expected = model(features).numpy()
    for number, inline in ((1, False), (2, False)):
        servable = load_servable("m", Version(number, tmp_path / str(number)))
        (name,) = (spec.name for spec in servable.signatures["serving_default"].signature.inputs)
        (answer,) = servable.run({name: features}).values()
        np.testing.assert_allclose(answer, expected, atol=1e-5)
        assert servable.inline is inline
        servable.close()
    assert _children_of_models() == []
    shutil.rmtree(tmp_path)


def test_nothing_is_known_of_the_time_where_more_than_the_rows_is_free(tmp_path):
    """One pixel, which is what would be timed, says nothing of a picture."""
    servable = load_servable("m", Version(1, write_sequence(tmp_path / "1")))
    assert servable.run({"x": np.ones((1, 1), np.float32)})["y"].tolist() == [[2.0]]
    assert servable.run_time == RunTime()


def _children_of_models() -> list[psutil.Process]:
    """Return this process's children that run models; other tests may have left others."""
    return [
        child
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE
        and any("agiwb.runtimes.child" in word for word in child.cmdline())
    ]
