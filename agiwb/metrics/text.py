"""How near generated texts are to references that people wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from agiwb.errors import InputError
from agiwb.metrics.cider import cider, cider_d

_ROUGE_TYPES = {"rouge1": "rouge_1", "rouge2": "rouge_2", "rougeL": "rouge_l"}


class Bleu(NamedTuple):
    """A corpus's BLEU, and what another needs to know to compare theirs with it.

    ``score`` is between 0 and 100. ``signature`` is sacreBLEU's: number of references, casing,
    tokenisation, smoothing and version (Post 2018, "A Call for Clarity in Reporting BLEU Scores").
    """

    score: float
    tokenizer: str
    signature: str


def text_scores(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return ``bleu``, ``rouge_1``, ``rouge_2``, ``rouge_l``, ``cider`` and ``cider_d``.

    Each has its own scale and tokenisation: see ``bleu``, ``rouge``, ``cider`` and ``cider_d``.

    Args:
        hypotheses: One generated text an example.
        references: For each example one or more texts that it should be like.

    Raises:
        InputError: The numbers of hypotheses and references differ, an example has no reference,
            a reference is empty, or there are fewer than two examples, which CIDEr needs.
    """
    require_references(hypotheses, references)
    return {
        "bleu": bleu(hypotheses, references).score,
        **rouge(hypotheses, references),
        "cider": float(np.mean(cider(hypotheses, references))),
        "cider_d": float(np.mean(cider_d(hypotheses, references))),
    }


def bleu(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], tokenizer: str = "13a"
) -> Bleu:
    """Return the corpus BLEU (Papineni et al. 2002), as sacreBLEU computes it.

    Args:
        hypotheses: One text an example.
        references: One or more texts an example.
        tokenizer: sacreBLEU's name of it: ``13a`` is that of the WMT shared tasks, ``intl`` splits
            at all Unicode punctuation, ``char`` and ``zh`` are for texts without spaces.

    Raises:
        InputError: See ``text_scores``; or sacreBLEU has no such tokenizer.
    """
    from sacrebleu.metrics.bleu import BLEU

    require_references(hypotheses, references)
    if tokenizer not in BLEU.TOKENIZERS:
        raise InputError(
            f"sacreBLEU has no tokenizer {tokenizer!r}.",
            f"Choose from: {', '.join(sorted(filter(None, BLEU.TOKENIZERS)))}.",
        )
    metric = BLEU(tokenize=tokenizer)
    most = max(map(len, references))
    # sacreBLEU wants the first reference of all, then the second; None where there is none.
    columns = [[own[n] if n < len(own) else None for own in references] for n in range(most)]
    score = metric.corpus_score(list(hypotheses), columns)  # type: ignore[arg-type]
    return Bleu(float(score.score), tokenizer, str(metric.get_signature()))


def rouge(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return the mean F1 of ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004): between 0 and 1.

    Computed by rouge-score without stemming; with several references the best one counts. Its
    words are runs of the letters a to z and digits, in lower case: other scripts have none.

    Raises:
        InputError: See ``text_scores``.
    """
    from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped]

    require_references(hypotheses, references)
    scorer = RougeScorer(list(_ROUGE_TYPES))
    scores = [
        scorer.score_multi(list(own), text)
        for text, own in zip(hypotheses, references, strict=True)
    ]
    return {
        name: float(np.mean([score[kind].fmeasure for score in scores]))
        for kind, name in _ROUGE_TYPES.items()
    }


def require_references(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Raise InputError unless each hypothesis has references of its own to be compared with."""
    if len(hypotheses) != len(references):
        raise InputError(
            f"There are {len(hypotheses)} hypotheses and references for {len(references)}.",
            "Give a list of references for each hypothesis, in the same order.",
        )
    if not len(hypotheses):
        raise InputError("There are no hypotheses to score.", "Give at least one.")
    for number, own in enumerate(references):
        if isinstance(own, str):
            raise InputError(
                f"The references of example {number} are one text, not a list of texts.",
                "Write [text] for a single reference.",
            )
        if not len(own) or not all(text.strip() for text in own):
            raise InputError(
                f"Example {number} (counted from 0) has "
                + ("an empty reference." if len(own) else "no reference."),
                "Give at least one text for each example, or leave the example out.",
            )
