"""Keras' binary metrics, read off a model that gives the probability of each of two classes."""

from __future__ import annotations

from typing import Any


def of_positive_class(metric: type[Any]) -> type[Any]:
    """Return ``metric``, a class of Keras' binary metrics, as one of the second class.

    Its ``update_state`` takes labels 0 or 1 and probabilities of shape ``(batch, 2)``.
    """

    class OfPositiveClass(metric):  # type: ignore[misc]  # the base is Keras' and untyped
        def update_state(self, labels: Any, probabilities: Any, sample_weight: Any = None) -> Any:
            return super().update_state(labels, probabilities[:, 1:], sample_weight)

    return OfPositiveClass
