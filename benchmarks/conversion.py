"""What it costs to convert models of real size: seconds, peak memory, and how near the answers are.

    python benchmarks/conversion.py [--models mobilenet_v2 resnet50 ...] [--formats onnx litert ...]

Weights are random, of a fixed seed. Answers are held to the tolerance of the convert step itself
for numbers that are no probabilities. Each format of each model is written
in a process of its own, which loads the Keras file and holds nothing else; the artifact is then
asked in another fresh process, for which the first one waits, as the step does. The peak is that of
both together, by the kernel's figures (VmHWM, VmRSS), and has the interpreter and TensorFlow in it.
What these take by themselves, more than a BERT weighs, is told first, and the peak above it is told
and judged too: it is counted off once for each of the two processes that needs TensorFlow.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agiwb.conversion.parity.check import NEED_TENSORFLOW
from agiwb.conversion.parity.tolerance import TOLERANCES

if TYPE_CHECKING:
    import keras

LARGEST_RATIO = 3.0
"""Of the peak to the weights, with TensorFlow and above it."""
LEAST_WEIGHTS = 400_000_000
"""Bytes; below, TensorFlow itself is most of the peak."""
EXAMPLES = 8

FORMATS: dict[str, tuple[str, ...]] = {
    "mobilenet_v2": ("onnx", "litert"),
    "resnet50": ("onnx", "litert"),
    "bert_base": ("saved_model", "onnx", "litert"),
    "gpt2_small": ("saved_model", "onnx", "litert"),
    "beyond_2_gib": ("saved_model", "onnx"),
}
STEPS = 64
VOCABULARY = {"bert_base": 30_522, "gpt2_small": 50_257, "beyond_2_gib": 1000}


def build(name: str) -> keras.Model:
    """Return a model with random weights, the same each time."""
    import keras

    keras.utils.set_random_seed(0)
    if name == "mobilenet_v2":
        return _normalised(keras.applications.MobileNetV2(weights=None, classifier_activation=None))
    if name == "resnet50":
        return _normalised(keras.applications.ResNet50(weights=None, classifier_activation=None))
    if name == "beyond_2_gib":
        return _wide()
    return _transformer(VOCABULARY[name], causal=name == "gpt2_small")


def _normalised(model: keras.Model) -> keras.Model:
    """Give BatchNormalization the statistics of a batch: without, all images get one answer."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(next(iter(questions(model).values())), training=True)
    return model


def _transformer(vocabulary: int, *, causal: bool) -> keras.Model:
    """Return twelve blocks of width 768: an encoder, or a decoder with a causal mask."""
    import keras
    from keras import layers

    words = keras.Input((STEPS,), dtype="int32", name="words")
    x = layers.Embedding(vocabulary, 768)(words)
    for _ in range(12):
        attention = layers.MultiHeadAttention(12, 64, flash_attention=False)
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, attention(y, y, use_causal_mask=causal)])
        y = layers.Dense(3072, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(768)(y)])
    x = layers.LayerNormalization()(x)
    if causal:
        return keras.Model(words, layers.Dense(vocabulary, name="next")(x))
    return keras.Model(words, layers.Dense(2, name="answer")(layers.GlobalAveragePooling1D()(x)))


