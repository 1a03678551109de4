"""CIDEr and CIDEr-D: how well a text agrees with what most of its references say.

Vedantam, Zitnick and Parikh, "CIDEr: Consensus-based Image Description Evaluation" (CVPR 2015).
In both a text is a vector of its n-grams, each weighed by term frequency and by inverse document
frequency, one vector for each n from 1 to 4. The document frequency of an n-gram is the number of
examples of which at least one reference has it; an n-gram that no reference has counts as if one
had. Its inverse is the logarithm of the number of examples over it.

Words are runs of letters, digits and inner apostrophes, in lower case; punctuation is dropped. The
authors split with the Penn Treebank tokenizer first ("don't" is two words there), and so figures
are comparable with published ones only for texts that both split alike.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import InputError

_LONGEST = 4
_SIGMA_WORDS = 6.0
_SCALE_OF_D = 10.0
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")

NGram = tuple[str, ...]


def words_of(text: str) -> list[str]:
    """Return the words of a text, as CIDEr counts them here."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class _Vectors:
    """A text as one sparse TF-IDF vector for each n, and its number of words."""

    weights: tuple[dict[NGram, float], ...]
    norms: tuple[float, ...]
    words: int


def cider(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Return the CIDEr of each example, between 0 and 1: ``(examples,)``. The corpus has the mean.

    It is the cosine between the hypothesis's and a reference's vector, averaged over the references
    and over n = 1 to 4. The authors' code multiplies it by 10; the paper does not.

    Raises:
        InputError: There are fewer than two examples, or not references for each.
    """
    return _scores(hypotheses, references, _cosines)


def cider_d(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Return the CIDEr-D of each example, between 0 and 10: ``(examples,)``.

    As ``cider``, but harder to game: a weight of the hypothesis counts at most as much
    as the reference's, and a Gaussian penalty of 6 words' deviation is laid on a difference in
    length. Term frequencies are counts, as in the authors' code: divided by the text's length, as
    equation 1 reads, they would be clipped by another measure. This is what COCO calls CIDEr.

    Raises:
        InputError: There are fewer than two examples, or not references for each.
    """
    return _SCALE_OF_D * _scores(hypotheses, references, _defended)


def _scores(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    similarity: Callable[[_Vectors, _Vectors], float],
) -> NDArray[np.float64]:
    if len(hypotheses) != len(references) or not all(map(len, references)):
        raise InputError(
            f"There are {len(hypotheses)} hypotheses and references for "
            f"{sum(bool(len(own)) for own in references)} of {len(references)} examples.",
            "Give a list of references for each hypothesis, in the same order.",
        )
    if len(hypotheses) < 2:
        raise InputError(
            "CIDEr weighs words by how few of the examples' references have them, and "
            f"{len(hypotheses)} example tells nothing of that.",
            "Give at least two examples; BLEU and ROUGE take one.",
        )
    weigh = _weighing(references)
    return np.array(
        [
            np.mean([similarity(weigh(text), weigh(reference)) for reference in own])
            for text, own in zip(hypotheses, references, strict=True)
        ]
    )


def _weighing(references: Sequence[Sequence[str]]) -> Callable[[str], _Vectors]:
    """Return what makes vectors of texts, with the document frequencies of ``references``."""
    examples_with = Counter(
        ngram
        for own in references
        for ngram in {ngram for text in own for ngram in _ngrams(words_of(text))}
    )

    def weigh(text: str) -> _Vectors:
        words = words_of(text)
        weights: tuple[dict[NGram, float], ...] = tuple({} for _ in range(_LONGEST))
        for ngram, count in Counter(_ngrams(words)).items():
            rarity = math.log(len(references) / max(1, examples_with[ngram]))
            weights[len(ngram) - 1][ngram] = count * rarity
        norms = tuple(math.sqrt(sum(w * w for w in vector.values())) for vector in weights)
        return _Vectors(weights, norms, len(words))

    return weigh


def _ngrams(words: Sequence[str]) -> Iterable[NGram]:
    for length in range(1, _LONGEST + 1):
        for start in range(len(words) - length + 1):
            yield tuple(words[start : start + length])


def _cosines(text: _Vectors, reference: _Vectors) -> float:
    """Return the mean over n of the cosine; 0 where a vector is zero."""
    return _mean_overlap(text, reference, lambda own, other: own * other)


def _defended(text: _Vectors, reference: _Vectors) -> float:
    """Return the mean over n of the clipped cosine, less for another length."""
    overlap = _mean_overlap(text, reference, lambda own, other: min(own, other) * other)
    difference = text.words - reference.words
    return overlap * math.exp(-(difference**2) / (2 * _SIGMA_WORDS**2))


def _mean_overlap(
    text: _Vectors, reference: _Vectors, product: Callable[[float, float], float]
) -> float:
    total = 0.0
    for n in range(_LONGEST):
        norm = text.norms[n] * reference.norms[n]
        if norm:
            others = reference.weights[n]
            shared = sum(product(w, others.get(ngram, 0.0)) for ngram, w in text.weights[n].items())
            total += shared / norm
    return total / _LONGEST
