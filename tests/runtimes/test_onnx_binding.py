"""Bound buffers give what the session gives, for any batch, thread and lie in the file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from agiwb.errors import InputError
from agiwb.runtimes.onnx import OnnxRuntime
from tests.serving.onnx_models import write_echo, write_lookup, write_mlp, write_two_by_two


@pytest.fixture
def mlp(tmp_path):
    return OnnxRuntime(write_mlp(tmp_path) / "model.onnx")


def _by_session(runtime, features):
    return runtime._session.run(None, {"features": features})[0]


def test_any_batch_size_is_answered_as_by_the_session(mlp):
    random = np.random.default_rng(1)
    for rows in (1, 32, 1, 7, 0, 1000, *range(1, 40)):  # more than are kept, and one too large
        features = random.normal(size=(rows, 64)).astype(np.float32)
        found = mlp.run({"features": features})
        assert list(found) == ["probabilities"]
        np.testing.assert_array_equal(found["probabilities"], _by_session(mlp, features))
    assert len(mlp._bindings._of_thread.by_shapes) <= 16


def test_answers_are_the_callers_own(mlp):
    first = mlp.run({"features": np.zeros((1, 64), np.float32)})["probabilities"]
    kept = first.copy()
    mlp.run({"features": np.ones((1, 64), np.float32)})
    np.testing.assert_array_equal(first, kept)
    assert first.flags.owndata
    assert first.flags.writeable


def test_read_only_and_strided_inputs_are_taken(mlp):
    features = np.random.default_rng(2).normal(size=(8, 128)).astype(np.float32)[::2, ::2]
    features.flags.writeable = False
    found = mlp.run({"features": features})["probabilities"]
    np.testing.assert_allclose(found, _by_session(mlp, np.ascontiguousarray(features)), atol=1e-6)


def test_threads_do_not_share_buffers(mlp):
    random = np.random.default_rng(3)
    batches = [random.normal(size=(1 + i % 3, 64)).astype(np.float32) for i in range(400)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda batch: mlp.run({"features": batch}), batches))
    for batch, answer in zip(batches, answers, strict=True):
        np.testing.assert_array_equal(answer["probabilities"], _by_session(mlp, batch))


def test_several_inputs_must_have_one_batch_size(tmp_path):
    runtime = OnnxRuntime(write_two_by_two(tmp_path) / "model.onnx")
    inputs = {"b": np.array([1, 2]), "a": np.array([0.5, 1.5], np.float32)}
    assert runtime.run(inputs)["sum"].tolist() == [1.5, 3.5]
    with pytest.raises(InputError, match="different batch sizes"):
        runtime.run({**inputs, "b": np.array([1])})


def test_only_the_wanted_outputs_are_given(tmp_path):
    runtime = OnnxRuntime(write_two_by_two(tmp_path) / "model.onnx")
    inputs = {"a": np.zeros(2, np.float32), "b": np.array([1, 2])}
    assert list(runtime.run(inputs, ["b_twice"])) == ["b_twice"]
    assert list(runtime.run(inputs, ["b_twice", "sum"])) == ["sum", "b_twice"]
    with pytest.raises(InputError, match=r"no output 'b_twic'\. Did you mean `b_twice`"):
        runtime.run(inputs, ["b_twic"])


def test_a_refused_batch_leaves_the_binding_in_use(tmp_path):
    runtime = OnnxRuntime(write_lookup(tmp_path) / "model.onnx")
    with pytest.raises(InputError, match="refuses this batch"):
        runtime.run({"index": np.array([7])})
    assert runtime._bindings.possible
    assert runtime.run({"index": np.array([2])})["row"].tolist() == [[4, 5]]


def test_texts_are_not_bound(tmp_path):
    assert not OnnxRuntime(write_echo(tmp_path) / "model.onnx")._bindings.possible


def test_a_file_that_lies_about_its_outputs_is_answered_all_the_same(tmp_path):
    """Its output has as many rows as values above zero, not as many as the batch."""
    nodes = [
        helper.make_node("Cast", ["x"], ["above"], to=TensorProto.BOOL),
        helper.make_node("Compress", ["x", "above"], ["y"], axis=0),
    ]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "model.onnx")
    runtime = OnnxRuntime(tmp_path / "model.onnx")
    assert runtime._bindings.possible
    for values in ([1.0, 2.0], [1.0, 0.0, 3.0], [0.0, 0.0], [4.0, 5.0, 6.0]):
        found = runtime.run({"x": np.array(values, np.float32)})["y"]
        assert found.tolist() == [value for value in values if value]
    assert not runtime._bindings.possible
