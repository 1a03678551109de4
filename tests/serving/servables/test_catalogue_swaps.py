from __future__ import annotations

import shutil
import sys
import threading

import pytest

from agiwb.serving.exchange import ModelSpec
from agiwb.serving.servables.catalogue import ModelConfig, State
from agiwb.serving.servables.harness import Harness, Lease, LoadedVersion
from agiwb.serving.versions import Version
from tests.serving.servables.watched import (
    WatchedLoader,
    add_version,
    answer,
    eventually,
    running,
    states,
)

SWAPS = 20


@pytest.fixture
def _frequent_switches():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_frequent_switches")
def test_no_request_fails_and_nothing_is_used_after_close_over_many_swaps(tmp_path):
    add_version(tmp_path, 1)
    load = WatchedLoader()
    failures, answered, wrong = [], [], []
    ending = threading.Event()

    def ask(catalogue):
        count = 0
        while not ending.is_set():
            try:
                number, value = answer(catalogue, ModelSpec("m"))
            except Exception as error:  # noqa: BLE001  any of them is a failed request
                failures.append(error)
                continue
            count += 1
            if value != 1.0 + number:
                wrong.append((number, value))
        answered.append(count)

    with running(load, ModelConfig("m", tmp_path), poll_s=0.005) as catalogue:
        assert catalogue.wait_until_ready(60)
        threads = [threading.Thread(target=ask, args=(catalogue,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(2, SWAPS + 2):
            add_version(tmp_path, number)
            swapped = eventually(lambda n=number: catalogue.available("m") == (n,))
            if not swapped:
                break
            shutil.rmtree(tmp_path / str(number - 1))
        ending.set()
        for thread in threads:
            thread.join(60)
        assert swapped
        assert eventually(
            lambda: list(states(catalogue).values()) == [State.AVAILABLE] + [State.END] * SWAPS
        )
    assert failures == []
    assert wrong == []
    assert sum(answered) > 10 * SWAPS
    assert [servable.closed for servable in load.servables] == [1] * (SWAPS + 1)
    assert sum(servable.used_after_close for servable in load.servables) == 0


class _Counter:
    """A servable that is only ever counted: the race is all there is to it."""

    def __init__(self):
        self.closed = False

    def close(self):
        self.closed = True


@pytest.mark.usefixtures("_frequent_switches")
def test_leases_and_thousands_of_quiescings_never_overlap(tmp_path):
    current: list[Harness] = []
    broken = []
    ending = threading.Event()

    def make(number):
        harness = Harness("m", Version(number, tmp_path), (), lambda _: None)
        harness._loaded = LoadedVersion("m", number, tmp_path, _Counter())
        return harness

    def use():
        while not ending.is_set():
            with Lease(lambda *_: current[0], ModelSpec("m")) as version:
                if version.servable.closed:
                    broken.append("given after close")
                for _ in range(version.number % 7):
                    pass
                if version.servable.closed:
                    broken.append("closed while leased")

    current.append(make(0))
    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 3001):
        old, current[0] = current[0], make(number)
        old.quiesce()
        old.wait_until_idle()
        old.unload()
    ending.set()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert broken == []
    assert current[0]._leases == set()
