"""The built-in texts, which Keras downloads as numbers of words: put back into words here."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset, Split, Task
from agiwb.datasets.download import download_error, fetch, with_validation

_INSTEAD = "texts of your own: `agiwb datasets add`"
_FIRST_WORD = 3
"""Keras shifts the numbers of words by this: 0 is padding, 1 begins a text, 2 is unknown."""


def load_imdb() -> Dataset:
    """Return 50,000 film reviews, negative or positive, downloaded once by Keras."""
    return _texts("imdb", ("negative", "positive"), "binary")


def load_reuters() -> Dataset:
    """Return 11,228 newswires on 46 topics, downloaded once by Keras."""
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    return _texts("reuters", tuple(keras.datasets.reuters.get_label_names()), "classification")


def texts_from_numbers(sequences: NDArray[Any], numbers: dict[str, int]) -> NDArray[Any]:
    """Return str objects ``(texts,)``: the words of each sequence, joined with spaces.

    Args:
        sequences: Lists of numbers, ``(texts,)``, as ``load_data`` gives them.
        numbers: The number of each word, as ``get_word_index`` gives them.
    """
    words = {number + _FIRST_WORD: word for word, number in numbers.items()}
    texts = np.empty(len(sequences), dtype=object)
    for index, sequence in enumerate(sequences):
        known = (words.get(number, "[UNK]") for number in sequence if number > 1)
        texts[index] = " ".join(known)
    return texts


def _texts(name: str, classes: tuple[str, ...], task: Task) -> Dataset:
    pairs = fetch(name, _INSTEAD)
    numbers = _word_numbers(name)
    train, test = (
        Split(texts_from_numbers(sequences, numbers), labels.astype(np.int64))
        for sequences, labels in pairs
    )
    return Dataset(name, classes, 1.0, *with_validation(train), test, task=task, kind="text")


def _word_numbers(name: str) -> dict[str, int]:
    import keras

    try:
        numbers: dict[str, int] = getattr(keras.datasets, name).get_word_index()
    except Exception as error:  # Keras raises bare Exception for a failed download
        raise download_error(f"{name} (its words)", _INSTEAD, error) from error
    return numbers
