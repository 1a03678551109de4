"""What a model family needs to know to build a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agiwb.datasets.dataset import Dataset, Kind, Split, Task
from agiwb.errors import ConfigError

_ADAPTING_EXAMPLES = 100_000


@dataclass(frozen=True)
class Size:
    """The user's side of a model: its size and its regularisation.

    ``None`` leaves the choice to the family. Each family uses those that mean something to it.
    """

    units: int = 64
    layers: int | None = None
    dropout: float = 0.2
    l1: float = 0.0
    l2: float = 0.0
    batch_norm: bool = False
    cell: Literal["lstm", "gru"] = "gru"
    encoder: Literal["pooled", "transformer"] = "pooled"
    vocabulary: int = 20_000
    length: int | None = None


@dataclass(frozen=True)
class ModelSpec:
    """The data's side of a model, and its size.

    Attributes:
        task: What is predicted.
        kind: What an example is; see ``agiwb.datasets.dataset.Kind``.
        feature_shape: Shape of one example, ``()`` for texts, tables and pairs.
        outputs: Number of classes or labels; 1 for regression and ranking.
        scale: The largest value a feature can take.
        sample: Training examples, from which preprocessing learns means and vocabularies.
        size: The user's side.
        sample_rate_hz: Of audio.
        options: What the user passes on to a builder of their own.
    """

    task: Task
    kind: Kind
    feature_shape: tuple[int, ...]
    outputs: int
    scale: float
    sample: Split
    size: Size = field(default_factory=Size)
    sample_rate_hz: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, data: Dataset, size: Size | None = None, options: Mapping[str, Any] | None = None
    ) -> ModelSpec:
        """Return the specification of a model for ``data``."""
        return cls(
            task=data.task,
            kind=data.kind,
            feature_shape=data.feature_shape,
            outputs=len(data.classes) or 1,
            scale=data.scale,
            sample=data.train.sample(_ADAPTING_EXAMPLES),
            size=size or Size(),
            sample_rate_hz=data.sample_rate_hz,
            options=options or {},
        )

    @property
    def examples(self) -> str:
        """What the examples are, in words."""
        words = {"text": "texts", "table": "rows of a table", "pairs": "pairs of user and item"}
        return words.get(self.kind, f"{self.kind} of shape {self.feature_shape}")

    def require(self, family: str, fits: bool, needs: str, instead: str) -> None:
        """Raise ConfigError unless ``fits``.

        Args:
            family: The family's name.
            fits: Whether the family takes these examples.
            needs: What the family needs, as in "needs images".
            instead: A family that takes these examples.
        """
        if not fits:
            raise ConfigError(
                f"`architecture` {family} needs {needs}; these examples are {self.examples}.",
                f"Use `architecture: {instead}`.",
            )
