"""What is asked of one worker, and each worker's part of the limits."""

from __future__ import annotations

import json

import pytest

from agiwb.serving.access.rate import RateLimiter
from agiwb.serving.exchange import ModelSpec
from agiwb.serving.servables.catalogue import ModelConfig
from agiwb.serving.servables.policy import All, Latest, Specific
from agiwb.serving.status import Refusal
from agiwb.serving.workers.changes import FOLLOW_ROLLOUTS, SharedCatalogue, carry_out
from agiwb.serving.workers.journal import Journal
from tests.serving.servables.watched import WatchedLoader, add_version, running
from tests.serving.served import asking


class Told:
    """The other workers, who answer with ``problems``."""

    def __init__(self):
        self.changes = []
        self.problems = []

    def share(self, change):
        self.changes.append(json.loads(json.dumps(change)))
        return self.problems


@pytest.fixture
def told():
    return Told()


@pytest.mark.parametrize("policy", [Latest(2), All(), Specific((1, 2))])
def test_models_are_the_same_in_the_other_workers(tmp_path, told, policy):
    shared = SharedCatalogue(told, WatchedLoader())
    shared.add(ModelConfig("m", tmp_path, policy, {"stable": 1}))
    with running(WatchedLoader()) as other:
        assert carry_out(other, None, told.changes[0]) == {}
        assert other.models() == shared.models()
        shared.remove("m")
        assert carry_out(other, None, told.changes[1]) == {}
        assert other.models() == ()
        shared.configure([ModelConfig("n", tmp_path, policy)])
        assert carry_out(other, None, told.changes[2]) == {}
        assert other.models() == shared.models()


def test_a_label_reaches_the_other_workers_and_what_fails_there_is_told(tmp_path, told):
    add_version(tmp_path, 1)
    with running(WatchedLoader(), ModelConfig("m", tmp_path)) as other:
        assert other.wait_until_ready(60)
        change = {"do": "label", "name": "m", "label": "stable", "version": 1}
        assert carry_out(other, None, change) == {}
        assert other.labels("m") == {"stable": 1}
        with other.lease(ModelSpec("m", label="stable")) as version:
            assert version.number == 1
        reply = carry_out(other, None, change | {"name": "nobody", "version": None})
        assert "nobody" in reply["error"]
    told.problems = ["Worker 1 has no disk."]
    with pytest.raises(Refusal, match="not in every worker: Worker 1 has no disk"):
        SharedCatalogue(told, WatchedLoader()).add(ModelConfig("m", tmp_path))


def test_rollouts_are_followed_at_once(tmp_path):
    add_version(tmp_path / "m", 1)
    add_version(tmp_path / "m", 2)
    with asking(tmp_path / "m", model_version=1) as one, asking(tmp_path / "m") as other:
        assert other.server.engine.rollout.describe("m")["revision"] == 0
        one.server.engine.rollout.promote("m", 1)
        engine = other.server.engine
        assert carry_out(engine.catalogue, engine.rollout, FOLLOW_ROLLOUTS) == {}
        assert engine.rollout.describe("m")["revision"] == 1


def test_the_journal_keeps_what_still_counts():
    journal = Journal()
    for version in range(100):
        journal.keep({"do": "label", "name": "m", "label": "stable", "version": version})
    journal.keep({"do": "label", "name": "m", "label": "beta", "version": 1})
    assert journal.last == 101
    assert [change["version"] for change in journal.after(0)] == [99, 1]
    assert [change["version"] for change in journal.after(100)] == [1]
    assert journal.after(101) == []
    journal.keep({"do": "configure", "models": []})
    assert journal.after(0) == journal.after(101) == [{"do": "configure", "models": []}]


def test_the_rate_of_a_key_is_shared_among_the_workers():
    now = [0.0]
    limiters = [RateLimiter(lambda: now[0], share=0.5) for _ in range(2)]
    granted = 0
    for _ in range(1000):
        now[0] += 0.01
        granted += sum(limiter.take("key", 20.0, 20.0) == 0 for limiter in limiters)
    assert granted == pytest.approx(20 + 10 * 20, abs=4)
    assert limiters[0].take("slow", 0.1, 1.0) == 0.0  # one at least, however many share
