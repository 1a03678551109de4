"""Steps of the tests' own, for workers: small, slow on demand, stubborn on demand."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path

from agiwb.config import Config
from agiwb.errors import InputError, WorkError
from agiwb.runs.context import Context
from agiwb.runs.files import sha256_of_file, write_atomic
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step
from agiwb.runs.store import RunStore


class CountConfig(Config):
    upto: int = 3
    pause_s: float = 0.0
    stop_at: int = 0
    """Wait for ever before this number, without asking whether to stop."""
    is_deaf: bool = False
    """Do not hear SIGTERM either."""
    fail: str = ""
    data: Path | None = None


class CountRecord(Record):
    config: CountConfig
    counted: tuple[int, ...]
    """The numbers this process counted: fewer after a resume."""
    resumed: bool
    environment: dict[str, str]


def _inputs(config: CountConfig, store: RunStore) -> dict[str, Input]:
    return {} if config.data is None else {"data": Input(sha256_of_file(config.data))}


@step("count", inputs=_inputs)
def count(config: CountConfig, context: Context) -> CountRecord:
    """Return the numbers up to one; each is kept in the checkpoint as soon as it is counted."""
    if config.is_deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    kept = context.checkpoint / "last"
    first = int(kept.read_text()) + 1 if kept.exists() else 1
    print("counting from", first)
    for number in range(first, config.upto + 1):
        while number == config.stop_at and not context.resumed:
            time.sleep(0.05)
        (context.files / f"{number}.txt").write_text(str(number))
        write_atomic(kept, str(number))
        context.say(f"counted {number}")
        context.progress("counting", number, config.upto)
        time.sleep(config.pause_s)
    if config.fail == "input":
        raise InputError("The data is wrong.", "Mend it.")
    if config.fail == "work":
        raise WorkError("It did not work.", "Try again.")
    if config.fail == "bug":
        raise ZeroDivisionError("a bug")
    return CountRecord(
        run=context.run,
        config=config,
        counted=tuple(range(first, config.upto + 1)),
        resumed=context.resumed,
        environment={"folder": str(Path.cwd()), "word": os.environ.get("SOME_WORD", "")},
        problems=("A gate was not passed.",) if config.fail == "gate" else (),
    )


class FitConfig(Config):
    seed: int = 0
    epochs: int = 2


class FitRecord(Record):
    config: FitConfig
    weights_sha256: str
    product_sha256: str
    """Of a product of matrices, which depends on the number of BLAS threads."""


@step("fit", reusable=False)
def fit(config: FitConfig, context: Context) -> FitRecord:
    """Return the digest of the weights of a small convolutional net with dropout."""
    from agiwb.tensorflow_quietly import import_tensorflow

    tf = import_tensorflow()
    import keras
    import numpy as np

    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    rng = np.random.default_rng(config.seed)
    images = rng.normal(size=(256, 8, 8, 1)).astype("float32")
    labels = rng.integers(0, 3, size=256)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3),
        ]
    )
    model.compile(
        optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )

    class Report(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            context.progress("training", batch + 1, 8)

    model.fit(images, labels, epochs=config.epochs, verbose=0, callbacks=[Report()])
    digest = hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights()))
    left, right = rng.normal(size=(700, 900)), rng.normal(size=(900, 333))
    product = (left.astype("float32") @ right.astype("float32")).tobytes()
    return FitRecord(
        run=context.run,
        config=config,
        weights_sha256=digest.hexdigest(),
        product_sha256=hashlib.sha256(product).hexdigest(),
    )
