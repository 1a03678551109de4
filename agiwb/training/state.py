"""All that the next step of a training depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def training_state(model: keras.Model) -> list[Any]:
    """Return the variables that change in training: weights, statistics, seeds, the optimiser's."""
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)  # Keras does so in the first step
    return [*model.variables, *optimizer.variables]
