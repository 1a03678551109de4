from __future__ import annotations

import subprocess
import sys
import time

import pytest

from agiwb.serving.rollout.model_rollout import ModelRollout
from agiwb.serving.rollout.split import LATEST, Choice, Split, Upcoming
from agiwb.serving.rollout.state import Decided, Guards
from agiwb.serving.status import Code

KEYS = [f"client-{number}" for number in range(20_000)]


def challenged(share, version=2):
    split = Split("m", 1, version, share)
    return {key for key in KEYS if split.choose(key).variant == "challenger"}


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_the_share_is_kept(share):
    deviation = (share * (1 - share) / len(KEYS)) ** 0.5
    assert abs(len(challenged(share)) / len(KEYS) - share) < 4 * deviation


def test_a_growing_share_moves_no_client_back():
    former = set()
    for share in (0.0, 0.001, 0.05, 0.3, 0.31, 0.99, 1.0):
        now = challenged(share)
        assert former <= now
        former = now
    assert former == set(KEYS)


def test_another_challenger_is_tried_by_other_clients():
    both = challenged(0.1, 2) & challenged(0.1, 3)
    assert len(both) / len(KEYS) == pytest.approx(0.01, abs=0.003)


def test_every_process_chooses_alike():
    code = (
        "from agiwb.serving.rollout.split import Split;"
        "s = Split('m', 1, 2, 0.5);"
        "print(''.join(str(s.choose(f'client-{n}').version) for n in range(200)))"
    )
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    split = Split("m", 1, 2, 0.5)
    assert other == "".join(str(split.choose(key).version) for key in KEYS[:200])


def test_without_a_challenger_the_champion_answers_all():
    assert Split("m", None).choose("a") == LATEST
    assert Split("m", 7).choose("") == Choice(7, "champion")


def test_any_text_is_a_key():
    assert Split("m", 1, 2, 1.0).choose("\udce9 é \0").version == 2


def test_a_change_in_a_fleet_takes_effect_at_its_moment(tmp_path):
    rollouts = [ModelRollout("m", tmp_path, lambda: (1, 2), lead_s=0.4) for _ in range(2)]
    decided = Decided(who="someone", why="a test")
    rollouts[0].promote(1, decided)
    time.sleep(0.5)
    for rollout in rollouts:
        rollout.refresh()
    rollouts[0].promote(2, decided)
    rollouts[1].refresh()
    rollouts.append(ModelRollout("m", tmp_path, lambda: (1, 2)))  # it starts meanwhile
    assert {rollout.split.choose("key").version for rollout in rollouts} == {1}
    ends, seen = time.monotonic() + 60, [1]
    while seen[-1] == 1 and time.monotonic() < ends:
        seen += [rollout.split.choose("key").version for rollout in rollouts]
    assert seen == sorted(seen)
    assert seen[-1] == 2
    for rollout in rollouts:
        rollout.refresh()
        assert isinstance(rollout.split, Split)


def test_a_guard_does_not_wait_for_a_fleet(tmp_path):
    rollout = ModelRollout("m", tmp_path, lambda: (1, 2), lead_s=60)
    guards = Guards(max_error_rate=0.01, min_requests=10)
    rollout.set_canary(2, 1.0, guards, Decided(who="someone", why="a test"))
    assert isinstance(rollout.split, Upcoming)
    for _ in range(200):
        rollout.watch.observe(1, Code.OK, 0.001)
        rollout.watch.observe(2, Code.INTERNAL, 0.001)
    assert rollout.judge()
    assert isinstance(rollout.split, Split)
    assert rollout.split.choose("key").version == 1
