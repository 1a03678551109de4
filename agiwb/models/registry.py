"""The model families by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from agiwb.models.cnn import build_cnn
from agiwb.models.mlp import build_mlp
from agiwb.models.specification import ModelSpec

if TYPE_CHECKING:
    import keras

Architecture = Literal["mlp", "cnn"]

FAMILIES = {"mlp": build_mlp, "cnn": build_cnn}


def build_model(architecture: Architecture, spec: ModelSpec) -> keras.Model:
    """Return an untrained, uncompiled model of the family ``architecture``."""
    return FAMILIES[architecture](spec)
