"""What the train step costs over a bare `model.fit` of the same model on the same data.

Both run in this process, in turn, with few epochs and with many. The difference between the two is
the cost of an epoch without any start-up (imports, tracing, opening the history).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agiwb import Dataset, TrainConfig

LARGEST_RATIO = 1.05
ROUNDS = 3
FEW, MANY = 2, 10
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


def seconds(work: Callable[[TrainConfig, Dataset], None], config: TrainConfig) -> float:
    """Return the wall-clock seconds of ``work``."""
    from agiwb import load_dataset

    data = load_dataset(config.dataset)
    started_at = time.perf_counter()
    work(config, data)
    return time.perf_counter() - started_at


def epoch_seconds(work: Callable[[TrainConfig, Dataset], None], config: TrainConfig) -> float:
    """Return the seconds that one epoch more takes."""
    few, many = (
        seconds(work, config.model_copy(update={"epochs": epochs})) for epochs in (FEW, MANY)
    )
    return (many - few) / (MANY - FEW)


def main() -> None:
    """Measure, print for people, and end with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist5k", help="data set (default mnist5k)")
    options = parser.parse_args()
    claims = []
    with tempfile.TemporaryDirectory() as workspace:
        os.environ["AGIWB_WORKSPACE"] = workspace
        from agiwb import TrainConfig
        from agiwb.tensorflow_quietly import import_tensorflow

        # The step turns determinism on for its process; both are measured with it.
        import_tensorflow().config.experimental.enable_op_determinism()
        for name, fields in MODELS.items():
            config = TrainConfig(dataset=options.data, **fields)
            seconds(bare_fit, config.model_copy(update={"epochs": 1}))  # warm up
            seconds(step_fit, config.model_copy(update={"epochs": 1}))
            pairs = [
                (epoch_seconds(bare_fit, config), epoch_seconds(step_fit, config))
                for _ in range(ROUNDS)
            ]
            bare, step = (statistics.median(times) for times in zip(*pairs, strict=True))
            ratio = statistics.median(mine / theirs for theirs, mine in pairs)
            print(
                f"{name:<12} bare model.fit {1000 * bare:7.1f} ms an epoch, "
                f"agiwb train {1000 * step:7.1f} ms   {ratio:.3f} x "
                f"(rounds: {', '.join(f'{mine / theirs:.3f}' for theirs, mine in pairs)})",
                file=sys.stderr,
            )
            claims.append({
                "name": f"agiwb train, an epoch of {name} on {options.data}, ratio to model.fit",
                "value": round(ratio, 3),
                "bar": LARGEST_RATIO,
                "holds": ratio <= LARGEST_RATIO,
            })  # fmt: skip
    print(json.dumps({"claims": claims, "machine": f"{platform.machine()} {platform.system()}"}))


if __name__ == "__main__":
    main()
