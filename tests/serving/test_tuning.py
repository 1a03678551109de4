from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from agiwb.errors import ConfigError, InputError
from agiwb.serving.batching import BatchingParameters, read_batching_parameters
from agiwb.serving.batching_choice import choose_batching
from agiwb.serving.load_test import LoadTest
from agiwb.serving.servables.loader import load_servable
from agiwb.serving.serve import ServeConfig
from agiwb.serving.settings import ServerSettings
from agiwb.serving.tuning import BatchTiming, Trial, candidates, time_batches, tune
from agiwb.serving.versions import Version
from tests.serving.loaded_server import serving
from tests.serving.onnx_models import (
    write_centred,
    write_half_plus_two,
    write_mlp,
    write_one_at_a_time,
)

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


# Choosing for a server that is about to start.


def choose(tmp_path, start, **settings):
    told = []
    found = choose_batching(
        ServerSettings(model_base_path=tmp_path / "m", log_folder=tmp_path / "log", **settings),
        20.0,
        start=start,
        chosen_file=tmp_path / "logs" / "m.batching.txt",
        seconds=0.2,
        tell=told.append,
    )
    return found, "\n".join(told)


@pytest.mark.slow
def test_the_winners_parameters_are_written_and_switched_on(tmp_path):
    write_mlp(tmp_path / "m" / "1")
    trials = []

    def start(settings):
        trials.append(settings)
        return Server(0.0 if settings.enable_batching else 0.02)

    found, told = choose(tmp_path, start)
    assert found.enable_batching
    assert found.log_folder == tmp_path / "log"
    chosen = tmp_path / "logs" / "m.batching.txt"
    assert found.batching_parameters_file == chosen
    wanted = read_batching_parameters(chosen)
    assert f"Chosen: {Trial(wanted, None)}; the parameters are in {chosen}" in told
    assert told.count("<- best") == 1
    assert {trial.log_folder for trial in trials} == {None}
    assert {(trial.rest_api_port, trial.model_version) for trial in trials} == {(0, 1)}


@pytest.mark.slow
def test_without_batching_nothing_is_written_and_what_was_is_removed(tmp_path):
    write_mlp(tmp_path / "m" / "1")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "m.batching.txt").write_text("of another day")
    found, told = choose(tmp_path, lambda trial: Server(0.02 if trial.enable_batching else 0.0))
    assert not found.enable_batching
    assert "Chosen: without waiting" in told
    assert list((tmp_path / "logs").iterdir()) == []


@pytest.mark.slow
def test_a_model_whose_requests_cannot_be_merged_is_only_measured(tmp_path):
    write_centred(tmp_path / "m" / "1")
    found, told = choose(tmp_path, lambda _: Server(0.0))
    assert "cannot share batches" in told
    assert "Trying 1 settings" in told
    assert not found.enable_batching


@pytest.mark.parametrize(
    "also",
    [{"model_config_file": "models.config"}, {"enable_batching": True},
     {"batching_parameters_file": "batching.txt"}],
)  # fmt: skip
def test_tuning_contradicts_what_it_would_find(also):
    with pytest.raises(ConfigError, match="tune"):
        ServeConfig(tune=True, **also)
    with pytest.raises(ConfigError, match="latency_budget_ms"):
        ServeConfig(tune=True, latency_budget_ms=0)


@pytest.mark.slow
def test_the_command_line_tunes_real_servers_and_serves_with_what_won(tmp_path):
    write_half_plus_two(tmp_path / "m" / "1")
    words = ["--model-base-path", str(tmp_path / "m"), "--rest-api-port", "0"]
    code = (
        "import sys; from agiwb.serving import batching_choice; "
        "batching_choice._SECONDS = 0.3; from agiwb.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, "serve", "--tune", "--latency-budget-ms", "50", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "AGIWB_WORKSPACE": str(tmp_path / "workspace")},
    ) as command:
        told = []
        for line in command.stderr:
            told.append(line)
            if "Ctrl-C" in line:
                break
        command.send_signal(signal.SIGINT)
        told.append(command.communicate(timeout=120)[1])
    text = "".join(told)
    assert command.returncode == 0, text
    assert "without waiting" in text
    assert text.count("<- best") == 1
    assert "Serving http://127.0.0.1:" in text
    logs = tmp_path / "workspace" / "serving" / ".logs"
    assert (logs / "m.batching.txt").exists() == ("Chosen: without waiting" not in text)
    assert not (tmp_path / "workspace" / "predictions").exists()
