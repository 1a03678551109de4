"""Models in child processes: every signature, several callers, sudden ends, and memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from agiwb.errors import InputError, NotFoundError, ServingError
from agiwb.runtimes.child.connection import ChildConnection
from agiwb.runtimes.child.runtime import ChildRuntime
from agiwb.tensorflow_quietly import import_tensorflow

BATCH = {"x": np.array([[1.0], [2.0]], np.float32)}


def _wait_until(happened, seconds=60.0):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def no_child_left():
    """To be called: asserts that this process has no children but those it had before."""
    before = psutil.Process().children()

    def check():
        assert [child for child in psutil.Process().children() if child not in before] == []

    return check


def test_a_format_that_is_not_served_is_refused_by_the_child_itself(tmp_path, no_child_left):
    with pytest.raises(NotFoundError, match=r"model\.h5 is not served"):
        ChildRuntime(tmp_path / "model.h5", "h5")
    no_child_left()


def test_a_model_that_takes_too_long_is_given_up_and_its_process_ended(tmp_path, no_child_left):
    with pytest.raises(ServingError, match=r"not loaded within 0\.05 s"):
        ChildRuntime(tmp_path / "model.keras", "keras", start_timeout_s=0.05)
    no_child_left()


def test_what_the_child_prints_is_in_our_log(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("PYTHONVERBOSE", "1")
    with pytest.raises(NotFoundError):
        ChildRuntime(tmp_path / "model.h5", "h5")
    _wait_until(lambda: "import 'agiwb" in caplog.text, 60)


def test_a_child_whose_process_dies_while_it_loads_tells_how(tmp_path, no_child_left):
    child = ChildConnection(tmp_path / "model.keras", "keras", 1)
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(ServingError, match="was ended by SIGKILL"):
        child.introduce(30)
    no_child_left()


def test_a_child_ends_with_its_parent_even_while_it_loads(tmp_path):
    words = (
        "import os, sys; from pathlib import Path\n"
        "from agiwb.runtimes.child.connection import ChildConnection\n"
        f"print(ChildConnection(Path({str(tmp_path / 'model.keras')!r}), 'keras', 1).pid)\n"
        "sys.stdout.flush(); os.kill(os.getpid(), 9)"
    )
    parent = subprocess.run([sys.executable, "-c", words], stdout=subprocess.PIPE, check=False)
    assert parent.returncode == -signal.SIGKILL
    _wait_until(lambda: not _runs(int(parent.stdout)), 60)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _write_saved_model(folder: Path) -> Path:
    """Write a model of TensorFlow 2 with three signatures, one of which parses examples."""
    tf = import_tensorflow()

    class Model(tf.Module):
        def __init__(self):
            super().__init__()
            self.half = tf.Variable(0.5)

        @tf.function(input_signature=[tf.TensorSpec((None, 1), tf.float32, "x")])
        def predict(self, x):
            return {"y": self.half * x + 2.0, "twice": 2.0 * x}

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "examples")])
        def classify(self, examples):
            wanted = {"x": tf.io.FixedLenFeature((1,), tf.float32)}
            parsed = tf.io.parse_example(examples, wanted)
            return {"scores": self.half * parsed["x"] + 2.0, "same": examples}

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.int64, "steps")])
        def count(self, steps):
            (last,) = tf.while_loop(
                lambda number: number < steps[0],
                lambda number: [number + 1],
                [tf.zeros((), tf.int64)],
            )
            return {"last": last[None]}

    model = Model()
    signatures = {
        "serving_default": model.predict,
        "classify": model.classify,
        "count": model.count,
    }
    tf.saved_model.save(model, str(folder), signatures=signatures)
    return folder / "saved_model.pb"


def _write_session_model(folder: Path) -> Path:
    """Write a graph of TensorFlow 1 that ``tf.saved_model.load`` cannot wrap: a counter."""
    v1 = import_tensorflow().compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        count = v1.get_variable("count", (), initializer=v1.zeros_initializer(), use_resource=False)
        delta = v1.placeholder(v1.float32, name="delta")  # of any rank
        grown = v1.assign_add(count, delta)
        session.run(v1.global_variables_initializer())
        build = v1.saved_model.signature_def_utils.build_signature_def
        info = v1.saved_model.utils.build_tensor_info
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {
                "grow": build({"delta": info(delta)}, {"count": info(grown)}, "a/method"),
                "read": build({}, {"count": info(count)}, "tensorflow/serving/predict"),
            },
        )
        builder.save()
    return folder / "saved_model.pb"


@pytest.mark.slow
class TestTensorFlow2:
    @pytest.fixture(scope="class")
    @classmethod
    def path(cls, tmp_path_factory) -> Path:
        return _write_saved_model(tmp_path_factory.mktemp("saved_model"))

    @pytest.fixture(scope="class")
    @classmethod
    def runtime(cls, path):
        runtime = ChildRuntime(path, "saved_model")
        yield runtime
        runtime.close()

    def test_every_signature_is_told_with_its_method(self, runtime):
        assert set(runtime.signatures) == {"serving_default", "classify", "count"}
        named = runtime.signatures["serving_default"]
        assert named.method == "tensorflow/serving/predict"
        assert [str(spec) for spec in named.signature.inputs] == ["x: float32 (?, 1)"]
        assert [spec.name for spec in named.signature.outputs] == ["twice", "y"]
        (examples,) = runtime.signatures["classify"].signature.inputs
        assert (examples.dtype, examples.shape) == ("object", (None,))

    def test_answers_are_exact_cast_and_filtered(self, runtime):
        found = runtime.run(BATCH)
        assert {name: array.tolist() for name, array in found.items()} == {
            "twice": [[2.0], [4.0]],
            "y": [[2.5], [3.0]],
        }
        assert list(runtime.run({"x": np.array([[4]])}, outputs=["y"])) == ["y"]

    def test_serialized_examples_go_in_and_bytes_come_out(self, runtime):
        tf = import_tensorflow()
        value = tf.train.Feature(float_list=tf.train.FloatList(value=[4.0]))
        features = tf.train.Features(feature={"x": value})
        example = tf.train.Example(features=features).SerializeToString()
        found = runtime.run({"examples": np.array([example, example], object)}, "classify")
        assert found["scores"].tolist() == [[4.0], [4.0]]
        assert found["same"].tolist() == [example, example]

    def test_what_does_not_fit_is_refused_and_the_child_lives_on(self, runtime):
        pid = runtime.pid
        with pytest.raises(InputError, match="expects the inputs x: float32"):
            runtime.run({"z": BATCH["x"]})
        with pytest.raises(InputError, match="type float32"):
            runtime.run({"x": np.array([["a"]])})
        with pytest.raises(InputError, match="refuses this batch"):
            runtime.run({"examples": np.array([b"no example"], object)}, "classify")
        with pytest.raises(InputError, match="no signature `other`"):
            runtime.run(BATCH, "other")
        with pytest.raises(InputError, match="no output 'z'"):
            runtime.run(BATCH, outputs=["z"])
        assert runtime.run(BATCH)["y"].shape == (2, 1)
        assert runtime.pid == pid

    def test_requests_of_many_threads_get_their_own_answers(self, runtime):
        def ask(number: int) -> float:
            return float(runtime.run({"x": np.array([[number]], np.float32)})["twice"][0, 0])

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, range(200))) == [2.0 * number for number in range(200)]

    def test_a_killed_child_fails_what_it_had_and_is_replaced(self, runtime, caplog):
        first = runtime.pid
        with ThreadPoolExecutor(1) as pool:
            long = pool.submit(runtime.run, {"steps": np.array([10**12])}, "count")
            time.sleep(0.3)
            os.kill(first, signal.SIGKILL)
            with pytest.raises(ServingError, match="was ended by SIGKILL"):
                long.result(60)
        with pytest.raises(ServingError, match="started again"):
            runtime.run(BATCH)
        _wait_until(lambda: runtime.pid != first)
        assert runtime.run(BATCH)["y"].tolist() == [[2.5], [3.0]]
        assert f"The process {first} of the model" in caplog.text
        assert not psutil.pid_exists(first)  # not even as a zombie

    def test_closing_gives_the_memory_back(self, runtime):
        process = psutil.Process(runtime.pid)
        assert process.memory_info().rss > 100e6
        runtime.close()
        assert not psutil.pid_exists(process.pid)
        with pytest.raises(ServingError):
            runtime.run(BATCH)
        runtime.close()  # again, without harm


@pytest.mark.slow
def test_a_graph_of_tensorflow_1_runs_in_a_session(tmp_path):
    runtime = ChildRuntime(_write_session_model(tmp_path / "1"), "saved_model")
    try:
        assert runtime.signatures["grow"].method == "a/method"
        assert runtime.signatures["read"].signature.outputs[0].dtype == "float32"
        assert runtime.run({"delta": np.float32(2)}, "grow")["count"] == 2
        assert runtime.run({"delta": np.float32(3)}, "grow")["count"] == 5
        assert runtime.run({}, "read")["count"] == 5
    finally:
        runtime.close()


@pytest.mark.slow
def test_a_damaged_saved_model_is_named(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"This was a model once.")
    with pytest.raises(NotFoundError, match=str(tmp_path)):
        ChildRuntime(tmp_path / "saved_model.pb", "saved_model")
