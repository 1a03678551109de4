"""How far two sets of answers are apart, output by output."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agiwb.conversion.parity.questions import REAL, TEST
from agiwb.conversion.parity.tensor_file import Cases
from agiwb.errors import WorkError

Meaning = Literal["probabilities", "decisions", "numbers"]
"""What an output is: a distribution over classes, values between 0 and 1, or other numbers."""

SMALLEST_COMPARED = 1e-3
"""Relative errors of values below this are taken relative to it: a probability of 1e-9 has no
digits that matter."""
SUM_TOLERANCE = 1e-3
_LEAST_PROBABILITY = 1e-6
"""A quantised softmax says 0 where the model says little; its logarithm would be infinite."""


class OutputParity(BaseModel):
    """How near one output is to the model's.

    Attributes:
        name: As the model calls it.
        meaning: See Meaning.
        max_abs_error: Over real examples and edge cases.
        mean_abs_error: Over real examples.
        max_rel_error: As ``max_abs_error``; see SMALLEST_COMPARED.
        max_scaled_error: See Tolerance.
        where: The case in which the largest error was met.
        agreements: Real examples (labels of them) that are decided as the model does.
        decisions: Of how many.
        kl_nats: Mean Kullback-Leibler divergence from the model's probabilities, in nats.
    """

    # JSON has no infinity; as a string it comes back as the number it was.
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    name: str
    meaning: Meaning
    max_abs_error: float
    mean_abs_error: float
    max_rel_error: float
    max_scaled_error: float
    where: str
    agreements: int | None = None
    decisions: int | None = None
    kl_nats: float | None = None

    @property
    def agreement(self) -> float | None:
        """Share of real examples that are decided as the model does; None for mere numbers."""
        if self.agreements is None or not self.decisions:
            return None
        return self.agreements / self.decisions


def meaning_of(real: NDArray[Any]) -> Meaning:
    """Return what the model's answers to real examples are, by their values."""
    if not real.size or real.min() < 0 or real.max() > 1 + SUM_TOLERANCE:
        return "numbers"
    is_row = real.ndim > 1 and real.shape[-1] > 1
    if is_row and np.abs(real.sum(axis=-1) - 1).max() <= SUM_TOLERANCE:
        return "probabilities"
    return "decisions"


def compare_output(
    name: str, found: dict[str, NDArray[Any]], expected: dict[str, NDArray[Any]], ties: float
) -> OutputParity:
    """Return how near one output is in all cases.

    Args:
        name: Of the output.
        found: The artifact's answers by case.
        expected: The model's; as many, of the same shapes.
        ties: Two classes whose probabilities differ by no more than this are both the most
            probable one.

    Raises:
        WorkError: A shape is another one.
    """
    real = expected[REAL].astype(np.float64)
    meaning = meaning_of(real)
    spread = float(real.std()) or 1.0
    absolute, relative, scaled, where = 0.0, 0.0, 0.0, REAL
    for case, right in expected.items():
        if case == TEST:
            continue
        answer = found[case]
        if answer.shape != right.shape:
            raise WorkError(
                f"The output {name} has shape {answer.shape} for {case}; the model's has "
                f"{right.shape}."
            )
        if not right.size:
            continue
        error = np.abs(answer.astype(np.float64) - right)
        size = np.abs(right.astype(np.float64))
        relative = max(relative, float((error / np.maximum(size, SMALLEST_COMPARED)).max()))
        worst_scaled = float((error / np.maximum(size, spread)).max())
        if (worst := float(error.max())) > absolute:
            absolute, where = worst, case
        scaled = max(scaled, worst_scaled)
    agreements, decisions = _agreement(found[REAL], real, meaning, ties)
    return OutputParity(
        name=name,
        meaning=meaning,
        max_abs_error=absolute,
        mean_abs_error=float(np.abs(found[REAL] - real).mean()),
        max_rel_error=relative,
        max_scaled_error=scaled,
        where=where,
        agreements=agreements,
        decisions=decisions,
        kl_nats=kl_divergence(real, found[REAL]) if meaning == "probabilities" else None,
    )


def kl_divergence(right: NDArray[Any], answer: NDArray[Any]) -> float:
    """Return the mean of ``sum p ln(p / q)`` over the rows, in nats (Kullback and Leibler 1951).

    Args:
        right: p, ``(examples, ..., classes)``.
        answer: q, of the same shape. Both are held above one in a million, and made to add up to
            1 again.
    """
    p, q = (np.maximum(np.asarray(values, np.float64), _LEAST_PROBABILITY)
            for values in (right, answer))  # fmt: skip
    p, q = p / p.sum(axis=-1, keepdims=True), q / q.sum(axis=-1, keepdims=True)
    return max(0.0, float((p * np.log(p / q)).sum(axis=-1).mean()))


def refuse_nonfinite(answers: Cases, whose: str) -> None:
    """Raise WorkError if an answer is NaN or infinite."""
    for case, outputs in answers.items():
        for name, array in outputs.items():
            if array.dtype.kind == "f" and (broken := int((~np.isfinite(array)).sum())):
                raise WorkError(
                    f"{broken} of the values of {whose} output {name} for {case} are NaN or "
                    "infinite."
                )


def _agreement(
    answer: NDArray[Any], right: NDArray[Any], meaning: Meaning, ties: float
) -> tuple[int | None, int | None]:
    if meaning == "numbers":
        return None, None
    if meaning == "decisions":
        same = ((answer > 0.5) == (right > 0.5)) | (np.abs(right - 0.5) <= ties)
        return int(same.sum()), int(same.size)
    named = answer.argmax(axis=-1)[..., np.newaxis]
    given = np.take_along_axis(right, named, axis=-1)[..., 0]
    same = right.max(axis=-1) - given <= ties
    return int(same.sum()), int(same.size)
