"""Magnitude pruning as a technique, and random pruning as its control."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from agiwb.compression.pruning import Choice, prune
from agiwb.compression.techniques.technique import Bench, Technique

if TYPE_CHECKING:
    import keras

_ONLY_KERNELS = "only the kernels of Dense and Conv2D layers are pruned"


class MagnitudePruning(Technique):
    """Sets weights to zero while the others fine-tune; see ``agiwb.compression.pruning.prune``.

    Zeros stay zeros, shared values stay shared.
    """

    word: ClassVar[str] = "prune"
    number: ClassVar[str] = "percent"
    ranges: ClassVar[dict[str, tuple[float | int | str, ...]]] = {
        "percent": (10, 99),
        "schedule": ("polynomial", "constant"),
        "scope": ("layer", "global"),
    }
    support: ClassVar[dict[str, str]] = {
        "Dense": "",
        "Conv2D": "",
        "Conv1D": _ONLY_KERNELS,
        "DepthwiseConv2D": _ONLY_KERNELS,
        "LSTM": _ONLY_KERNELS,
        "GRU": _ONLY_KERNELS,
        "Embedding": _ONLY_KERNELS,
        "BatchNormalization": "a scale of zero would silence a channel",
    }

    percent: int = Field(default=80, ge=1, le=99, description="Percent of the weights to remove")
    criterion: Literal["magnitude", "random"] = Field(
        default="magnitude", description="Which weights go: the smallest, or any as a control"
    )
    scope: Literal["layer", "global"] = Field(
        default="layer", description="Whether each kernel loses its share or all kernels together"
    )
    schedule: Literal["polynomial", "constant"] = Field(
        default="polynomial", description="Whether the zeros grow in number or come at once"
    )

    def apply(self, model: keras.Model, bench: Bench) -> keras.Model:
        """Return a pruned copy of ``model``, fine-tuned, uncompiled.

        Raises:
            WorkError: There is no kernel to prune, or the fine-tuning diverged.
        """
        choice = Choice(self.criterion, self.scope, self.schedule, bench.tuning.seed)
        sparsity = self.percent / 100
        return prune(model, bench.training, sparsity, bench.tuning, bench.progress, choice)
