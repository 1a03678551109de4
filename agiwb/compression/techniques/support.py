"""What a technique does to each kind of layer, in words that a table can show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WITH_WEIGHTS = (
    "Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D",
    "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
    "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose",
    "SimpleRNN", "GRU", "LSTM", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D",
    "SimpleRNNCell", "GRUCell", "LSTMCell", "StackedRNNCells", "RNN",
    "Embedding", "ReversibleEmbedding",
    "MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention",
    "BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization",
    "SpectralNormalization", "Normalization", "PReLU", "Bidirectional", "TimeDistributed",
)  # fmt: skip
"""The layers of Keras that have weights of their own or wrap layers that do, by class name."""

NORMS = ("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization")
CELLS = ("SimpleRNNCell", "GRUCell", "LSTMCell")
RECURRENT = ("SimpleRNN", "GRU", "LSTM", *CELLS, "StackedRNNCells", "RNN")
WRAPPERS = ("Bidirectional", "TimeDistributed")


@dataclass(frozen=True)
class Support:
    """What a technique does to layers of one class.

    Attributes:
        changes: Whether it changes them.
        words: What of them it changes, or why it leaves them.
    """

    changes: bool
    words: str


def stated(
    changes: Mapping[str | tuple[str, ...], str],
    leaves: Mapping[str | tuple[str, ...], str],
    otherwise: str,
) -> dict[str, Support]:
    """Return the support for every class of ``WITH_WEIGHTS``, and for others that are named.

    Args:
        changes: By class name, or several, what of the layer is changed.
        leaves: Likewise why a layer is left as it is.
        otherwise: Why all others are.
    """
    support = {name: Support(changes=False, words=otherwise) for name in WITH_WEIGHTS}
    for mapping, changed in ((leaves, False), (changes, True)):
        for names, words in mapping.items():
            for name in (names,) if isinstance(names, str) else names:
                support[name] = Support(changed, words)
    return support


def changed_kinds(support: Mapping[str, Support]) -> str:
    """Return the classes that are changed, in a list for a sentence."""
    return ", ".join(name for name, each in support.items() if each.changes)
