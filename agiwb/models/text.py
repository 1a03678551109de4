"""The networks for text: the mean of word vectors, or a small transformer encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agiwb.models.families import default_family
from agiwb.models.head import head
from agiwb.models.hidden import hidden_layers, penalty
from agiwb.models.specification import ModelSpec, Size

if TYPE_CHECKING:
    import keras

_USUAL_SHARE = 95  # per cent of the texts that are read to their end
_LONGEST = 512  # words; attention costs their square
_HEADS = 4


def build_text(spec: ModelSpec) -> keras.Model:
    """Return words → embeddings → [transformer blocks] → mean over the words → dense → answer.

    Words are what white space separates, without ASCII punctuation and with A-Z made lower case.
    ``length`` words of a text are read, by default as many as 95 of 100 texts of the sample have
    (512 at most). A word that the sample does not have shares the vector of all unknown ones. A
    text without words has the mean 0.

    Input ``text``: strings ``(batch,)``. Output: see ``head``. Of the size, ``units``,
    ``encoder``, ``layers`` (1 by default; dense layers of ``pooled``, blocks of ``transformer``),
    ``dropout``, ``l1``, ``l2``, ``vocabulary`` and ``length`` count; ``batch_norm`` only for
    ``pooled``.

    Raises:
        ConfigError: The examples are not texts.
    """
    import keras
    from keras import layers, ops

    spec.require("text", spec.kind == "text", "texts", default_family(spec.kind, spec.task))
    size = spec.size
    length = size.length or _usual_length(spec)
    vocabulary = _words(spec)
    text = keras.Input((), dtype="string", name="text")
    words = layers.TextVectorization(
        vocabulary=vocabulary, output_sequence_length=length, name="words"
    )(text)
    rows = len(vocabulary) + 2  # 0 stands for no word, 1 for an unknown one
    x = layers.Embedding(rows, size.units, name="embedding")(words)
    present = ops.not_equal(words, 0)
    if size.encoder == "transformer":
        positions = ops.cumsum(ops.ones_like(words), axis=1) - 1
        x = layers.Add(name="word_and_position")(
            [x, layers.Embedding(length, size.units, name="position_embedding")(positions)]
        )
        for block in range(1, (size.layers or 1) + 1):
            x = _transformer_block(size, x, ops.expand_dims(present, 1), f"block_{block}")
    x = _mean(x, present)
    if size.encoder == "pooled":
        x = hidden_layers(size, x)
    return keras.Model(text, head(spec, x), name="text")


def _usual_length(spec: ModelSpec) -> int:
    counts = [len(str(text).split()) for text in spec.sample.features]
    return int(np.clip(np.percentile(counts, _USUAL_SHARE), 1, _LONGEST))


def _words(spec: ModelSpec) -> list[str]:
    """Return the most frequent words of the sample, as Keras splits them; at least one."""
    from keras import layers

    counting = layers.TextVectorization(max_tokens=spec.size.vocabulary + 2)
    counting.adapt([str(text) for text in spec.sample.features])
    vocabulary: list[str] = counting.get_vocabulary(include_special_tokens=False)
    return vocabulary or ["a"]


def _mean(x: keras.KerasTensor, present: keras.KerasTensor) -> keras.KerasTensor:
    """Return the mean of ``x``, ``(batch, length, units)``, over the words that are there.

    Not a masked GlobalAveragePooling1D: that one divides by zero for a text without words.
    """
    from keras import ops

    weights = ops.expand_dims(ops.cast(present, "float32"), 2)
    total = ops.sum(ops.cast(x, "float32") * weights, axis=1)
    return total / ops.maximum(ops.sum(weights, axis=1), 1.0)


def _transformer_block(
    size: Size, x: keras.KerasTensor, attended: keras.KerasTensor, name: str
) -> keras.KerasTensor:
    """Return ``x``, ``(batch, length, units)``, after attention and two dense layers.

    An encoder block of Vaswani et al., "Attention Is All You Need" (2017), section 3.1.
    """
    from keras import layers

    mixed = layers.MultiHeadAttention(
        _HEADS,
        max(1, size.units // _HEADS),
        dropout=size.dropout,
        kernel_regularizer=penalty(size),
        name=f"{name}_attention",
    )(x, x, attention_mask=attended)
    mixed = layers.Dropout(size.dropout, name=f"{name}_attention_dropout")(mixed)
    x = layers.LayerNormalization(name=f"{name}_attention_norm")(
        layers.Add(name=f"{name}_attention_sum")([x, mixed])
    )
    y = layers.Dense(
        2 * size.units, activation="relu", kernel_regularizer=penalty(size), name=f"{name}_wide"
    )(x)
    y = layers.Dense(size.units, kernel_regularizer=penalty(size), name=f"{name}_narrow")(y)
    y = layers.Dropout(size.dropout, name=f"{name}_dropout")(y)
    return layers.LayerNormalization(name=f"{name}_norm")(layers.Add(name=f"{name}_sum")([x, y]))
