"""What the train step costs over a bare `model.fit` of the same model on the same data.

Both run in turn, each in a process of its own, with few epochs and with many. The difference
between the two is the cost of an epoch without any start-up (imports, tracing, opening the
history). The bare fit has Keras' defaults, without the determinism that the step turns on. What the
step does once, at its end (diagnosis, test scores, saving), is told apart.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agiwb import Dataset, TrainConfig

LARGEST_RATIO = 1.05
ROUNDS = 3
FEW, MANY = 2, 12
MODELS = {
    "mnist_mlp": {"architecture": "mnist_mlp", "batch_size": 32},
    "cnn": {"architecture": "cnn", "units": 32, "batch_size": 64},
}


def bare_fit(config: TrainConfig, data: Dataset) -> None:
    """Fit the model as a script would: arrays in, Keras' own shuffling, no callbacks."""
    import keras

    from agiwb.models.registry import build_model
    from agiwb.models.specification import ModelSpec

    keras.utils.set_random_seed(config.seed)
    model = build_model(config.architecture, ModelSpec.of(data, config.size))
    model.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(
        data.train.features,
        data.train.labels,
        validation_data=(data.validation.features, data.validation.labels),
        epochs=config.epochs,
        batch_size=config.batch_size,
        verbose=0,
    )


def step_fit(config: TrainConfig, data: Dataset) -> None:
    """Run the train step: record, history, events, checkpoint, TensorBoard, diagnosis and all."""
    from agiwb import train

    train(config, reuse=False, listener=lambda _event: None)


def measure(work: str, model: str, dataset: str) -> dict[str, float]:
    """Return the seconds of an epoch more, and of all that is not epochs; run in a child."""
    from agiwb import TrainConfig, load_dataset
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    data = load_dataset(dataset)
    fit = {"bare": bare_fit, "step": step_fit}[work]

    def seconds(epochs: int) -> float:
        config = TrainConfig(dataset=dataset, epochs=epochs, **MODELS[model])
        started_at = time.perf_counter()
        fit(config, data)
        return time.perf_counter() - started_at

    seconds(1)  # imports, and what is made once in a process
    few, many = seconds(FEW), seconds(MANY)
    epoch = (many - few) / (MANY - FEW)
    return {"epoch": epoch, "rest": few - FEW * epoch}


def measured_in_child(work: str, model: str, dataset: str) -> dict[str, float]:
    """Return what ``measure`` gives in a process of its own, with a workspace of its own."""
    with tempfile.TemporaryDirectory() as workspace:
        answer = subprocess.run(
            [sys.executable, __file__, "--measure", work, model, "--data", dataset],
            check=True, capture_output=True, text=True,
            env={**os.environ, "AGIWB_WORKSPACE": workspace},
        )  # fmt: skip
    figures: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Measure, print for people, and end with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist5k", help="data set (default mnist5k)")
    parser.add_argument("--measure", nargs=2, metavar=("WORK", "MODEL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure, options.data)))
        return
    claims = []
    for model in MODELS:
        rounds = [
            {work: measured_in_child(work, model, options.data) for work in ("bare", "step")}
            for _ in range(ROUNDS)
        ]
        ratios = [figures["step"]["epoch"] / figures["bare"]["epoch"] for figures in rounds]
        ratio = statistics.median(ratios)
        for work, name in (("bare", "bare model.fit"), ("step", "agiwb train")):
            epoch, rest = (
                statistics.median(figures[work][part] for figures in rounds)
                for part in ("epoch", "rest")
            )
            print(f"{model:<10} {name:<15} {1000 * epoch:7.0f} ms an epoch, {rest:5.1f} s besides")
        print(f"{model:<10} ratio of an epoch {ratio:.3f} (rounds: {sorted(ratios)})")
        claims.append({
            "name": f"agiwb train, an epoch of {model} on {options.data}, ratio to bare model.fit",
            "value": round(ratio, 3),
            "bar": LARGEST_RATIO,
            "holds": ratio <= LARGEST_RATIO,
        })  # fmt: skip
    print(json.dumps({"claims": claims, "machine": f"{platform.machine()} {platform.system()}"}))


if __name__ == "__main__":
    main()
