"""Structured pruning: whole units and channels are removed, and the model really is smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from agiwb.compression.techniques.channel_removal import Importance, plan_removal, without_units
from agiwb.compression.techniques.support import RECURRENT, Support, stated
from agiwb.compression.techniques.technique import Bench, Technique
from agiwb.errors import WorkError

if TYPE_CHECKING:
    import keras

_RECURRENT = "its units feed back into themselves, which is not followed"
_COMPARES = "it compares units, so that the removal of one changes all"


class StructuredPruning(Technique):
    """Removes the least important units of each layer, then fine-tunes.

    What remains of a kernel keeps its zeros and its shared values. The removal follows units
    through batch normalisation, activations, pooling, flattening, concatenations and additions;
    a layer whose units reach anything else stays as it is.
    """

    word: ClassVar[str] = "shrink"
    number: ClassVar[str] = "percent"
    ranges: ClassVar[dict[str, tuple[float | int | str, ...]]] = {
        "percent": (10, 90),
        "importance": ("l1", "l2", "batch_norm"),
    }
    support: ClassVar[dict[str, Support]] = stated(
        changes={
            ("Dense", "Conv1D", "Conv2D", "Conv3D"): "its units",
            ("BatchNormalization", "DepthwiseConv1D", "DepthwiseConv2D"): (
                "what it has for the units that go"
            ),
        },
        leaves={
            RECURRENT: _RECURRENT,
            ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Bidirectional"): _RECURRENT,
            ("MultiHeadAttention", "GroupQueryAttention"): "its heads are not units of one layer",
            ("Embedding", "ReversibleEmbedding"): "its dimensions are not followed",
            ("LayerNormalization", "GroupNormalization", "RMSNormalization"): _COMPARES,
            ("SeparableConv1D", "SeparableConv2D"): (
                "it is two layers in one, which are not taken apart"
            ),
            ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"): (
                "its kernel is laid out the other way round"
            ),
        },
        otherwise="units are not followed through it",
    )

    percent: int = Field(default=50, ge=1, le=99, description="Percent of the units to remove")
    importance: Importance = Field(default="l1", description="What tells which units matter least")

    def apply(self, model: keras.Model, bench: Bench) -> keras.Model:
        """Return a smaller functional model, fine-tuned, uncompiled.

        Raises:
            WorkError: No unit can be removed, or the fine-tuning diverged.
        """
        removal = plan_removal(model, self.percent, self.importance)
        if not removal.gone:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in removal.left.items())
            raise WorkError(
                f"No unit of the model {model.name} can be removed"
                f"{f' ({reasons})' if reasons else ''}.",
                "Give a higher percentage, or a model with hidden Dense or convolution layers.",
            )
        smaller = without_units(removal)
        return bench.fine_tuned(smaller)

    def left_alone(self, model: keras.Model) -> dict[str, str]:
        """Return, by name, the layers of ``model`` with weights that stay whole, and why."""
        return plan_removal(model, self.percent, self.importance).left
