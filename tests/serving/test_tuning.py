from __future__ import annotations

import contextlib
import math
import threading
import time

import numpy as np
import pytest
from serving.loaded_server import serving
from serving.onnx_models import write_mlp, write_one_at_a_time

from agiwb.errors import InputError
from agiwb.serving.batching import BatchingParameters
from agiwb.serving.load_test import LoadTest
from agiwb.serving.servables.loader import load_servable
from agiwb.serving.tuning import BatchTiming, Trial, candidates, time_batches, tune
from agiwb.serving.versions import Version

PLAIN_TIMINGS = (BatchTiming(1, 1.0), BatchTiming(8, 2.0), BatchTiming(32, 8.0))


@pytest.fixture
def loaded(tmp_path):
    def load(write):
        folder = write(tmp_path / "1")
        return load_servable("m", Version(1, folder))

    return load


def test_the_model_alone_is_timed_by_batch_size(loaded):
    servable = loaded(write_mlp)
    timings = time_batches(servable, {"features": np.zeros((1, 64), np.float32)}, (1, 8, 64))
    assert [timing.rows for timing in timings] == [1, 8, 64]
    assert all(timing.ms > 0 for timing in timings)
    assert timings[1].rows_per_s == pytest.approx(8000 / timings[1].ms)


def test_sizes_the_model_does_not_take_are_left_out(loaded):
    servable = loaded(write_one_at_a_time)
    timings = time_batches(servable, {"x": np.zeros((1, 2, 2), np.float32)}, (1, 2))
    assert [timing.rows for timing in timings] == [1]


def test_candidates_stop_where_batches_pay_no_more_or_the_budget_ends():
    def sizes(budget_ms, concurrency=64):
        found = candidates(PLAIN_TIMINGS, budget_ms, concurrency)
        assert found[0] is None
        return [(c.max_batch_size, c.batch_timeout_micros) for c in found[1:]]

    assert sizes(100) == [(8, 0), (8, 2000), (32, 0), (32, 8000)]
    assert sizes(10) == [(8, 0), (8, 2000)]
    assert sizes(5) == [(8, 0), (8, 500)]
    assert sizes(100, concurrency=4) == []
    assert sizes(1) == []


class Server:
    """One whose requests take turns of some milliseconds unless they are batched."""

    def __init__(self, turn_s, status=200):
        self._stack = contextlib.ExitStack()
        lock = threading.Lock()

        def answer(body, headers):
            with lock if turn_s else contextlib.nullcontext():
                time.sleep(turn_s)
            return status, "{}"

        self.url = self._stack.enter_context(serving(answer))
        self.stopped = False

    def stop(self):
        self.stopped = True
        self._stack.close()


def test_the_setting_with_most_throughput_within_the_budget_is_best():
    started = []

    def start(batching):
        started.append(Server(0.03 if batching is None else 0.0))
        return started[-1]

    batching = BatchingParameters(max_batch_size=8)
    told = []
    found = tune(
        start, b"{}", 5_000, timings=PLAIN_TIMINGS, concurrency=3, seconds=0.5,
        settings=(None, batching), on_trial=told.append,
    )  # fmt: skip
    assert found.best.batching is batching
    assert found.within_budget
    assert tuple(told) == found.trials
    assert [server.stopped for server in started] == [True, True]
    assert "up to 8 rows, 0 ms" in str(found)
    assert str(found).count("<- best") == 1


def test_a_setting_that_fails_requests_is_not_best():
    def start(batching):
        return Server(0.02) if batching is None else Server(0.0, status=503)

    found = tune(
        start, b"{}", 5_000, timings=(), concurrency=2, seconds=0.3,
        settings=(BatchingParameters(), None),
    )  # fmt: skip
    assert found.best.batching is None


def test_a_budget_nobody_keeps_is_told():
    found = tune(
        lambda _: Server(0.02), b"{}", 1.0, timings=(), concurrency=2, seconds=0.3,
        settings=(None,),
    )  # fmt: skip
    assert not found.within_budget
    assert "Nothing kept to 1 ms" in str(found)


def test_a_server_is_stopped_though_its_trial_fails():
    server = Server(0.0)
    server.url = "ftp://wrong"
    with pytest.raises(InputError):
        tune(lambda _: server, b"{}", 10, timings=(), settings=(None,))
    assert server.stopped


@pytest.mark.parametrize("wrong", [{"budget_ms": 0}, {"settings": ()}])
def test_what_cannot_be_tuned_is_refused(wrong):
    with pytest.raises(InputError):
        tune(lambda _: Server(0.0), b"{}", **{"budget_ms": 10, "timings": (), **wrong})


def test_a_trial_that_answered_nothing_is_not_within():
    load = LoadTest("u", 1, None, 1.0, 0, {}, np.zeros(0))
    assert math.isnan(load.p99_ms)
    assert not Trial(None, load).within(10)
