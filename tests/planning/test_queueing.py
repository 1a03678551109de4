"""The queue against what is known of it in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agiwb.planning.measuring import fit_service
from agiwb.planning.queueing import Service, mean_wait, run_queue
from tests.planning.measured import measurement


@pytest.mark.parametrize("load", [0.2, 0.5, 0.8])
def test_without_merging_it_is_the_formula_of_pollaczek_and_khinchine(load):
    service = Service(0.0, 0.002)
    queue = run_queue(service, load / 0.002, requests=400_000)
    waited = queue.seconds.mean() - 0.002
    assert waited == pytest.approx(mean_wait(0.002, load / 0.002), rel=0.05)
    assert queue.busy == pytest.approx(load, rel=0.02)
    assert queue.requests_a_run == 1


def test_times_that_vary_make_all_wait_longer_as_the_formula_says():
    assert mean_wait(1.0, 0.5, variation=1.0) == pytest.approx(1.0)  # M/M/1: load / (1 - load)
    assert mean_wait(1.0, 0.5) == pytest.approx(0.5)  # M/D/1: half of M/M/1
    assert mean_wait(1.0, 2.0) == math.inf
    multiples = (0.5, 0.5, 0.5, 2.5)
    queue = run_queue(Service(0.0, 0.002, variation=multiples), 250, requests=400_000)
    expected = mean_wait(0.002, 250, float(np.var(multiples)))
    assert queue.seconds.mean() - 0.002 == pytest.approx(expected, rel=0.05)


def test_merging_answers_what_a_server_of_lone_requests_could_not():
    service = Service(100e-6, 50e-6, most=64)
    assert mean_wait(service.lone_s, 12_000) == math.inf
    queue = run_queue(service, 12_000)
    assert queue.requests_a_run > 2
    assert queue.seconds.max() < 0.01
    assert service.capacity == pytest.approx(64 / 3300e-6)
    assert run_queue(service, 10).requests_a_run == pytest.approx(1, abs=0.01)


def test_more_load_waits_longer_and_is_answered_in_larger_batches():
    service = Service(100e-6, 50e-6, most=64)
    queues = [run_queue(service, load * service.capacity) for load in (0.1, 0.4, 0.7, 0.9)]
    assert all(np.diff([np.percentile(queue.seconds, 99) for queue in queues]) > 0)
    assert all(np.diff([queue.requests_a_run for queue in queues]) > 0)
    assert all(np.diff([queue.busy for queue in queues]) > 0)


def test_a_run_and_a_request_are_told_apart_by_how_many_share_a_run():
    points = measurement().points
    assert fit_service(points) == pytest.approx((100.0, 50.0))
    never_merged = [point.model_copy(update={"requests_per_run": 1.0}) for point in points]
    mean = np.mean([point.cpu_us_per_request for point in points])
    assert fit_service(never_merged) == pytest.approx((0.0, mean))


def test_a_server_that_idles_takes_longer_and_varies_as_a_lone_client_saw():
    service = measurement(idling=1.5).service(1)
    assert service.lone_s == pytest.approx(1.5 * 150e-6)
    assert np.mean(service.variation) == pytest.approx(1.0)
    assert max(service.variation) == pytest.approx(0.6 / np.mean([0.4] * 100 + [0.6]))
