"""A training that is watched, without a run around it; and data and models made to go wrong."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from agiwb.datasets.dataset import Dataset, Split
from agiwb.training.config import TrainConfig
from agiwb.training.diagnosis.finding import Finding


@dataclass
class Heard:
    """Takes a context's place, and remembers what was said."""

    said: list[str] = field(default_factory=list)

    def say(self, message: str) -> None:
        self.said.append(message)

    def progress(self, *_: Any, **__: Any) -> None:
        pass

    def log_metric(self, *_: Any) -> None:
        pass

    def flush(self) -> None:
        pass

    def stop_if_cancelled(self) -> None:
        pass


@dataclass(frozen=True)
class Watched:
    """What came of it."""

    findings: tuple[Finding, ...]
    said: list[str]
    weights: list[Any]
    samples: tuple[Any, ...]

    @property
    def rules(self) -> dict[str, str]:
        """Severity by rule."""
        return {finding.rule: finding.severity for finding in self.findings}

    def __getitem__(self, rule: str) -> Finding:
        return next(finding for finding in self.findings if finding.rule == rule)


def fit_watched(config: TrainConfig, data: Dataset) -> Watched:
    """Train as the train step does, and return what was found."""
    from agiwb.training.diagnosis.watch import Watch
    from agiwb.training.fit import open_trial
    from agiwb.training.progress import EpochReport

    heard = Heard()
    report = EpochReport(heard, config.epochs)
    watch = Watch(heard.say, config, data, report)
    report.find_origin = watch.origin
    trial = open_trial(config, data)
    trial.fit([report, watch])
    weights = trial.model.get_weights()
    samples = watch.observed(finished=True).samples
    return Watched(watch.conclude(trial.settled()), heard.said, weights, samples)


def numbers(
    features: np.ndarray, labels: np.ndarray, shares: tuple[float, float] = (0.6, 0.8)
) -> Dataset:
    """Return vectors of two classes, split in order."""
    first, second = (round(share * len(labels)) for share in shares)
    parts = (slice(0, first), slice(first, second), slice(second, None))
    train, validation, test = (
        Split(features[part].astype(np.float32), labels[part].astype(np.int64)) for part in parts
    )
    return Dataset("made", ("no", "yes"), 1.0, train, validation, test, kind="array")


def with_labels(data: Dataset, train: np.ndarray, validation: np.ndarray) -> Dataset:
    """Return the data with other labels to train on and to validate on."""
    return dataclasses.replace(
        data,
        train=Split(data.train.features, train),
        validation=Split(data.validation.features, validation),
    )


BUILDERS = """
import keras
from keras import layers, ops


def _answer(spec, features, x):
    return keras.Model(features, layers.Dense(spec.outputs, activation="softmax", name="answer")(x))


def logarithm(spec):
    features = keras.Input(spec.feature_shape, name="features")
    x = layers.Dense(8, activation="relu", name="first")(features)
    return _answer(spec, features, layers.Concatenate(name="both")([x, ops.log(features)]))


def nested(spec):
    features = keras.Input(spec.feature_shape, name="features")
    inside = keras.Input(spec.feature_shape)
    inner = keras.Model(inside, layers.Dense(4, name="deep")(ops.log(inside)), name="inner")
    return _answer(spec, features, inner(features))


def square_root(spec):
    features = keras.Input(spec.feature_shape, name="features")
    x = layers.Dense(8, activation="relu", name="first")(features)
    return _answer(spec, features, ops.sqrt(x))


def sigmoids(spec):
    x = features = keras.Input(spec.feature_shape, name="features")
    for number in range(8):
        x = layers.Dense(16, activation="sigmoid", name=f"sigmoid_{number}")(x)
    return _answer(spec, features, x)


def steep(spec):
    x = features = keras.Input(spec.feature_shape, name="features")
    wide = keras.initializers.RandomNormal(stddev=2.0, seed=0)
    for number in range(6):
        x = layers.Dense(16, kernel_initializer=wide, name=f"steep_{number}")(x)
    return _answer(spec, features, x)


def shared(spec):
    features = keras.Input(spec.feature_shape, name="features")
    twice = layers.Dense(spec.feature_shape[0], activation="relu", name="twice")
    return _answer(spec, features, twice(twice(features)))
"""


def builder(folder: Path, name: str) -> str:
    """Return the reference of one of the builders above."""
    path = folder / "builders.py"
    path.write_text(BUILDERS)
    return f"{path}:{name}"
