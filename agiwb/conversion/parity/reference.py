"""The Keras model's own answers, which the artifacts are held to, and whether they mean anything.

Whether the model knows more than chance is decided on the validation split: nothing is decided on
the test split. Where answers have no score, they must differ from example to example at least.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.conversion.parity.asked import answer_cases
from agiwb.conversion.parity.errors import SUM_TOLERANCE, meaning_of, refuse_nonfinite
from agiwb.conversion.parity.questions import REAL, TEST, VALIDATION, Questions, require_width
from agiwb.conversion.parity.tensor_file import Cases
from agiwb.errors import InputError
from agiwb.metrics.task_score import score
from agiwb.runtimes.asking import answer_batches, fixed_batch
from agiwb.runtimes.runtime import Runtime
from agiwb.statistics import Interval, bootstrap_interval, wilson_interval

_COMPARED_ALONE = "give `--no-score`: answers are then compared, and not judged"
_NO_SUCH_TASK = f"Give the data set that the model was trained on, or {_COMPARED_ALONE}."


@dataclass(frozen=True)
class Reference:
    """The model's answers by case and output, and its score beside that of knowing nothing.

    Attributes:
        answers: To the questions' cases; ``unanswered`` are left out.
        unanswered: Edge cases that the model itself refuses, or answers with NaN, infinity or
            nothing at all.
        labels: As in Questions.
        metric: As in Questions; ``interval`` and ``chance`` are None where it is.
        interval: 95 % interval of the validation score; of an RMSE, of its difference from
            ``chance`` on the same examples, added to that.
        chance: Validation score of knowing nothing: of always naming the largest class, of
            predicting the mean, or an area of one half.
        batch: How many examples the model takes at a time; None if that is free.
    """

    answers: Cases
    unanswered: tuple[str, ...]
    labels: dict[str, NDArray[Any]]
    metric: str | None
    interval: Interval | None
    chance: float | None
    batch: int | None = None

    @property
    def output(self) -> str:
        """Name of the output that is judged: the first."""
        return next(iter(self.answers[REAL]))

    @property
    def test_score(self) -> float | None:
        """The metric on the test split, if there is one."""
        if self.metric is None:
            return None
        return score(self.metric, self.labels[TEST], self.answers[TEST][self.output])

    @property
    def beats_chance(self) -> bool:
        """Whether agreement with this model means anything."""
        if self.interval is None or self.chance is None:
            return any((array != array[:1]).any() for array in self.answers[REAL].values())
        if self.metric == "rmse":
            return self.interval.high < self.chance
        return self.interval.low > self.chance


def ask_reference(runtime: Runtime, questions: Questions) -> Reference:
    """Return the answers of the Keras model itself.

    Raises:
        ConfigError: Its first output is not what the data set's task asks for.
        InputError: The model should give a probability for each class, and does not; or it refuses
            real examples.
        WorkError: Its answers to real examples are NaN or infinite.
    """
    answers, refused = _answers(runtime, questions)
    validation = answer_batches(runtime, questions.validation)
    refuse_nonfinite(
        {REAL: answers[REAL], TEST: answers[TEST], VALIDATION: validation}, "the model's"
    )
    without_meaning = tuple(
        case
        for case, outputs in answers.items()
        if case in questions.edges
        and not all(array.size and np.isfinite(array).all() for array in outputs.values())
    )
    interval, chance = None, None
    if questions.metric is not None:
        output = next(iter(validation))
        require_width(validation[output], questions.width, questions.dataset, fix=_NO_SUCH_TASK)
        if questions.is_classifier:
            _require_probabilities(answers[REAL][output])
        interval, chance = _against_chance(
            questions.metric, questions.labels[VALIDATION], validation[output]
        )
    return Reference(
        {case: outputs for case, outputs in answers.items() if case not in without_meaning},
        (*refused, *without_meaning),
        questions.labels,
        questions.metric,
        interval,
        chance,
        fixed_batch(runtime.signature),
    )


def _answers(runtime: Runtime, questions: Questions) -> tuple[Cases, tuple[str, ...]]:
    """Return the model's answers, and the edge cases that it refuses: one step is no window."""
    answers: Cases = {}
    refused = []
    for name, case in questions.asked.items():
        try:
            answers |= answer_cases(runtime, {name: case})
        except InputError:
            if name not in questions.edges:
                raise
            refused.append(name)
    return answers, tuple(refused)


def _require_probabilities(real: NDArray[Any]) -> None:
    if meaning_of(real) == "probabilities":
        return
    sums = real.sum(axis=-1)
    if real.min() >= 0 and np.abs(sums - 1).max() <= SUM_TOLERANCE:
        return  # a single class
    raise InputError(
        f"The model's outputs are not probabilities: they go down to {real.min():.3g} "
        f"and add up to {sums.min():.3g} to {sums.max():.3g}.",
        f"End the model with a softmax layer, or {_COMPARED_ALONE}.",
    )


def _against_chance(
    metric: str, labels: NDArray[Any], outputs: NDArray[Any]
) -> tuple[Interval, float]:
    """Return the 95 % interval of the score, and the score of knowing nothing."""
    if metric == "accuracy":
        right = int((outputs.argmax(axis=1) == labels).sum())
        return wilson_interval(right, len(labels)), float(np.bincount(labels).max() / len(labels))
    if metric == "auc":
        return bootstrap_interval(
            lambda rows: score(metric, labels[rows], outputs[rows]), len(labels)
        ), 0.5
    # The errors of both grow with the same outliers: only their difference tells them apart.
    chance = float(labels.std())
    low, high = bootstrap_interval(
        lambda rows: score(metric, labels[rows], outputs[rows]) - float(labels[rows].std()),
        len(labels),
    )
    return Interval(chance + low, chance + high), chance


def chance_problem(reference: Reference, dataset: str) -> list[str]:
    """Return one sentence if agreement with the model would prove nothing, else none."""
    if reference.beats_chance:
        return []
    if reference.metric is None or reference.interval is None:
        sentence = (
            f"The model answers all real examples of {dataset} alike: agreement proves nothing. "
            "No artifact of it passes."
        )
        return [sentence]
    low, high = reference.interval
    knowing_nothing = {
        "accuracy": "always naming the largest class",
        "rmse": "always predicting the mean",
        "auc": "guessing",
    }[reference.metric]
    name = {"accuracy": "accuracy", "rmse": "RMSE", "auc": "area under the ROC curve"}[
        reference.metric
    ]
    sentence = (
        f"The model is no better than chance on {dataset}: its validation {name} is between "
        f"{low:.3f} and {high:.3f} (95 % interval), and {knowing_nothing} has "
        f"{reference.chance:.3f}. No artifact of it passes."
    )
    return [sentence]
