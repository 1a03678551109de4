"""Text models opened at their word vectors, where a path can lead from one text to another."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import ConfigError
from agiwb.tensorflow_quietly import import_tensorflow

if TYPE_CHECKING:
    import keras

_PADDING = 0
_ROUNDING = 1e-3
_BATCH = 256
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class OpenedText:
    """Texts on their way through a model, stopped at the word vectors.

    Attributes:
        tokens: int64 ``(texts, length)``, 0 where there is no word.
        vectors: Word vectors, float32 ``(texts, length, width)``.
        padding: The vector of the padding token, ``(width,)``.
        words: The words that were read of each text, in order.
    """

    tokens: NDArray[np.int64]
    vectors: NDArray[np.float32]
    padding: NDArray[np.float32]
    words: tuple[tuple[str, ...], ...]
    _tail: keras.Model

    def answer(self, vectors: Any, examples: Any) -> Any:
        """Return the model's outputs for word vectors in place of those of ``examples``.

        Which places hold a word, and so the attention masks, stay as the text has them.
        """
        tf = import_tensorflow()
        return self._tail([tf.gather(tf.constant(self.tokens), examples), vectors], training=False)


def open_texts(model: keras.Model, texts: NDArray[Any], answers: NDArray[Any]) -> OpenedText:
    """Return ``texts`` at the word vectors of ``model``.

    Args:
        model: One that reads texts with one TextVectorization and looks them up in one Embedding.
        texts: str objects, ``(texts,)``.
        answers: What the model answers, ``(texts, outputs)``.

    Raises:
        ConfigError: The model does not read texts so.
    """
    import keras
    from keras import layers

    tf = import_tensorflow()
    readers = [layer for layer in model.layers if isinstance(layer, layers.TextVectorization)]
    embeddings = [
        layer
        for layer in model.layers
        if isinstance(layer, layers.Embedding)
        and len(readers) == 1
        and layer.input is readers[0].output
    ]
    if len(embeddings) != 1:
        raise _not_opened(f"{len(readers)} TextVectorization layers and {len(embeddings)} Embedding"
                          " layers right after one")  # fmt: skip
    (reader,), (embedding,) = readers, embeddings
    tail = keras.Model([reader.output, embedding.output], model.output)
    tokens = reader(tf.constant([str(text) for text in texts]))
    vectors = embedding(tokens)
    again = tail.predict([tokens, vectors], batch_size=_BATCH, verbose=0)
    if not np.allclose(again, answers, atol=_ROUNDING * (1 + np.abs(answers).max())):
        raise _not_opened("a mask that goes past its layers")
    numbers = tokens.numpy().astype(np.int64)
    return OpenedText(
        tokens=numbers,
        vectors=vectors.numpy(),
        padding=embedding(tf.constant([_PADDING])).numpy()[0],
        words=tuple(
            _shown_words(str(text), row[row != _PADDING], reader)
            for text, row in zip(texts, numbers, strict=True)
        ),
        _tail=tail,
    )


def plain(word: str) -> str:
    """Return a word without ASCII punctuation and with A-Z made lower case, as Keras reads it."""
    return word.translate(_WITHOUT_PUNCTUATION).lower()


def _shown_words(text: str, tokens: NDArray[np.int64], reader: Any) -> tuple[str, ...]:
    """Return the words as the text has them; as the vocabulary does, where they cannot be told."""
    words = [word for word in text.split() if plain(word)][
        : reader.get_config()["output_sequence_length"]
    ]
    vocabulary = reader.get_vocabulary()
    known = [str(vocabulary[token]) for token in tokens]
    agree = len(words) == len(known) and all(
        read in (plain(word), "[UNK]") for word, read in zip(words, known, strict=True)
    )
    return tuple(words if agree else known)


def _not_opened(found: str) -> ConfigError:
    return ConfigError(
        f"`method` integrated_gradients cannot reach the word vectors of this model: it has "
        f"{found}.",
        "It needs one TextVectorization layer whose output goes into one Embedding layer, as in "
        "`architecture: text`.",
    )


def word_magnitudes(
    words: tuple[tuple[str, ...], ...], values: NDArray[np.float64], most: int
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return the words that matter most, and what each of them does to each text.

    Args:
        words: Of each text, in order.
        values: What the word at each place adds to the answer, ``(texts, length)``.
        most: Most words to return.

    Returns:
        The words as Keras reads them, and their absolute attributions ``(texts, words)``, summed
        where a text has a word several times, 0 where it does not have it.
    """
    found: list[dict[str, float]] = []
    totals: dict[str, float] = {}
    for own, row in zip(words, np.abs(values), strict=True):
        sums: dict[str, float] = {}
        for word, value in zip(own, row, strict=False):
            sums[plain(word)] = sums.get(plain(word), 0.0) + float(value)
        found.append(sums)
        for word, value in sums.items():
            totals[word] = totals.get(word, 0.0) + value
    names = tuple(sorted(totals, key=lambda word: (-totals[word], word))[:most])
    magnitudes = np.array([[sums.get(name, 0.0) for name in names] for sums in found])
    return names, magnitudes.reshape(len(words), len(names))
