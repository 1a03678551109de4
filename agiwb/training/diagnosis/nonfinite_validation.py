"""A validation loss that is NaN or infinite: no epoch can be told from another by it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Split
from agiwb.training.diagnosis.finding import Evidence, Finding
from agiwb.training.diagnosis.observed import Observed

RULE = "nonfinite_validation"
_ADVICE = "Look at these rows of the validation data; mend or drop them."


def nonfinite_validation(seen: Observed) -> Finding | None:
    """Return a finding if the validation loss of an epoch is not a finite number."""
    losses = seen.values("validation_loss")
    broken = [index for index, loss in enumerate(losses) if not math.isfinite(loss)]
    if not broken:
        return None
    return Finding(
        rule=RULE,
        severity="problem",
        what=f"The validation loss is NaN or infinite in {len(broken)} of {len(losses)} epochs, "
        f"first in epoch {seen.curves[broken[0]].epoch}, though the training loss is not.",
        evidence=Evidence(
            x_label="epoch",
            y_label=seen.loss_name,
            curves=(seen.curve("loss", "train"), seen.curve("loss", "validation")),
        ),
        advice=_ADVICE,
    )


def broken_answers(
    split: Split, rows: NDArray[Any], outputs: NDArray[np.float32]
) -> Finding | None:
    """Return a finding if the model's answers to some validation rows are not finite.

    Args:
        split: Examples that were asked about.
        rows: The number of each in the validation split.
        outputs: The answers, ``(examples, outputs)``.
    """
    finite: NDArray[np.bool_] = np.isfinite(outputs).reshape(len(outputs), -1)
    broken: NDArray[np.bool_] = np.logical_not(finite.all(axis=1))
    if not broken.any():
        return None
    first = int(np.argmax(broken))
    columns = split.features.dtype.names or (None,)
    numbers = [split.features if name is None else split.features[name] for name in columns]
    in_data = any(
        column.dtype.kind == "f" and not np.isfinite(column[first]).all() for column in numbers
    )
    cause = (
        "which has NaN or infinity among its features"
        if in_data
        else "whose features are all finite"
    )
    return Finding(
        rule=RULE,
        severity="problem",
        what=f"The model answers {int(broken.sum())} of {len(broken)} validation rows with NaN or "
        f"infinity, first row {int(rows[first])}, {cause}.",
        evidence=Evidence(
            y_label="validation rows",
            bars={
                "finite answer": float((~broken).sum()),
                "NaN or infinite": float(broken.sum()),
            },
            rows=tuple({"row": int(row)} for row in rows[broken][:20]),
        ),
        advice=_ADVICE,
    )
