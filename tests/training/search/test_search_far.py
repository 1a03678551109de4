"""Searches on Dask workers that share no folder with whoever asks.

Pruned, cancelled, and without a worker or the scheduler in the middle.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agiwb import SearchConfig, search
from agiwb.errors import CancelledError, WorkError
from agiwb.runs.events import Event
from tests.crews.dask_cluster import Cluster, running_cluster
from tests.training.search.counting import built, write_counting

pytestmark = pytest.mark.slow

_LONGEST_S = 120
TINY: dict[str, Any] = {"architecture": "mlp", "layers": 1, "batch_size": 64}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster"), "one", "two") as made:
        yield made


@pytest.fixture
def counting(tmp_path: Path) -> Path:
    """A builder that notes each model it builds, and takes a moment."""
    return write_counting(tmp_path, "time.sleep(2)")


def test_workers_carry_out_trials_and_prune_the_poor_one(cluster: Cluster, workspace: Path):
    events: list[Event] = []
    # By their first epoch the one learns and the other does not.
    record = search(
        SearchConfig(
            **TINY,
            epochs=3,
            space=["learning_rate=0.01,1e-9"],
            sampler="grid",
            pruner="asha",
            seed=1,
            workers=1,
            scheduler=cluster.address,
        ),
        listener=events.append,
    )
    by_rate = {trial.params["learning_rate"]: trial for trial in record.trials}
    assert by_rate[0.01].state == "complete"
    assert by_rate[1e-9].state == "pruned"
    assert by_rate[1e-9].reason == "Pruned after epoch 1 of fold 1."
    assert record.best.params == {"learning_rate": 0.01}
    assert {"trials", "trial 0", "trial 1"} <= {event.phase for event in events}


@contextlib.contextmanager
def once_built(counting: Path, count: int, act: Callable[[], None]) -> Iterator[None]:
    """Have something happen, meanwhile, as soon as so many models were built."""

    def wait() -> None:
        until = time.monotonic() + _LONGEST_S
        while len(built(counting)) < count and time.monotonic() < until:
            time.sleep(0.05)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_the_trial_of_a_killed_worker_runs_again_once(
    cluster: Cluster, workspace: Path, counting: Path
):
    cluster.add_worker("doomed")
    cluster.wait_for_worker("doomed")  # else the others may carry out all trials
    config = SearchConfig(
        **{**TINY, "architecture": f"{counting}:build"},
        epochs=1,
        space=["units=4,5,6"],
        sampler="grid",
        workers=3,
        scheduler=cluster.address,
    )
    with once_built(counting, 3, lambda: cluster.kill_worker("doomed")):
        record = search(config)
    assert sorted(trial.params["units"] for trial in record.trials) == [4, 5, 6]
    assert [trial.state for trial in record.trials] == ["complete"] * 3
    assert record.interrupted == ()
    *trials, refitted = built(counting)
    assert refitted == str(record.best.params["units"])
    assert sorted(Counter(trials).values()) == [1, 1, 2]


def test_a_cancelled_search_leaves_nothing_running_on_the_workers(
    cluster: Cluster, workspace: Path, counting: Path
):
    config = SearchConfig(
        **{**TINY, "architecture": f"{counting}:build"},
        epochs=500,
        space=["units=4,5"],
        workers=2,
        scheduler=cluster.address,
    )
    with pytest.raises(CancelledError):
        search(config, cancelled=lambda: len(built(counting)) == 2)
    until = time.monotonic() + 60
    # The nursery stays; whatever it has forked is ended.
    while any(len(cluster.children(name)) > 1 for name in ("one", "two")):
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_search_that_has_lost_its_scheduler_goes_on_when_it_is_asked_again(
    cluster: Cluster, workspace: Path, counting: Path
):
    config = SearchConfig(
        **{**TINY, "architecture": f"{counting}:build"},
        epochs=1,
        space=["units=4,5"],
        sampler="grid",
        workers=1,
        scheduler=cluster.address,
    )
    with (
        once_built(counting, 2, cluster.kill_scheduler),
        pytest.raises(WorkError, match=r"does not answer any more\. .* run the same command again"),
    ):
        search(config)
    cluster.start_scheduler()
    cluster.add_worker("another")
    record = search(config)
    assert sorted(trial.params["units"] for trial in record.trials) == [4, 5]
    assert [trial.state for trial in record.trials] == ["complete"] * 2
    first, second, again, refitted = built(counting)
    assert (again, {first, second}) == (second, {"4", "5"})
    assert refitted == str(record.best.params["units"])
