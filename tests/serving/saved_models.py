"""A SavedModel with TensorFlow 1's signatures, written by a process of its own.

Run as a script, it writes ``x / 2 + 2`` to the folder named: ``serving_default`` takes numbers,
``regress_x_to_y`` and ``classify_x_to_y`` take serialized ``tf.Example`` messages.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def write_saved_half_plus_two(folder: Path) -> Path:
    """Return ``folder``, which must not exist, with a SavedModel."""
    subprocess.run(
        [sys.executable, __file__, str(folder)],
        check=True,
        capture_output=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    return folder


def _write(folder: str) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        serialized = v1.placeholder(tf.string, [None], "tf_example")
        parsed = tf.io.parse_example(serialized, {"x": tf.io.FixedLenFeature([1], tf.float32)})
        x = tf.identity(parsed["x"], "x")
        half, two = v1.Variable(0.5, name="a"), v1.Variable(2.0, name="b")
        y = tf.add(half * x, two, "y")
        session.run(v1.global_variables_initializer())
        define = v1.saved_model.build_signature_def
        info = v1.saved_model.build_tensor_info
        examples = {"inputs": info(serialized)}
        builder = v1.saved_model.Builder(folder)
        builder.add_meta_graph_and_variables(
            session,
            [v1.saved_model.tag_constants.SERVING],
            {
                "serving_default": define(
                    {"x": info(x)}, {"y": info(y)}, "tensorflow/serving/predict"
                ),
                "regress_x_to_y": define(
                    examples, {"outputs": info(y)}, "tensorflow/serving/regress"
                ),
                "classify_x_to_y": define(
                    examples, {"scores": info(y)}, "tensorflow/serving/classify"
                ),
            },
        )
        builder.save()


if __name__ == "__main__":
    _write(sys.argv[1])