def _wide() -> keras.Model:
    """Return dense layers of 2.2 GiB together."""
    import keras
    from keras import layers

    x = inputs = keras.Input((STEPS,), name="numbers")
    for _ in range(9):
        x = layers.LayerNormalization()(layers.Dense(8192, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(10, name="answer")(x))


def questions(model: keras.Model) -> dict[str, np.ndarray]:
    """Return a batch for each input."""
    dice = np.random.default_rng(0)
    (taken,) = model.inputs
    shape = (EXAMPLES, *taken.shape[1:])
    if taken.dtype == "int32":
        return {taken.name: dice.integers(0, 1000, shape).astype(np.int32)}
    return {taken.name: dice.random(shape, np.float32)}


def held_bytes(which: str) -> int:
    """Return what this process holds resident (``VmRSS``), or the most it has held (``VmHWM``)."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) * 1024


def write(name: str, place: Path) -> dict[str, Any]:
    """Write the Keras file, with what it is asked and answers."""
    from agiwb.conversion.parity.tensor_file import write_cases

    model = build(name)
    model.save(place / "model.keras")
    asked = questions(model)
    write_cases(place / "asked.npz", {"batch": asked})
    answer = np.asarray(model(next(iter(asked.values())), training=False))
    write_cases(place / "right.npz", {"batch": {"answer": answer}})
    return {"weights": int(sum(np.prod(weight.shape) * 4 for weight in model.weights))}


def convert(wanted: Any, place: Path) -> dict[str, Any]:
    """Write one format as the convert step does."""
    from agiwb.conversion.drafts import write_format
    from agiwb.conversion.source import source_of
    from agiwb.models.loading import load_keras_model
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    source = source_of(load_keras_model(place / "model.keras"), (), "0" * 64, contract=False)
    loaded = held_bytes("VmHWM")
    seconds = write_format(wanted, source, place / wanted)
    source.let_go()
    gc.collect()
    return {"seconds": seconds, "loaded": loaded, "left": held_bytes("VmRSS")}


def ask(wanted: Any, place: Path) -> dict[str, Any]:
    """Return how far the artifact's answers are from the model's, and the peak until they came."""
    from agiwb.conversion.parity.asked import answer_file
    from agiwb.conversion.parity.tensor_file import read_cases

    answer_file(str(place / wanted), str(place / "asked.npz"), str(place / "answers.npz"))
    peak = held_bytes("VmHWM")  # what follows compares, as the step does elsewhere
    (found,) = read_cases(place / "answers.npz")["batch"].values()
    (right,) = read_cases(place / "right.npz")["batch"].values()
    scale = np.maximum(np.abs(right), right.std())
    return {"error": float((np.abs(found - right) / scale).max()), "peak": peak}


def nothing(_what: str, _place: Path) -> dict[str, Any]:
    """Import TensorFlow and Keras, and make nothing."""
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    return {"version": keras.__version__}


STAGES = {"nothing": nothing, "write": write, "convert": convert, "ask": ask}


def in_a_process(stage: str, what: str, place: Path) -> dict[str, Any]:
    """Return what a stage told, run in a process of its own, with that one's ``peak``."""
    words = [sys.executable, __file__, "--stage", stage, what, str(place)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        return {"failed": f"exit code {done.returncode}: {' '.join(last)}"}
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def measure(name: str, formats: tuple[str, ...], bare: int) -> list[dict[str, Any]]:
    """Print a line for each format of a model, and return the claims on it.

    ``bare`` are the bytes that Python with TensorFlow takes by itself.
    """
    claims = []
    with tempfile.TemporaryDirectory(prefix="agiwb-benchmark-") as folder:
        place = Path(folder)
        weights = in_a_process("write", name, place)["weights"]
        for wanted in formats:
            (place / wanted).mkdir()
            made = in_a_process("convert", wanted, place)
            if "failed" in made:
                print(f"{name:<13} {wanted:<12} {made['failed']}", flush=True)
                claims.append({"name": f"{name} as {wanted} is written", "holds": False})
                continue
            asked = in_a_process("ask", wanted, place)
            peak = max(made["peak"], made["left"] + asked.get("peak", 0))
            ratio = peak / weights
            both = bare * (2 if wanted in NEED_TENSORFLOW else 1)
            above = max(made["peak"] - bare, made["left"] + asked.get("peak", 0) - both) / weights
            print(
                f"{name:<13} {wanted:<12} weights {weights / 1e6:7,.0f} MB   "
                f"{made['seconds']:6.1f} s   peak {peak / 1e6:7,.0f} MB = {ratio:4.1f} x, "
                f"above TensorFlow {above:4.1f} x: "
                f"loading {made['loaded'] / weights:.1f} x, "
                f"writing {made['peak'] / weights:.1f} x, "
                f"left {made['left'] / weights:.1f} x while the other asks, which takes "
                f"{asked.get('peak', 0) / weights:.1f} x; "
                f"error {asked.get('error', float('nan')):.1e} {asked.get('failed', '')}",
                flush=True,
            )
            error = asked.get("error", float("inf"))
            allowed = TOLERANCES[wanted].max_scaled_error
            claims.append(_claim(f"{name} as {wanted}, error", error, allowed or 0))
            if weights >= LEAST_WEIGHTS:
                claims.append(_claim(f"{name} as {wanted}, peak / weights", ratio, LARGEST_RATIO))
                claims.append(_claim(f"{name} as {wanted}, above TensorFlow", above, LARGEST_RATIO))
    return claims


def _claim(name: str, value: float, bar: float) -> dict[str, Any]:
    return {"name": name, "value": float(f"{value:.3g}"), "bar": bar, "holds": value <= bar}


def main() -> None:
    """Measure, print for people, and end with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--formats", nargs="+")
    parser.add_argument("--stage", nargs=3)
    given = parser.parse_args()
    if given.stage:
        stage, what, place = given.stage
        told = STAGES[stage](what, Path(place))
        print(json.dumps({"peak": held_bytes("VmHWM"), **told}))
        return
    bare = in_a_process("nothing", "", Path())["peak"]
    print(f"Python with TensorFlow and Keras takes {bare / 1e6:,.0f} MB by itself", flush=True)
    claims = []
    for name in given.models:
        formats = FORMATS[name]
        claims += measure(name, tuple(f for f in formats if f in (given.formats or formats)), bare)
    print(json.dumps({"claims": claims, "machine": f"{platform.machine()} {platform.system()}"}))


if __name__ == "__main__":
    main()
