"""Magnitude pruning as a technique, and random pruning as its control."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from agiwb.compression.pruning import Choice, prune
from agiwb.compression.techniques.support import NORMS, RECURRENT, WRAPPERS, Support, stated
from agiwb.compression.techniques.technique import Bench, Technique

if TYPE_CHECKING:
    import keras


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
    support: ClassVar[dict[str, Support]] = stated(
        changes={
            ("Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D"): "its kernel",
            ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"): "its kernel",
            ("SeparableConv1D", "SeparableConv2D"): "its pointwise kernel",
            RECURRENT: "its kernel and its recurrent kernel",
            ("Embedding", "ReversibleEmbedding"): "its table",
            ("MultiHeadAttention", "GroupQueryAttention"): "the kernels of its projections",
            (*WRAPPERS, "SpectralNormalization"): "the kernels of the layer inside",
        },
        leaves={
            ("DepthwiseConv1D", "DepthwiseConv2D"): "a channel has a few weights only",
            NORMS: "a scale of zero would silence a channel",
        },
        otherwise="it has no kernel that pruning knows",
    )

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
    engine: Literal["keras", "tfmot"] = Field(
        default="keras", description="Whether this is done here or by TensorFlow's own toolkit"
    )

    def apply(self, model: keras.Model, bench: Bench) -> keras.Model:
        """Return a pruned copy of ``model``, fine-tuned, uncompiled.

        Raises:
            WorkError: There is no kernel to prune, or the fine-tuning diverged.
        """
        if self.engine == "tfmot":
            from agiwb.compression.tfmot.magnitude_pruning import prune_with_tfmot

            return prune_with_tfmot(model, self, bench)
        choice = Choice(self.criterion, self.scope, self.schedule, bench.tuning.seed)
        sparsity = self.percent / 100
        return prune(model, bench.training, sparsity, bench.tuning, bench.progress, choice)
