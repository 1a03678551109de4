"""The queue against what is known of it in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agiwb.planning.measuring import find_pace, fit_service
from agiwb.planning.queueing import Pace, Service, run_queue
from tests.planning.measured import measurement


def mean_wait(service_s: float, rate: float) -> float:
    """The formula of F. Pollaczek and A. Khinchine for service times that are all equal."""
    load = rate * service_s
    return load * service_s / (2 * (1 - load))


@pytest.mark.parametrize("load", [0.2, 0.5, 0.8])
def test_without_merging_it_is_the_formula_of_pollaczek_and_khinchine(load):
    service = Service(0.0, 0.002)
    queue = run_queue(service, load / 0.002, requests=400_000)
    waited = queue.seconds.mean() - 0.002
    assert waited == pytest.approx(mean_wait(0.002, load / 0.002), rel=0.05)
    assert queue.busy == pytest.approx(load, rel=0.02)
    assert queue.requests_a_run == 1


def test_whoever_comes_while_the_machine_stands_still_waits_until_it_goes_on():
    thirds = tuple(np.linspace(0, 1, 4))
    still = Pace(0.1, thirds, (0.0, 0.5, 0.7, 1.0))
    moments = np.array([0.0, 0.05, 0.06, 0.07, 0.1, 0.25])
    third = 0.1 / 3
    expected = [0, third, 1.5 * third, 2 * third, 0.1, 0.2 + third]
    assert still.work_by(moments) == pytest.approx(expected)
    assert still.time_of(still.work_by(moments)) == pytest.approx(moments)
    # A stop of 10 ms in each 100: a tenth of the requests waits 5 ms on average, no other waits.
    stops = Pace(0.1, (0.0, 1 - 1e-7, 1.0), (0.0, 0.9, 1.0))
    queue = run_queue(Service(0.0, 1e-6, pace=stops), 1000, requests=400_000)
    assert queue.seconds.mean() == pytest.approx(0.1 * 0.005, rel=0.05)
    assert np.percentile(queue.seconds, 99) == pytest.approx(0.009, rel=0.05)


def test_an_uneven_pace_costs_no_capacity_but_makes_all_wait_longer():
    even = Service(0.0, 0.002)
    slow_for_a_second = Pace(3.0, (0.0, 0.8, 1.0), (0.0, 2 / 3, 1.0))
    uneven = replace(even, pace=slow_for_a_second)
    assert uneven.capacity == even.capacity
    assert run_queue(uneven, 400).seconds.mean() > 2 * run_queue(even, 400).seconds.mean()


def test_a_run_after_a_pause_takes_longer():
    seldom = run_queue(Service(0.001, 0.0, pause_s=0.002), 1.0, requests=1000)
    assert np.median(seldom.seconds) == pytest.approx(0.003)
    never_idle = run_queue(Service(0.001, 0.0, pause_s=0.002), 990.0)
    assert never_idle.busy < 1.02 * run_queue(Service(0.001, 0.0), 990.0).busy


def test_merging_answers_what_a_server_of_lone_requests_could_not():
    service = Service(100e-6, 50e-6, most=64)
    assert 12_000 * service.lone_s > 1
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


def test_a_service_is_what_was_measured_at_the_slowness_and_pace_of_the_machine():
    measured = measurement(
        slowness=1.5, pause_us=20.0, pace_s=2.0, pace=[(0.0, 0.0), (0.5, 0.4), (1.0, 1.0)]
    )
    service = measured.service(1)
    assert service.lone_s == pytest.approx(1.5 * 150e-6)
    assert service.pause_s == pytest.approx(1.5 * 20e-6)
    assert service.pace == Pace(2.0, (0.0, 0.5, 1.0), (0.0, 0.4, 1.0))


def test_a_pace_is_when_requests_were_answered_and_exact_where_the_server_stood_still():
    done, reached = zip(*find_pace(np.array([1.0, 2.0, 3.0, 8.0])), strict=True)
    assert done == (0, 0.25, 0.5, 0.75, 1)
    assert reached == (0, 1 / 8, 2 / 8, 3 / 8, 1)
    times = np.arange(1, 100_001) / 1e4
    times[54_321:] += 0.5
    many = find_pace(times)
    assert len(many) < 2002
    assert many[-1] == (1.0, 1.0)
    assert (0.54321, round(times[54_320] / times[-1], 7)) in many
    assert (0.54322, round(times[54_321] / times[-1], 7)) in many
