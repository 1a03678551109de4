from __future__ import annotations

import numpy as np
import pytest

from agiwb.artifacts.signature import TensorSpec
from agiwb.errors import InputError
from agiwb.runtimes.litert import LiteRTRuntime
from tests.conformance.runtime import RefusalConformance, RuntimeConformance

ROWS = np.random.default_rng(1).uniform(0, 1, (20, 4)).astype(np.float32)


class TestLiteRT(RuntimeConformance):
    format = "litert"


@pytest.mark.slow
class TestLiteRTRefusal(RefusalConformance):
    @pytest.fixture
    def one_at_a_time(self, tmp_path):
        from agiwb.tensorflow_quietly import import_tensorflow

        tf = import_tensorflow()
        module = tf.Module()
        module.run = tf.function(
            lambda x: {"y": tf.reshape(x, (1, 4))},
            input_signature=[tf.TensorSpec((None, 2, 2), tf.float32, "x")],
        )
        tf.saved_model.save(module, tmp_path / "saved", signatures={"serving_default": module.run})
        converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
        (tmp_path / "model.tflite").write_bytes(converter.convert())
        return LiteRTRuntime(tmp_path / "model.tflite")


@pytest.fixture(scope="session")
def litert_files(tmp_path_factory):
    """One dense softmax layer in three files: float32, int8 throughout, and without signature.

    A fourth moves a window of 400 samples along its input, whose size is free.
    """
    from agiwb.tensorflow_quietly import import_tensorflow

    tf = import_tensorflow()
    folder = tmp_path_factory.mktemp("litert")
    weights = tf.constant(np.random.default_rng(0).normal(size=(4, 3)), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32, "features")])
    def classify(features):
        return {"probabilities": tf.nn.softmax(features @ weights)}

    module = tf.Module()
    module.classify = classify
    tf.saved_model.save(module, folder / "saved", signatures={"serving_default": classify})
    plain = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
    (folder / "float.tflite").write_bytes(plain.convert())

    small = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
    small.optimizations = [tf.lite.Optimize.DEFAULT]
    small.representative_dataset = lambda: ([row[None]] for row in ROWS)
    small.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    small.inference_input_type = small.inference_output_type = tf.int8
    (folder / "int8.tflite").write_bytes(small.convert())

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32, "sound")])
    def level(sound):
        windows = tf.nn.conv1d(tf.expand_dims(sound, -1), tf.ones((400, 1, 2)) / 400, 160, "VALID")
        return {"levels": windows}

    module.level = level
    tf.saved_model.save(module, folder / "windows", signatures={"serving_default": level})
    windows = tf.lite.TFLiteConverter.from_saved_model(str(folder / "windows"))
    (folder / "windows.tflite").write_bytes(windows.convert())

    concrete = classify.get_concrete_function()
    unnamed = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
    (folder / "unnamed.tflite").write_bytes(unnamed.convert())
    return folder


@pytest.fixture(scope="session")
def expected(litert_files):
    return LiteRTRuntime(litert_files / "float.tflite").run({"features": ROWS})["probabilities"]


@pytest.mark.slow
@pytest.mark.parametrize("file", ["float", "int8"])
def test_names_are_the_signatures_and_types_are_real(litert_files, file):
    signature = LiteRTRuntime(litert_files / f"{file}.tflite").signature
    assert signature.inputs == (TensorSpec(name="features", dtype="float32", shape=(None, 4)),)
    assert signature.outputs == (
        TensorSpec(name="probabilities", dtype="float32", shape=(None, 3)),
    )


@pytest.mark.slow
def test_answers_are_probabilities(expected):
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-6)
    assert expected.std(axis=0).min() > 0.01


@pytest.mark.slow
def test_int8_inputs_and_outputs_are_converted(litert_files, expected):
    answer = LiteRTRuntime(litert_files / "int8.tflite").run({"features": ROWS.astype(np.float64)})
    assert answer["probabilities"].dtype == np.float32
    # An int8 probability moves in steps of 1/256.
    np.testing.assert_allclose(answer["probabilities"], expected, atol=4 / 256)


@pytest.mark.slow
def test_what_int8_cannot_hold_becomes_its_nearest(litert_files):
    runtime = LiteRTRuntime(litert_files / "int8.tflite")
    limits = runtime.run({"features": np.array([[1e9, -1e9, np.inf, -np.inf]])})["probabilities"]
    clipped = runtime.run({"features": np.array([[1.5, -1.5, 1.5, -1.5]])})["probabilities"]
    np.testing.assert_array_equal(limits, clipped)


@pytest.mark.slow
def test_a_model_without_signature_gives_the_graphs_names(litert_files, expected):
    runtime = LiteRTRuntime(litert_files / "unnamed.tflite")
    (given,), (answered,) = runtime.signature.inputs, runtime.signature.outputs
    assert "features" in given.name
    for size in (1, 20, 3):
        answer = runtime.run({given.name: ROWS[:size]})[answered.name]
        np.testing.assert_allclose(answer, expected[:size], atol=1e-6)


@pytest.mark.slow
def test_alternating_batch_sizes_answer_alike(litert_files, expected):
    runtime = LiteRTRuntime(litert_files / "float.tflite")
    for size in (1, 20, 0, 7, 1):
        answer = runtime.run({"features": ROWS[:size]})["probabilities"]
        np.testing.assert_allclose(answer, expected[:size], atol=1e-6)


@pytest.mark.slow
def test_a_truncated_file_is_named(litert_files, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes((litert_files / "float.tflite").read_bytes()[:500])
    with pytest.raises(InputError, match=r"model\.tflite cannot be run as a LiteRT model"):
        LiteRTRuntime(path)


@pytest.mark.parametrize("content", [b"", b"not a model"])
def test_a_file_that_is_no_model_is_named(tmp_path, content):
    (tmp_path / "model.tflite").write_bytes(content)
    with pytest.raises(InputError, match=r"model\.tflite cannot be run as a LiteRT model"):
        LiteRTRuntime(tmp_path / "model.tflite")


@pytest.mark.slow
def test_a_window_longer_than_the_size_that_the_file_has_for_a_free_one(litert_files):
    runtime = LiteRTRuntime(litert_files / "windows.tflite")
    assert runtime.signature.inputs[0].shape == (None, None)
    sound = np.linspace(0, 1, 1280, dtype=np.float32)[None]
    levels = runtime.run({"sound": sound})["levels"]
    wanted = [sound[0, start : start + 400].mean() for start in range(0, 881, 160)]
    np.testing.assert_allclose(levels[0, :, 0], wanted, atol=1e-5)
    with pytest.raises(InputError, match="refuses this batch"):
        runtime.run({"sound": sound[:, :399]})
    assert runtime.run({"sound": sound[:, :400]})["levels"].shape == (1, 1, 2)
