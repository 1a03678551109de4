"""The last layers of a model, by task: what it answers, and under which name.

An answer is float32 also where the layers before it compute in 16 bits: a softmax or a loss in 16
bits loses too much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agiwb.errors import ConfigError
from agiwb.models.specification import ModelSpec

if TYPE_CHECKING:
    import keras


def head(spec: ModelSpec, x: keras.KerasTensor) -> keras.KerasTensor:
    """Return the answer to ``x``, of shape ``(batch, units)``, as the task of ``spec`` wants it.

    - classification, binary: ``probabilities``, ``(batch, outputs)``, a softmax over the classes.
      A binary model too gives both its classes' probabilities.
    - multilabel: ``probabilities``, ``(batch, outputs)``, a sigmoid a label.
    - regression: ``prediction``, ``(batch, 1)``, in the labels' own unit. The layer before it
      learns the standardised label; mean and standard deviation come from the sample.

    Raises:
        ConfigError: The task is ranking, which needs a score of two things: see ``score``.
    """
    from keras import layers

    if spec.task == "ranking":
        raise ConfigError(
            "Ranking needs a model of two things, a user and an item; this one reads one.",
            "Use `architecture: two_tower`.",
        )
    if spec.task == "regression":
        x = layers.Dense(1, dtype="float32", name="standardized_prediction")(x)
        return _in_label_units(spec, x, "prediction")
    activation = "sigmoid" if spec.task == "multilabel" else "softmax"
    return layers.Dense(spec.outputs, activation=activation, dtype="float32", name="probabilities")(
        x
    )


def score(spec: ModelSpec, match: keras.KerasTensor) -> keras.KerasTensor:
    """Return ``score``, ``(batch, 1)``: how well two things go together.

    Args:
        spec: Where all labels are 0 or 1, a score is a probability; otherwise it is a rating in
            the labels' own unit.
        match: Dot products of the two things' embeddings, ``(batch, 1)``, unbounded.
    """
    from keras import layers

    if np.isin(spec.sample.labels, (0, 1)).all():
        return layers.Activation("sigmoid", dtype="float32", name="score")(match)
    return _in_label_units(spec, match, "score")


def _in_label_units(spec: ModelSpec, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Undo the standardisation of the labels."""
    from keras import layers

    labels: Any = spec.sample.labels.astype(np.float64)
    spread = float(labels.std()) or 1.0  # equal labels have none
    return layers.Rescaling(spread, float(labels.mean()), dtype="float32", name=name)(x)
