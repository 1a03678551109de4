"""What the command line prints of a sweep, from records written by hand."""

from __future__ import annotations

import pytest

from agiwb.cli import main
from agiwb.commands.sweep import text_of
from agiwb.compression.candidate import Candidate
from tests.compression.rows import BASELINE_ROW, row
from tests.reporting.sweeps import sweep_of

SMALL = row("int8", 0.965, 400, ratio=1.5)
FAILED = Candidate(name="dynamic", reason="No 8-bit version. " * 10)
GUESSING = row("prune_99", 0.12, 90, reason="It is no better than chance.")


def test_each_candidate_is_a_line_and_the_choice_is_said():
    first, heading, *lines = text_of(sweep_of(BASELINE_ROW, SMALL, FAILED, GUESSING)).splitlines()
    assert first == "sweep: run 0 of digits-cnn"
    assert heading.split() == ["validation", "test", "gzip", "time"]
    assert [line.split() for line in lines[:2]] == [
        ["baseline", "97.0%", "97.5%", "1,000", "1.00"],
        ["int8", "96.5%", "97.5%", "400", "1.50"],
    ]
    assert lines[2].startswith("  dynamic   No 8-bit version. ")
    assert lines[2].endswith("...")
    assert lines[3].endswith("90      1.00  not usable")
    assert "`int8` is the smallest of them" in lines[4]
    assert lines[5].startswith("  picks: quality: ")
    assert lines[6] == "  next: agiwb convert --model 0:int8 --formats litert_int8"


def test_that_none_qualifies_is_a_problem():
    record = sweep_of(BASELINE_ROW, SMALL, chosen=None, problems=("None keeps to the limits.",))
    *lines, last = text_of(record).splitlines()
    assert last == "  ! None keeps to the limits."
    assert not any("smallest" in line for line in lines)


def test_a_wrong_recipe_is_named(capsys: pytest.CaptureFixture[str]):
    assert main(["sweep", "--recipes", "squeeze_80"]) == 2
    assert "squeeze_80" in capsys.readouterr().err
