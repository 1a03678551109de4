"""The gate with real models on real digits: promote, reject, and not enough evidence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agiwb.artifacts.resolve import ArtifactSource
from agiwb.commands.gate import text_of
from agiwb.datasets.registry import load_dataset
from agiwb.errors import ConfigError, NotFoundError
from agiwb.maintenance.checks import Check, check_golden
from agiwb.maintenance.gate import gate
from agiwb.maintenance.gate_config import GateConfig
from agiwb.maintenance.scores import calibration_error
from agiwb.maintenance.verdict import Terms, compare, decide
from tests.maintenance.versions import MODEL

UNTIMED = {"max_latency_ratio": None}


@pytest.mark.slow
def test_a_good_challenger_passes_and_every_check_says_why(undecided: Path) -> None:
    found = gate(GateConfig(model=MODEL, champion=2, challenger=3))
    assert (found.verdict, found.problems) == ("promote", ()), found.sentences
    assert {check.name: check.outcome for check in found.checks} == {
        "answers": "passed", "golden batch": "passed", "calibration": "passed",
        "size": "passed", "latency": "passed",
    }  # fmt: skip
    data = load_dataset("digits")
    whole = found.compared[0]
    assert whole.rows == len(data.test)
    assert whole.finding == "not worse"
    assert {one.name.partition("=")[0] for one in found.compared[1:]} == set(data.test.slices)
    assert "promote" in text_of(found)


@pytest.mark.slow
def test_a_bad_challenger_is_rejected_with_its_numbers(undecided: Path) -> None:
    found = gate(GateConfig(model=MODEL, champion=2, challenger=1, **UNTIMED))
    assert found.verdict == "reject"
    assert not found.passed
    assert found.labels_needed is None
    assert "worse by more than 0.02" in found.sentences[0]


@pytest.mark.slow
def test_with_too_few_rows_it_says_of_how_many_more_labels_it_would_be_sure(
    undecided: Path,
) -> None:
    found = gate(GateConfig(model=MODEL, champion=2, challenger=3, margin=0.003, **UNTIMED))
    assert found.verdict == "not enough evidence"
    assert found.labels_needed is not None
    assert found.labels_needed > 500
    assert f"Shadow it for about {found.labels_needed} more labels" in found.sentences[-1]


@pytest.mark.slow
def test_what_cannot_be_compared_is_told_before_a_run(undecided: Path) -> None:
    with pytest.raises(NotFoundError, match="has no champion"):
        gate(GateConfig(model=MODEL, challenger=3))
    with pytest.raises(ConfigError, match="is the champion"):
        gate(GateConfig(model=MODEL, champion=3, challenger=3))
    with pytest.raises(ConfigError, match="no slice column 'colour'"):
        gate(GateConfig(model=MODEL, champion=2, challenger=3, slices=("colour",)))
    with pytest.raises(NotFoundError, match="version 9"):
        gate(GateConfig(model=MODEL, champion=2, challenger=9))


@pytest.mark.slow
def test_a_file_that_does_not_stand_in_for_the_champions_is_found(
    undecided: Path, tmp_path: Path
) -> None:
    from agiwb.artifacts.resolve import resolve_artifact
    from agiwb.runs.store import open_store
    from tests.serving.onnx_models import make_artifact

    champion = resolve_artifact(f"{MODEL}/2", "onnx", open_store())
    other = make_artifact(tmp_path / "other")
    stranger = resolve_artifact(str(other), "onnx", open_store())
    check = check_golden(
        ArtifactSource(champion.folder, stranger.artifact), champion, load_dataset("digits")
    )
    assert check.outcome == "failed"
    assert "another signature" in check.sentence


def test_the_calibration_error_is_the_known_one() -> None:
    sure = np.repeat([0.95, 0.55], 100)
    values = np.stack([sure, 1 - sure], axis=1).astype(np.float32)
    right = np.r_[np.ones(80), np.zeros(20), np.ones(55), np.zeros(45)]
    assert calibration_error(values, right) == pytest.approx(0.5 * 0.15, abs=1e-6)


def test_a_slice_that_got_worse_decides_though_all_rows_are_as_good() -> None:
    terms = Terms(0.02, 0.05, 0.05, 0.8, 30)
    champion, challenger = np.full(2000, 0.0), np.full(2000, 0.0)
    champion[:1800], challenger[:1800] = 1.0, 1.0
    challenger[:60], challenger[1900:1960] = 0.0, 1.0
    inside = np.arange(2000) < 200
    compared = compare(champion, challenger, {"night=yes": inside}, terms)
    assert [one.finding for one in compared] == ["not worse", "worse"]
    verdict, sentences, _ = decide(compared, (), 0.8)
    assert verdict == "reject"
    assert sentences[0].startswith("On night=yes (200 rows)")


def test_a_small_slice_is_shown_and_not_judged() -> None:
    terms = Terms(0.02, 0.05, 0.05, 0.8, 30)
    scores = np.ones(500)
    compared = compare(scores, scores, {"rare": np.arange(500) < 5}, terms)
    assert compared[1].finding == "too small"
    assert decide(compared, (), 0.8)[0] == "promote"


def test_a_failed_check_rejects_whatever_the_scores() -> None:
    terms = Terms(0.02, 0.05, 0.05, 0.8, 30)
    compared = compare(np.zeros(500), np.ones(500), {}, terms)
    slow = Check(name="latency", outcome="failed", sentence="Twice as slow.")
    assert decide(compared, (slow,), 0.8) == ("reject", ("Latency: Twice as slow.",), None)
