"""Texts as what can be compared: how long they are, how many of their words are new, their n-grams.

Words are told apart as Keras' ``TextVectorization`` does by default: by white space, without ASCII
punctuation, with A-Z made lower case.
"""

from __future__ import annotations

import itertools
import string
from collections import Counter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agiwb.monitoring.quality import QualityFinding, check_quality, more_often

NAMES = ("characters", "words", "unseen_words")
"""Characters and words of a text, and the share of its words that no other training text has."""
_HASHED = 256
"""Dimensions of hashed n-grams: collisions blur them, and none is left out."""
_MOST_TEXTS = 5_000
_AS_READ = str.maketrans(string.ascii_uppercase, string.ascii_lowercase, string.punctuation)
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def words_of(text: str) -> list[str]:
    """Return the words of a text."""
    return text.translate(_AS_READ).split()


class TextDescription:
    """A text: its figures by ``NAMES``; its words and pairs of words are hashed into a place.

    At most 5,000 texts of the training split, drawn at random, are the reference; the words of all
    of them are known.

    Args:
        train: Texts, objects of shape ``(rows,)``.
    """

    names: tuple[str, ...] = NAMES
    undoable = False

    def __init__(self, train: NDArray[Any]) -> None:
        self._texts_with: Counter[str] = Counter()
        for text in train.tolist():
            self._texts_with.update(set(words_of(text)))
        order = np.random.default_rng(0).permutation(len(train))[:_MOST_TEXTS]
        self._train = train[np.sort(order)]
        # A training text's own words are no news to itself: those of all others are what is known.
        self.reference = self._figures(self._train, 2)

    def numbers(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """Return the figures of texts, shape ``(rows, 3)``."""
        return self._figures(features, 1)

    def categories(self, features: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return nothing: a text has no columns."""
        return {}

    def embedded(self, *others: NDArray[Any]) -> tuple[NDArray[np.float64], ...]:
        """Return hashed words and pairs of words (Weinberger and others 2009), of length 1."""
        from sklearn.feature_extraction.text import HashingVectorizer

        hashing = HashingVectorizer(
            n_features=_HASHED, analyzer=_words_and_pairs, norm="l2", alternate_sign=True
        )
        return tuple(
            hashing.transform(texts.tolist()).toarray() if len(texts) else np.zeros((0, _HASHED))
            for texts in (self._train, *others)
        )

    def with_number(self, features: NDArray[Any], place: int, values: NDArray[Any]) -> NDArray[Any]:
        """Return the texts as they are: a text cannot be given another length."""
        return features

    def quality(self, features: NDArray[Any], rate: float) -> tuple[QualityFinding, ...]:
        """Return whether more texts are empty, broken, or far longer than any in training."""
        asked: dict[Literal["empty", "undecodable"], tuple[NDArray[np.bool_], ...]] = {
            "empty": tuple(_each(texts, _is_empty) for texts in (self._train, features)),
            "undecodable": tuple(_each(texts, _is_broken) for texts in (self._train, features)),
        }
        words = {"empty": "have no word", "undecodable": "have characters that could not be read"}
        each = rate / (len(asked) + 1)
        found = []
        for kind, (known, served) in asked.items():
            if not more_often(known, served, each):
                continue
            told = (
                f"{served.mean():.1%} of the texts {words[kind]}; in training {known.mean():.1%} "
                "did."
            )
            found.append(
                QualityFinding(feature="text", kind=kind, share=float(served.mean()), sentence=told)
            )
        return (*found, *check_quality(self.reference, self.numbers(features), self.names, each))

    def unusable(self, features: NDArray[Any]) -> NDArray[np.bool_]:
        """Return the texts without a word, or with characters that could not be read.

        Either counts only where no text of training is so.
        """
        bad = np.zeros(len(features), bool)
        for question in (_is_empty, _is_broken):
            if not _each(self._train, question).any():
                bad |= _each(features, question)
        return bad

    def _figures(self, texts: NDArray[Any], least: int) -> NDArray[np.float32]:
        """Return the figures; a word is known if so many training texts have it."""
        made = np.zeros((len(texts), len(NAMES)), np.float32)
        for row, text in enumerate(texts.tolist()):
            words = words_of(text)
            unseen = sum(self._texts_with[word] < least for word in words)
            made[row] = len(text), len(words), unseen / max(len(words), 1)
        return made


def _words_and_pairs(text: str) -> list[str]:
    words = words_of(text)
    return words + [" ".join(pair) for pair in itertools.pairwise(words)]


def _each(texts: NDArray[Any], question: Any) -> NDArray[np.bool_]:
    return np.array([question(text) for text in texts.tolist()], bool)


def _is_empty(text: str) -> bool:
    return not words_of(text)


def _is_broken(text: str) -> bool:
    return _REPLACEMENT in text
