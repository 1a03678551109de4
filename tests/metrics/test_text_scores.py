from __future__ import annotations

import math

import pytest

from agiwb.errors import InputError
from agiwb.metrics.cider import cider, cider_d
from agiwb.metrics.text import bleu, rouge, text_scores

HYPOTHESES = [
    "a cat sits on the mat",
    "two dogs run across the green field",
    "a man rides a horse",
    "the the the the",
]
REFERENCES = [
    ["a cat is sitting on the mat", "the cat sits on a mat"],
    [
        "dogs are running in a field",
        "two dogs run across a green field quickly",
        "some dogs play on the grass",
    ],
    ["a man rides a brown horse on the beach"],
    ["the red bus stops at the corner", "a bus on the street"],
]
# What the authors' own code (github.com/vrama91/cider, pyciderevalcap, cider_scorer.py and
# ciderD_scorer.py with n=4, sigma=6 and df_mode "corpus") gives for these texts; its CIDEr is ten
# times the paper's.
AUTHORS_CIDER = [3.6817303224244013, 2.250884321619209, 5.166635734555305, 0.0]
AUTHORS_CIDER_D = [3.6602104821360286, 2.219838136948166, 4.137118479904989, 0.0]


def test_cider_is_that_of_its_authors() -> None:
    assert 10 * cider(HYPOTHESES, REFERENCES) == pytest.approx(AUTHORS_CIDER, rel=1e-12)
    assert cider_d(HYPOTHESES, REFERENCES) == pytest.approx(AUTHORS_CIDER_D, rel=1e-12)


def test_cider_by_hand() -> None:
    # Two examples: a word of one example's references weighs log 2, one of both weighs nothing.
    # "red" of ("red", "ball") is shared: the cosine of the words is 1/2 * sqrt(2) * 1, that of
    # the pairs is 0, and longer n-grams there are none.
    found = cider(["red", "old house"], [["red ball"], ["old house"]])
    assert found == pytest.approx([(1 / math.sqrt(2)) / 4, (1 + 1) / 4])
    # Clipping: "red red" has twice the weight of "red", and counts once. One word too many.
    clipped = cider_d(["red red", "old house"], [["red"], ["old house"]])
    assert clipped == pytest.approx([10 * 0.5 / 4 * math.exp(-1 / 72), 10 * 2 / 4])


def test_words_are_told_apart_without_case_and_punctuation() -> None:
    plain = cider_d(["it's a red bus", "no"], [["it's a bus"], ["yes"]])
    assert cider_d(["It's a RED bus!", "no"], [["it's, a bus."], ["yes"]]) == pytest.approx(plain)


def test_bleu_by_hand() -> None:
    found = bleu(
        ["the quick brown fox jumps over the dog"],
        [["the quick brown fox jumps over the lazy dog"]],
    )
    precisions = (8 / 8) * (6 / 7) * (5 / 6) * (4 / 5)
    assert found.score == pytest.approx(100 * math.exp(1 - 9 / 8) * precisions**0.25)
    assert found.tokenizer == "13a"
    assert "tok:13a" in found.signature
    assert "nrefs:1" in found.signature


def test_bleu_takes_the_nearer_of_several_references() -> None:
    texts = ["a b c d e", "f g h i"]
    assert bleu(texts, [["v w x y z", "a b c d e"], ["f g h i"]]).score == pytest.approx(100)
    assert "nrefs:var" in bleu(texts, [["v", "a"], ["f"]]).signature


def test_rouge_by_hand() -> None:
    found = rouge(["police killed the gunman"], [["unrelated", "police kill the gunman"]])
    expected = {"rouge_1": 3 / 4, "rouge_2": 1 / 3, "rouge_l": 3 / 4}
    assert found == pytest.approx(expected)


def test_all_scores_together() -> None:
    found = text_scores(HYPOTHESES, REFERENCES)
    assert set(found) == {"bleu", "rouge_1", "rouge_2", "rouge_l", "cider", "cider_d"}
    assert found["cider_d"] == pytest.approx(sum(AUTHORS_CIDER_D) / 4)
    perfect = text_scores(["a b c d", "e f g h"], [["a b c d"], ["e f g h"]])
    assert perfect == pytest.approx(
        {"bleu": 100, "rouge_1": 1, "rouge_2": 1, "rouge_l": 1, "cider": 1, "cider_d": 10}
    )


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        (["a", "b"], [["a"]], r"2 hypotheses and references for 1"),
        ([], [], r"no hypotheses"),
        (["a", "b"], [["a"], []], r"Example 1 .* no reference"),
        (["a", "b"], [["a"], [" "]], r"Example 1 .* empty reference"),
        (["a", "b"], ["a", "b"], r"example 0 are one text"),
        (["a"], [["a"]], r"at least two examples"),
    ],
)
def test_what_cannot_be_scored_is_said(
    hypotheses: list[str], references: list[list[str]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        text_scores(hypotheses, references)


def test_an_unknown_tokenizer_is_refused() -> None:
    with pytest.raises(InputError, match=r"no tokenizer 'ptb'.*13a"):
        bleu(["a"], [["a"]], tokenizer="ptb")
