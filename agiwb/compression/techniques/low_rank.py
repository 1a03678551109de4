"""Low-rank factorisation: one layer with a large kernel becomes two with small ones."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from agiwb.compression.techniques.factors import Decomposition, Shape, factorised, ranks
from agiwb.compression.techniques.support import RECURRENT, WRAPPERS, Support, stated
from agiwb.compression.techniques.technique import Bench, Technique
from agiwb.errors import WorkError

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray


class LowRank(Technique):
    """Replaces kernels by products of two smaller ones, of the best rank in the least squares.

    Only where that saves parameters. A kernel with zeros or shared values stays as it is, since
    its factors would have neither: put ``rank`` before ``prune`` and ``cluster`` in a recipe.
    """

    word: ClassVar[str] = "rank"
    number: ClassVar[str] = "percent"
    ranges: ClassVar[dict[str, tuple[float | int | str, ...]]] = {
        "percent": (10, 90),
        "decomposition": ("channel", "spatial"),
    }
    support: ClassVar[dict[str, Support]] = stated(
        changes={("Dense", "Conv1D", "Conv2D", "Conv3D"): "its kernel, where that saves weights"},
        leaves={
            ("DepthwiseConv1D", "DepthwiseConv2D"): "it is one factor of a convolution already",
            ("SeparableConv1D", "SeparableConv2D"): "it is a factorised convolution already",
            ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"): (
                "its kernel is laid out the other way round"
            ),
            RECURRENT: "its kernels are inside of its cell, which has no room for factors",
            "Embedding": "it is looked up, not multiplied",
            WRAPPERS: "the layer inside is not replaced",
        },
        otherwise="it has no kernel that is a matrix of inputs and outputs",
    )

    percent: int = Field(
        default=50, ge=1, le=99, description="Percent of a kernel's parameters that its factors get"
    )
    energy: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Share of a kernel's squared singular values to keep, instead of a percentage",
    )
    smallest: int = Field(
        default=1000,
        ge=0,
        description="Weights below which a kernel stays whole, having little to give: mostly the "
        "first and the last layer's",
    )
    decomposition: Decomposition = Field(
        default="channel",
        description="Whether a 2-D convolution's factors are itself with fewer filters and a 1 x 1 "
        "one, or one for each side",
    )

    def apply(self, model: keras.Model, bench: Bench) -> keras.Model:
        """Return a functional copy of ``model`` with factors for kernels, fine-tuned, uncompiled.

        Raises:
            WorkError: No factorisation saves parameters, or the fine-tuning diverged.
        """
        copy, left = self._factorised(model)
        if copy.count_params() >= model.count_params():
            reasons = "; ".join(f"{name}: {reason}" for name, reason in left.items())
            raise WorkError(
                f"No kernel of the model {model.name} can be factorised with a gain"
                f"{f' ({reasons})' if reasons else ''}.",
                "Give a lower percentage, energy or `smallest`, or put `rank` before other stages.",
            )
        return bench.fine_tuned(copy)

    def left_alone(self, model: keras.Model) -> dict[str, str]:
        """Return, by name, the layers of ``model`` with weights that are not factorised, and why.

        Among them are those whose factors would have as many parameters or more.
        """
        return self._factorised(model)[1]

    def _factorised(self, model: keras.Model) -> tuple[keras.Model, dict[str, str]]:
        choose = functools.partial(ranks, percent=self.percent, energy=self.energy)

        def if_smaller(singular: NDArray[np.float64], shape: Shape) -> int | None:
            size, rank = shape[0] * shape[1], choose(singular, shape)
            return rank if size >= self.smallest and rank * sum(shape) < size else None

        return factorised(model, self.decomposition, if_smaller)
