"""Scoring generated texts from a file, by Python and by the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from agiwb.cli import main
from agiwb.errors import ConfigError, DatasetError, InputError
from agiwb.evaluation.score_texts import SCORES_FILE, ScoreTextsConfig, score_texts
from agiwb.metrics.cider import cider
from agiwb.metrics.text import text_scores

TEXTS = [
    ("a cat sits on the mat", ["a cat sits on a mat", "the cat is on the mat"]),
    ("two dogs run in the park", ["two dogs are running in a park"]),
    ("completely unrelated words here", ["a man rides a red bicycle"]),
    ("a train waits at the station", ["a train waits at the station"]),
]


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.jsonl"
    rows = [{"hypothesis": text, "references": own} for text, own in TEXTS]
    path.write_text("\n\n".join(json.dumps(row) for row in rows) + "\n")
    return path


def test_the_record_holds_the_field_s_scores_and_the_worst_lines(texts, workspace):
    record = score_texts(ScoreTextsConfig(texts=texts, worst=1))
    hypotheses, references = [text for text, _ in TEXTS], [own for _, own in TEXTS]
    assert record.metrics == pytest.approx(text_scores(hypotheses, references))
    assert record.examples == len(TEXTS)
    assert "tok:13a" in record.bleu_signature
    low, high = record.cider_interval
    assert low <= record.metrics["cider"] <= high
    (worst,) = record.worst
    assert (worst.line, worst.hypothesis) == (5, "completely unrelated words here")
    rows = [json.loads(line) for line in (record.run.folder / SCORES_FILE).read_text().splitlines()]
    assert [row["line"] for row in rows] == [1, 3, 5, 7]
    assert np.allclose([row["cider"] for row in rows], cider(hypotheses, references))


def test_other_field_names_and_a_single_reference(tmp_path, workspace):
    path = tmp_path / "captions.jsonl"
    rows = [{"said": text, "truth": own[0]} for text, own in TEXTS]
    path.write_text("\n".join(map(json.dumps, rows)))
    record = score_texts(ScoreTextsConfig(texts=path, hypothesis="said", references="truth"))
    expected = text_scores([text for text, _ in TEXTS], [[own[0]] for _, own in TEXTS])
    assert record.metrics == pytest.approx(expected)


def test_the_command_prints_the_scores(texts, workspace, capsys):
    assert main(["score_texts", "--texts", str(texts), "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    assert set(metrics) == {"bleu", "rouge_1", "rouge_2", "rouge_l", "cider", "cider_d"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no hypotheses"),
        (b"{", "line 1 is not JSON"),
        (b"\n[1]", "line 2 is no JSON object"),
        (b'{"hypothesis": "a"}', "line 1 has no field 'references'"),
        (b'{"hypotesis": "a", "references": "b"}', "Did you mean `hypotesis`"),
        (b'{"hypothesis": 1, "references": "b"}', "must be a text"),
        (b'{"hypothesis": "a", "references": [1]}', "a text or a list of texts"),
        (b'{"hypothesis": "a", "references": []}', "no reference"),
        (b'{"hypothesis": "\xff", "references": ["a"]}', "line 1 is not JSON"),
    ],
)
def test_a_line_that_does_not_fit_is_named(tmp_path, workspace, content, message):
    path = tmp_path / "texts.jsonl"
    path.write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        score_texts(ScoreTextsConfig(texts=path))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_an_unknown_tokenizer_are_told(tmp_path, texts, workspace):
    with pytest.raises(DatasetError, match="cannot be read: No such file"):
        score_texts(ScoreTextsConfig(texts=tmp_path / "none.jsonl"))
    with pytest.raises(InputError, match="no tokenizer 'klingon'"):
        score_texts(ScoreTextsConfig(texts=texts, tokenizer="klingon"))
    with pytest.raises(ConfigError, match="worst"):
        ScoreTextsConfig(texts=texts, worst=-1)
