"""Whose decision a change of a rollout carries out, and a version that goes on answering."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agiwb.serving.rollout.rollout import Rollout
from agiwb.serving.rollout.split import Choice
from agiwb.serving.rollout.state import Decided
from tests.serving.rollout.versions_in_memory import VersionsInMemory, inverted, scores


@pytest.fixture
def rollout(tmp_path: Path) -> Iterator[Rollout]:
    found = Rollout(VersionsInMemory(tmp_path, {1: scores, 2: inverted}), tick_s=0.05)
    found.start()
    yield found
    found.stop()


def test_every_change_tells_which_decision_it_carries_out(rollout: Rollout) -> None:
    rollout.set_shadow("m", 1, decided=Decided(who="somebody", decision=3))
    rollout.set_canary("m", 1, 0.5, decided=Decided(who="somebody", decision=4))
    rollout.promote("m", decided=Decided(who="somebody", decision=5))
    rollout.roll_back("m", decided=Decided(who="somebody", decision=6))
    rollout.promote("m", 1, decided=Decided(who="somebody", why="an operator's own"))
    told = [(one["action"], one["decision"]) for one in rollout.describe("m")["ledger"]]
    assert told == [
        ("shadow", 3), ("canary", 4), ("promote", 5), ("roll_back", 6), ("promote", None),
    ]  # fmt: skip


def test_a_pinned_version_goes_on_answering_and_its_trials_go_on(rollout: Rollout) -> None:
    rollout.set_canary("m", 1, 0.5)
    rollout.pin("m", decided=Decided(who="ann", why="another is loaded"))
    described = rollout.describe("m")
    assert (described["champion"], described["canary"]["version"]) == (2, 1)
    assert described["previous"] is None
    rollout.unpin("m")
    rollout.pin("m")
    assert rollout.describe("m")["pinned"] == 2
    assert rollout.choose("m", "k", "") == Choice(2, "champion")
