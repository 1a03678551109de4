"""The start of Keras without its extras, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CODE = """
import gc, json, sys
from agiwb.tensorflow_quietly import import_tensorflow, leave_out_extras_of_keras
leave_out_extras_of_keras()
leave_out_extras_of_keras()
import_tensorflow()
import keras
left_out = sorted({"IPython", "matplotlib", "sklearn"} - set(sys.modules))
import IPython, matplotlib.pyplot, sklearn.linear_model
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
finders = [type(finder).__name__ for finder in sys.meta_path].count("_WithoutExtras")
shape = model.predict(keras.ops.ones((1, 2)), verbose=0).shape
print(json.dumps([left_out, finders, shape, gc.isenabled(), gc.get_freeze_count() > 100_000]))
"""


@pytest.mark.slow
def test_keras_starts_without_its_extras_and_everyone_else_finds_them() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    extras = ["IPython", "matplotlib", "sklearn"]
    assert json.loads(done.stdout) == [extras, 1, [1, 1], True, True]
