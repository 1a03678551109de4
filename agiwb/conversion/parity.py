"""Parity: whether an artifact answers as the Keras model it was made from.

The artifact is loaded from its files by the runtime that will serve it, in this process, and asked
for what the Keras file (loaded anew as well) was asked: real examples of the validation split,
and edge cases. Two constant answers agree perfectly, so the model must also know more than chance,
by more than luck on the validation split explains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agiwb.artifacts.manifest import Format
from agiwb.datasets.dataset import Dataset, Split
from agiwb.errors import InputError, WorkError
from agiwb.runtimes.asking import answer_all
from agiwb.runtimes.runtime import Runtime
from agiwb.statistics import Interval, wilson_interval

Features = NDArray[np.float32]
Probabilities = NDArray[np.floating]

LARGE_BATCH = 64
SMALLEST_COMPARED = 1e-3
"""Relative errors of probabilities below this are taken relative to it: a probability of 1e-9 has
no digits that matter."""
_SUM_TOLERANCE = 1e-3


class Tolerance(BaseModel):
    """How far an artifact's answers may be from the model's."""

    model_config = ConfigDict(frozen=True)

    max_abs_error: float
    """Of a probability, over real examples and edge cases."""
    top1_agreement: float = 1.0
    """Least share of real examples with the same most probable class."""


# Keras' files hold the same graph; the others may order float32 sums differently or fold constants.
_SAME_GRAPH = Tolerance(max_abs_error=1e-6)
_FLOAT32 = Tolerance(max_abs_error=1e-5)

TOLERANCES: dict[Format, Tolerance] = {
    "keras": _SAME_GRAPH,
    "h5": _SAME_GRAPH,
    "saved_model": _FLOAT32,
    "frozen_pb": _FLOAT32,
    "onnx": _FLOAT32,
    "litert": _FLOAT32,
}


@dataclass(frozen=True)
class Questions:
    """What the model and its artifacts are asked; ``real`` are examples of ``validation``."""

    real: Features
    edges: dict[str, Features]
    validation: Split
    test: Split


@dataclass(frozen=True)
class Answers:
    """Probabilities for the questions, each of shape ``(examples, classes)``."""

    real: Probabilities
    edges: dict[str, Probabilities]
    test_accuracy: float


@dataclass(frozen=True)
class Reference:
    """The Keras model's own answers, its accuracy, and that of always naming one class.

    ``accuracy`` and ``chance`` are on the validation split: nothing is decided on the test split.
    """

    answers: Answers
    accuracy: Interval
    chance: float

    @property
    def beats_chance(self) -> bool:
        """Whether agreement with this model means anything."""
        return self.accuracy.low > self.chance


class ParityReport(BaseModel):
    """How near an artifact is to its model; stored beside it as ``parity.json``."""

    model_config = ConfigDict(frozen=True)

    format: Format
    passed: bool
    problems: tuple[str, ...]
    tolerance: Tolerance
    examples: int
    edge_cases: tuple[str, ...]
    max_abs_error: float
    max_rel_error: float
    top1_agreement: float
    test_accuracy: float
    reference_accuracy: float
    chance_accuracy: float


def draw_questions(data: Dataset, samples: int, seed: int) -> Questions:
    """Return at most ``samples`` examples of the validation split, with edge cases around them."""
    everything = data.validation.features
    index = np.random.default_rng(seed).permutation(len(everything))[:samples]
    real = everything[np.sort(index)]
    nothing = np.zeros_like(real[:1])
    edges = {
        "zeros": nothing,
        "full scale": np.full_like(nothing, data.scale),
        "batch of 1": real[:1],
        f"batch of {LARGE_BATCH}": np.resize(real, (LARGE_BATCH, *data.feature_shape)),
    }
    return Questions(real, edges, data.validation, data.test)


def ask(runtime: Runtime, questions: Questions) -> Answers:
    """Return what ``runtime`` answers.

    Raises:
        WorkError: An answer is NaN or infinite.
    """
    test = _probabilities(runtime, questions.test.features)
    hits = test.argmax(axis=1) == questions.test.labels
    return Answers(
        real=_probabilities(runtime, questions.real),
        edges={name: _probabilities(runtime, edge) for name, edge in questions.edges.items()},
        test_accuracy=float(hits.mean()),
    )


def ask_reference(runtime: Runtime, questions: Questions) -> Reference:
    """Return the answers of the Keras model itself, which the artifacts are held to.

    Raises:
        InputError: The model's outputs are not probabilities.
        WorkError: They are NaN or infinite.
    """
    answers = ask(runtime, questions)
    sums = answers.real.sum(axis=1)
    if answers.real.min() < 0 or np.abs(sums - 1).max() > _SUM_TOLERANCE:
        raise InputError(
            f"The model's outputs are not probabilities: they go down to {answers.real.min():.3g} "
            f"and add up to {sums.min():.3g} to {sums.max():.3g}.",
            "End the model with a softmax layer.",
        )
    labels = questions.validation.labels
    named = _probabilities(runtime, questions.validation.features).argmax(axis=1)
    accuracy = wilson_interval(int((named == labels).sum()), len(labels))
    return Reference(answers, accuracy, float(np.bincount(labels).max() / len(labels)))


def compare(wanted: Format, found: Answers, reference: Reference) -> ParityReport:
    """Return how near the answers of an artifact in format ``wanted`` are to the model's own."""
    tolerance = TOLERANCES[wanted]
    expected = reference.answers
    agreement = found.real.argmax(axis=1) == expected.real.argmax(axis=1)
    absolute, relative, place = _largest_errors(found, expected)
    top1 = float(agreement.mean())
    problems = []
    if absolute > tolerance.max_abs_error:
        problems.append(
            f"{wanted}: the probabilities differ from the model's by up to {absolute:.2g} "
            f"({place}); {tolerance.max_abs_error:.0e} is allowed."
        )
    if top1 < tolerance.top1_agreement:
        problems.append(
            f"{wanted}: the most probable class is the model's for {agreement.sum()} of "
            f"{len(agreement)} real examples; {tolerance.top1_agreement:.1%} is required."
        )
    return ParityReport(
        format=wanted,
        passed=not problems and reference.beats_chance,
        problems=tuple(problems),
        tolerance=tolerance,
        examples=len(agreement),
        edge_cases=tuple(expected.edges),
        max_abs_error=absolute,
        max_rel_error=relative,
        top1_agreement=top1,
        test_accuracy=found.test_accuracy,
        reference_accuracy=expected.test_accuracy,
        chance_accuracy=reference.chance,
    )


def _largest_errors(found: Answers, expected: Answers) -> tuple[float, float, str]:
    """Return the largest absolute and relative error, and where the absolute one was met."""
    pairs = {
        "real examples": (found.real, expected.real),
        **{name: (found.edges[name], edge) for name, edge in expected.edges.items()},
    }
    absolute = {name: np.abs(a - b) for name, (a, b) in pairs.items()}
    relative = [
        (absolute[name] / np.maximum(np.abs(b), SMALLEST_COMPARED)).max()
        for name, (_, b) in pairs.items()
    ]
    place = max(absolute, key=lambda name: float(absolute[name].max()))
    return float(absolute[place].max()), float(max(relative)), place


def _probabilities(runtime: Runtime, features: Features) -> Probabilities:
    answers = answer_all(runtime, features)
    if not np.isfinite(answers).all():
        raise WorkError(f"{(~np.isfinite(answers)).sum()} of the outputs are NaN or infinite.")
    return answers
