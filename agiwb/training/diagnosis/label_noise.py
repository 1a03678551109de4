"""Label noise by confident learning (Northcutt, Jiang & Chuang, JAIR 70, 2021)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agiwb.errors import InputError
from agiwb.training.diagnosis.finding import Evidence, Finding

_CLEAR_MARGIN = 0.5
_LEAST_SHARE = 0.03
_LEAST_ROWS = 5
_SHOWN_ROWS = 20
_SHOWN_PAIRS = 8


class SuspectLabel(BaseModel):
    """A row whose label is probably wrong."""

    model_config = ConfigDict(frozen=True)

    row: int
    """Index of the example; the first is 0."""
    given: str
    suggested: str
    given_probability: float
    suggested_probability: float

    @property
    def margin(self) -> float:
        """How much more probable the suggested class is than the given one."""
        return self.suggested_probability - self.given_probability


class LabelNoise(BaseModel):
    """What confident learning says about the labels of some examples."""

    model_config = ConfigDict(frozen=True)

    rate: float
    """Estimated share of wrong labels."""
    joint: tuple[tuple[float, ...], ...]
    """Estimated joint distribution of the given label (row) and the true one (column); sums to 1.
    """
    suspects: tuple[SuspectLabel, ...]
    """Largest margin first."""
    examples: int

    def renumbered(self, rows: NDArray[np.integer]) -> LabelNoise:
        """Return the same with ``rows[i]`` in the place of row i: those of the whole split."""
        suspects = tuple(
            suspect.model_copy(update={"row": int(rows[suspect.row])}) for suspect in self.suspects
        )
        return self.model_copy(update={"suspects": suspects})


def find_label_noise(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], classes: Sequence[str]
) -> LabelNoise:
    """Return the rows most likely mislabelled and an estimate of the noise rate.

    A row is counted as of class j if its probability of j reaches the mean probability of j among
    the rows labelled j; of several such classes the most probable one counts (equation 1 of the
    paper). The counts make the confident joint, whose rows are scaled to the number of labels
    given (equation 3); the rate is what lies off its diagonal. Suspects are the rows counted off
    the diagonal, by their margin.

    Args:
        labels: Index of the class given to each example, ``(examples,)``.
        probabilities: Predicted by a model that was *not* trained on these examples,
            ``(examples, classes)``.
        classes: Names of the classes.

    Raises:
        InputError: The shapes do not fit each other.
    """
    if probabilities.shape != (len(labels), len(classes)) or len(labels) == 0:
        raise InputError(
            f"{len(labels)} labels of {len(classes)} classes need probabilities of shape "
            f"{(len(labels), len(classes))}; these have {probabilities.shape}.",
            "Give one row of probabilities for each label.",
        )
    count = len(classes)
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    given_counts = np.bincount(labels, minlength=count)
    sums = np.bincount(labels, weights=own, minlength=count)
    thresholds = np.where(given_counts > 0, sums / np.maximum(given_counts, 1), np.inf)
    confident = np.where(probabilities >= thresholds, probabilities, -np.inf)
    likely = confident.argmax(axis=1)
    counted = np.isfinite(confident.max(axis=1))
    joint = np.zeros((count, count))
    np.add.at(joint, (labels[counted], likely[counted]), 1)
    # A class none of whose rows is confident is taken as labelled rightly.
    empty = joint.sum(axis=1) == 0
    joint[empty, empty] = given_counts[empty]
    joint *= (given_counts / np.maximum(joint.sum(axis=1), 1))[:, None] / len(labels)
    suspects = [
        SuspectLabel(
            row=int(row),
            given=classes[labels[row]],
            suggested=classes[likely[row]],
            given_probability=float(own[row]),
            suggested_probability=float(probabilities[row, likely[row]]),
        )
        for row in np.flatnonzero(counted & (likely != labels))
    ]
    return LabelNoise(
        rate=float(max(0.0, 1 - joint.trace())),
        joint=tuple(tuple(map(float, row)) for row in joint),
        suspects=tuple(sorted(suspects, key=lambda suspect: -suspect.margin)),
        examples=len(labels),
    )


def label_noise(noise: LabelNoise, split: str = "validation") -> Finding | None:
    """Return a finding if 3 % of the rows, and at least five, are clearly of another class.

    Clearly means a margin of 0.5: a model that merely errs is seldom that sure.

    Args:
        noise: What ``find_label_noise`` says.
        split: Name of the split that the rows are of.
    """
    clear = [suspect for suspect in noise.suspects if suspect.margin >= _CLEAR_MARGIN]
    if len(clear) < max(_LEAST_ROWS, _LEAST_SHARE * noise.examples):
        return None
    pairs = Counter(f"{suspect.given} → {suspect.suggested}" for suspect in clear)
    worst = clear[0]
    return Finding(
        rule="label_noise",
        severity="hint",
        what=f"{len(clear)} of {noise.examples} {split} labels look wrong; confident learning "
        f"estimates that {noise.rate:.1%} are. The clearest is row {worst.row}: its label is "
        f"{worst.given!r}, and the model gives {worst.suggested!r} a probability of "
        f"{worst.suggested_probability:.0%}.",
        evidence=Evidence(
            x_label="label given → class suggested",
            y_label=f"{split} rows",
            bars={pair: float(rows) for pair, rows in pairs.most_common(_SHOWN_PAIRS)},
            rows=tuple(suspect.model_dump() for suspect in clear[:_SHOWN_ROWS]),
        ),
        advice="Look at the rows listed: where the labels are wrong, mend them; where they are "
        "right, the model errs with confidence, and needs more such examples. "
        "`cross_validated_label_noise` looks through the training split.",
    )
