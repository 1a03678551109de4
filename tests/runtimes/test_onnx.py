from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.errors import InputError
from agiwb.runtimes.onnx import OnnxRuntime
from tests.conformance.runtime import RefusalConformance, RuntimeConformance
from tests.serving.onnx_models import (
    write_echo,
    write_half_plus_two,
    write_lookup,
    write_one_at_a_time,
    write_two_by_two,
)


class TestOnnx(RuntimeConformance):
    format = "onnx"


class TestOnnxRefusal(RefusalConformance):
    @pytest.fixture
    def one_at_a_time(self, tmp_path):
        return OnnxRuntime(write_one_at_a_time(tmp_path) / "model.onnx")


def test_the_signature_is_the_files_with_free_dimensions_unnamed(tmp_path):
    runtime = OnnxRuntime(write_two_by_two(tmp_path) / "model.onnx")
    assert runtime.signature == Signature(
        inputs=(
            TensorSpec(name="a", dtype="float32", shape=(None,)),
            TensorSpec(name="b", dtype="int64", shape=(None,)),
        ),
        outputs=(
            TensorSpec(name="sum", dtype="float32", shape=(None,)),
            TensorSpec(name="b_twice", dtype="int64", shape=(None,)),
        ),
    )


def test_answers_are_exact_and_named(tmp_path):
    runtime = OnnxRuntime(write_two_by_two(tmp_path) / "model.onnx")
    answer = runtime.run({"b": np.array([1, 2]), "a": [0.5, 1.5]})
    assert {name: array.tolist() for name, array in answer.items()} == {
        "sum": [1.5, 3.5],
        "b_twice": [2, 4],
    }


def test_strings_pass(tmp_path):
    runtime = OnnxRuntime(write_echo(tmp_path) / "model.onnx")
    assert runtime.signature.inputs[0].dtype == "object"
    assert runtime.run({"text": np.array(["a", "bé"])})["same"].tolist() == ["a", "bé"]


def test_threads_are_as_many_as_asked_for_and_do_not_spin(tmp_path):
    session = OnnxRuntime(write_half_plus_two(tmp_path) / "model.onnx", threads=2)._session
    options = session.get_session_options()
    assert options.intra_op_num_threads == 2
    assert options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_a_value_that_the_graph_refuses_is_an_input_error_without_the_path(tmp_path):
    runtime = OnnxRuntime(write_lookup(tmp_path) / "model.onnx")
    assert runtime.run({"index": np.array([2, 0])})["row"].tolist() == [[4, 5], [0, 1]]
    with pytest.raises(InputError, match="refuses this batch") as caught:
        runtime.run({"index": np.array([7])})
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a model", "truncated"])
def test_a_damaged_file_is_named(tmp_path, content):
    path = write_half_plus_two(tmp_path) / "model.onnx"
    path.write_bytes(path.read_bytes()[:60] if content == "truncated" else content)
    with pytest.raises(InputError, match=r"model\.onnx cannot be run as an ONNX model: "):
        OnnxRuntime(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.onnx"):
        OnnxRuntime(tmp_path / "gone.onnx")


def test_nobody_is_told_that_it_is_used(tmp_path):
    path = write_half_plus_two(tmp_path) / "model.onnx"
    places = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME")
    for name in places:
        (tmp_path / name).mkdir()
    mine = {name: str(tmp_path / name) for name in places}
    kept = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    words = "from agiwb.runtimes.onnx import OnnxRuntime; import sys; OnnxRuntime(sys.argv[1])"
    subprocess.run([sys.executable, "-c", words, path], env={**kept, **mine}, check=True)
    assert [found for name in places for found in (tmp_path / name).rglob("*")] == []
