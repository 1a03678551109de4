"""What a model family needs to know to build a model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelSpec:
    """The data's side (shape, classes, scale) and the user's side (size, regularisation)."""

    feature_shape: tuple[int, ...]
    classes: int
    scale: float
    units: int
    dropout: float
    l2: float
