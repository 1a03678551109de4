"""The study: what it draws, what it mends, and what it does not repeat. Values are made up."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from agiwb.training.search.config import SearchConfig
from agiwb.training.search.objective import Outcome, Report
from agiwb.training.search.study import Study

SPACE = ["learning_rate=1e-4..1e-1:log", "units=8..64:8"]


def open_study(workspace: Path, **fields: Any) -> Study:
    fields = {"trials": 9, "space": SPACE, **fields}
    return Study(SearchConfig(**fields), "mine", workspace, maximise=True)


def value_of(params: dict[str, Any]) -> float:
    """Return something that is best at a rate of 0.01 and many units."""
    return params["units"] / 64 - abs(math.log10(params["learning_rate"]) + 2)


def carry_out(study: Study, most: int = 99) -> None:
    for _ in range(most):
        if (asked := study.next_trial()) is None:
            return
        number, params = asked
        value = value_of(params)
        study.tell(Outcome(number, "complete", (value,), (1,), ((0.1,),), 1.0), value)


def kill_in_trial(study: Study, number: int) -> None:
    """Carry out trials until the process dies in trial ``number``."""
    with study.carried(anew=False):
        carry_out(study, number)
        assert study.next_trial() is not None
        study._running.clear()


def test_a_killed_search_draws_what_it_would_have_drawn(tmp_path: Path) -> None:
    kill_in_trial(open_study(tmp_path / "killed"), 3)
    resumed = open_study(tmp_path / "killed")
    with resumed.carried(anew=False):
        carry_out(resumed)
        found = [trial.params for trial in resumed.trials()]
        (interrupted,) = resumed.interrupted()
    whole = open_study(tmp_path / "whole")
    with whole.carried(anew=False):
        carry_out(whole)
        expected = [trial.params for trial in whole.trials()]
    assert found == expected
    assert len(found) == 9
    assert interrupted.number == 3
    assert interrupted.params == expected[3]


def test_a_trial_that_kills_its_process_twice_has_failed(tmp_path: Path) -> None:
    for _ in range(2):
        kill_in_trial(open_study(tmp_path), 0)
    study = open_study(tmp_path)
    with study.carried(anew=False):
        (failed,) = [trial for trial in study.trials() if trial.state.name == "FAIL"]
        assert "died in each of 2 attempts" in failed.user_attrs["outcome"]["reason"]
        carry_out(study)
        assert len(study.trials()) == 9


def test_a_search_of_more_trials_begins_with_the_same_ones(tmp_path: Path) -> None:
    few = open_study(tmp_path, trials=6)
    with few.carried(anew=False):
        carry_out(few)
        first = [trial.params for trial in few.trials()]
    more = open_study(tmp_path, trials=8)
    with more.carried(anew=False):
        carry_out(more)
        assert [trial.params for trial in more.trials()][:6] == first
        assert len(more.trials()) == 8
    again = open_study(tmp_path, trials=6)
    with again.carried(anew=False):
        assert again.next_trial() is None
        assert [trial.params for trial in again.trials()] == first
    anew = open_study(tmp_path, trials=6)
    with anew.carried(anew=True):
        assert anew.trials() == []


@pytest.mark.parametrize("pruner", ["median", "asha", "hyperband"])
def test_trials_that_are_far_behind_shall_end(tmp_path: Path, pruner: Any) -> None:
    study = open_study(tmp_path, pruner=pruner, epochs=9, sampler="random", trials=14)
    poor, ended = {7, 9, 11, 13}, set()
    with study.carried(anew=False):
        while (asked := study.next_trial()) is not None:
            number, _ = asked
            value = 0.0 if number in poor else 0.9 + number / 1000
            for epoch in range(1, 10):
                if study.should_end(Report(number, 1, epoch, value, epoch)):
                    ended.add(number)
                    study.tell(Outcome(number, "pruned", reason="Far behind."), None)
                    break
            else:
                study.tell(Outcome(number, "complete", (value,), (9,), ((0.1,),), 1.0), value)
    # One bracket of hyperband spares its trials, by design.
    assert ended <= poor
    assert ended == poor or (pruner == "hyperband" and ended)
