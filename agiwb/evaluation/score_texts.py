"""The score_texts step: how near generated texts are to what people wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from agiwb.config import Config
from agiwb.errors import DatasetError, InputError, did_you_mean
from agiwb.metrics.cider import cider
from agiwb.metrics.text import bleu, require_references, text_scores
from agiwb.runs.context import Context
from agiwb.runs.files import sha256_of_file, write_atomic
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step
from agiwb.statistics import Interval, bootstrap_interval

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore

SCORES_FILE = "scores.jsonl"
_FORM = 'Write lines such as {"hypothesis": "a cat", "references": ["one cat", "the cat"]}.'


class ScoreTextsConfig(Config):
    """Where the texts are, and what their fields are called."""

    texts: Path = Field(
        description="File of one JSON object a line: a generated text and its references."
    )
    hypothesis: str = Field("hypothesis", description="Field of the generated text.")
    references: str = Field(
        "references", description="Field of the reference, or the list of references."
    )
    tokenizer: str = Field("13a", description="sacreBLEU's tokenizer; zh, ja-mecab, char, ...")
    worst: int = Field(5, ge=0, le=100, description="Examples to show, those of lowest CIDEr.")


class ScoredText(BaseModel):
    """One example and its CIDEr; ``line`` counts from 1."""

    model_config = ConfigDict(frozen=True)

    line: int
    hypothesis: str
    reference: str
    cider: float


class ScoreTextsRecord(Record):
    """How near generated texts are to their references.

    The metrics are ``bleu`` (0 to 100), ``rouge_1``, ``rouge_2``, ``rouge_l`` (0 to 1), ``cider``
    and ``cider_d`` (0 to 10); ``scores.jsonl`` holds each line's CIDEr. ``cider_interval`` is a
    95 % bootstrap interval over the examples.
    """

    config: ScoreTextsConfig
    examples: int
    bleu_signature: str
    """sacreBLEU's: what another must set to compare theirs with it."""
    cider_interval: Interval
    worst: tuple[ScoredText, ...]


def _inputs(config: ScoreTextsConfig, store: RunStore) -> dict[str, Input]:
    _read(config)
    return {"texts": Input(sha256_of_file(config.texts.expanduser()))}


@step("score_texts", inputs=_inputs)
def score_texts(config: ScoreTextsConfig, context: Context) -> ScoreTextsRecord:
    """Return the record of how near generated texts are to their references.

    Raises:
        DatasetError: The file cannot be read, or a line is not as the config says.
        InputError: There is no such tokenizer, or there are fewer than two examples.
    """
    hypotheses, references, lines = _read(config)
    context.say(f"scoring {len(hypotheses)} texts of {config.texts}")
    metrics = text_scores(hypotheses, references)
    corpus = bleu(hypotheses, references, config.tokenizer)
    each = cider(hypotheses, references)
    context.stop_if_cancelled()
    rows = [
        {"line": line, "cider": score} for line, score in zip(lines, each.tolist(), strict=True)
    ]
    write_atomic(context.files / SCORES_FILE, "".join(f"{json.dumps(row)}\n" for row in rows))
    order = np.argsort(each, kind="stable")[: config.worst]
    return ScoreTextsRecord(
        run=context.run,
        config=config,
        metrics={**metrics, "bleu": corpus.score},
        examples=len(hypotheses),
        bleu_signature=corpus.signature,
        cider_interval=bootstrap_interval(lambda drawn: float(each[drawn].mean()), len(each)),
        worst=tuple(
            ScoredText(
                line=lines[place],
                hypothesis=hypotheses[place],
                reference=references[place][0],
                cider=float(each[place]),
            )
            for place in order.tolist()
        ),
    )


def _read(config: ScoreTextsConfig) -> tuple[list[str], list[list[str]], list[int]]:
    """Return hypotheses, their references, and the lines they stand in.

    Raises:
        DatasetError: The file, or the line that is named, is not as the config says.
    """
    path = config.texts.expanduser()
    hypotheses, references, lines = [], [], []
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"The file {path} cannot be read: {error.strerror}.",
            "Give a file of one JSON object a line.",
        ) from None
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        row = _row(line, f"In {path}, line {number}")
        text = _field(row, config.hypothesis, f"In {path}, line {number}")
        given = _field(row, config.references, f"In {path}, line {number}")
        own = [given] if isinstance(given, str) else given
        if (
            not isinstance(text, str)
            or not isinstance(own, list)
            or not all(isinstance(entry, str) for entry in own)
        ):
            raise DatasetError(
                f"In {path}, line {number}: {config.hypothesis!r} must be a text, and "
                f"{config.references!r} a text or a list of texts.",
                _FORM,
            )
        hypotheses.append(text)
        references.append(own)
        lines.append(number)
    try:
        require_references(hypotheses, references)
    except InputError as error:
        raise DatasetError(f"In {path}: {error.problem}", error.fix) from None
    return hypotheses, references, lines


def _row(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:  # bad JSON and bad UTF-8 alike
        raise DatasetError(f"{where} is not JSON: {error}.", _FORM) from None
    if not isinstance(row, dict):
        raise DatasetError(f"{where} is no JSON object.", _FORM)
    return row


def _field(row: dict[str, Any], name: str, where: str) -> Any:
    if name not in row:
        raise DatasetError(f"{where} has no field {name!r}.", did_you_mean(name, row))
    return row[name]
