"""SavedModels, and those that cannot be served."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agiwb.errors import NotFoundError
from agiwb.runtimes.runtime import open_runtime
from agiwb.tensorflow_quietly import import_tensorflow
from tests.conformance.runtime import RuntimeConformance


class TestSavedModel(RuntimeConformance):
    format = "saved_model"


@pytest.mark.slow
def test_another_signature_answers_where_there_is_no_default(tmp_path: Path) -> None:
    tf = import_tensorflow()
    module = tf.Module()
    module.double = tf.function(
        lambda x: {"y": 2 * x}, input_signature=[tf.TensorSpec((None,), tf.float32, "x")]
    )
    tf.saved_model.save(module, str(tmp_path), signatures={"double": module.double})
    runtime = open_runtime(tmp_path)
    assert [str(spec) for spec in runtime.signature.inputs] == ["x: float32 (?)"]
    assert runtime.run({"x": np.array([1.5], np.float32)})["y"] == [3.0]


@pytest.mark.slow
def test_a_saved_model_without_signatures_is_refused(tmp_path: Path) -> None:
    tf = import_tensorflow()
    tf.saved_model.save(tf.Module(), str(tmp_path))
    with pytest.raises(NotFoundError, match="has no signature"):
        open_runtime(tmp_path)


@pytest.mark.slow
def test_a_graph_of_tensorflow_1_answers_as_it_does_where_it_is_served(tmp_path: Path) -> None:
    """A counter in a reference variable, which ``tf.saved_model.load`` cannot wrap."""
    v1 = import_tensorflow().compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        count = v1.get_variable("count", initializer=0.0, use_resource=False)
        x = v1.placeholder(v1.float32, (None,), name="x")
        counted = v1.assign_add(count, v1.reduce_sum(x))
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(tmp_path / "model"), {"x": x}, {"sum": counted})
    runtime = open_runtime(tmp_path / "model")
    assert [str(spec) for spec in runtime.signature.outputs] == ["sum: float32 ()"]
    assert [runtime.run({"x": np.ones(2, np.float32)})["sum"] for _ in range(2)] == [2.0, 4.0]
