"""Class imbalance: rare classes that a model may neglect without much harm to its score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.training.config import TrainConfig
from agiwb.training.diagnosis.finding import Evidence, Finding

_RATIO = 10.0
_LEAST_EXAMPLES = 5
_SHOWN_CLASSES = 12


def class_imbalance(
    shares: dict[str, float],
    labels: NDArray[np.int64],
    answers: NDArray[np.int64],
    classes: Sequence[str],
    config: TrainConfig,
) -> Finding | None:
    """Return a finding if the most frequent class has ten times the examples of the rarest.

    Args:
        shares: Share of each class in the training labels.
        labels: Class of each held-out example, ``(examples,)``.
        answers: The model's answers to them, ``(examples,)``.
        classes: Names of the classes.
        config: What the training was asked to do.
    """
    rarest = min(shares, key=shares.__getitem__)
    most = max(shares, key=shares.__getitem__)
    if shares[most] < _RATIO * shares[rarest]:
        return None
    found = recalls(labels, answers, classes)
    missed = [name for name, recall in found.items() if recall == 0]
    what = (
        f"The class {most!r} has {shares[most]:.1%} of the training examples and {rarest!r} has "
        f"{shares[rarest]:.1%}"
    )
    if missed:
        what += (
            f"; of the validation examples the model finds none of {', '.join(map(repr, missed))}"
        )
    elif rarest in found:
        what += f"; the model finds {found[rarest]:.0%} of the validation examples of {rarest!r}"
    shown = sorted(shares, key=shares.__getitem__)[:_SHOWN_CLASSES]
    return Finding(
        rule="class_imbalance",
        severity="problem" if missed and config.class_weights == "none" else "hint",
        what=f"{what}. Accuracy says little about rare classes.",
        evidence=Evidence(
            x_label="class, rarest first",
            y_label="share of the training examples",
            bars={name: shares[name] for name in shown},
            levels={"equal shares": 1 / len(shares)},
            rows=tuple(
                {"class": name, "training share": shares[name], "recall": found[name]}
                for name in shown
                if name in found
            ),
        ),
        advice="More examples of the rare classes help most."
        if config.class_weights == "balanced"
        else "Try `class_weights: balanced` or `loss: focal`, and judge by the recall of each "
        "class.",
    )


def recalls(
    labels: NDArray[Any], answers: NDArray[Any], classes: Sequence[str]
) -> dict[str, float]:
    """Return the share of each class' examples that were found, of classes with five or more."""
    found = {}
    for index, name in enumerate(classes):
        of_class = labels == index
        if of_class.sum() >= _LEAST_EXAMPLES:
            found[name] = float((answers[of_class] == index).mean())
    return found
