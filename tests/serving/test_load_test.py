from __future__ import annotations

import itertools
import math
import threading
import time

import numpy as np
import pytest

from agiwb.errors import InputError, ServingError
from agiwb.serving.load_test import LoadTest, load_test
from tests.serving.loaded_server import serving

QUICK = {"seconds": 1.0, "warm_up_s": 0.0, "timeout_s": 3.0}


def test_a_closed_loop_sends_the_requests_it_was_told():
    seen = []

    def answer(body, headers):
        seen.append((body, headers["X-API-Key"], headers["Content-Type"]))
        return 200, "{}"

    with serving(answer) as address:
        result = load_test(
            f"{address}/v1/models/m:predict", b'{"a": "\xc3\xa9"}', concurrency=3, requests=50,
            headers={"X-API-Key": "k"}, seconds=20, warm_up_s=0,
        )  # fmt: skip
    assert set(seen) == {(b'{"a": "\xc3\xa9"}', "k", "application/json")}
    assert len(seen) == result.requests == len(result.latencies_ms) == 50
    assert result.failures == {}
    assert 0 < result.p50_ms <= result.p90_ms <= result.p99_ms <= result.max_ms
    assert result.requests_per_s == pytest.approx(50 / result.seconds)
    assert "no failures" in str(result)


def test_concurrency_is_the_number_of_requests_under_way():
    under_way, most, lock = 0, 0, threading.Lock()

    def answer(body, headers):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.02)
        with lock:
            under_way -= 1
        return 200, "{}"

    with serving(answer) as address:
        result = load_test(address, b"{}", concurrency=4, requests=40, seconds=20, warm_up_s=0)
    assert most == 4
    assert result.p50_ms >= 20


def test_failures_are_counted_by_what_happened():
    number = itertools.count()

    def answer(body, headers):
        return ((200, "{}"), (503, "busy"), (None, ""), (400, "no"))[next(number) % 4]

    with serving(answer) as address:
        result = load_test(address, b"{}", concurrency=1, requests=40, seconds=20, warm_up_s=0)
    assert result.failures == {"400": 10, "503": 10, "connection lost": 10}
    assert (result.requests, len(result.latencies_ms), result.failed) == (40, 10, 30)
    assert "10 x 503" in str(result)


def test_an_open_loop_keeps_its_rate_and_charges_a_stall_to_all_who_waited():
    begun = time.monotonic()
    stalled = threading.Lock()

    def answer(body, headers):
        with stalled:
            if not answered.is_set() and time.monotonic() - begun > 1.0:
                answered.set()
                time.sleep(0.5)
        return 200, "{}"

    answered = threading.Event()
    with serving(answer) as address:
        result = load_test(
            address, b"{}", concurrency=2, seconds=3.0, rate=100, warm_up_s=0, timeout_s=5
        )
    assert result.requests == 300
    # Some fifty requests were due during the stall, though only two were under way.
    assert np.sum(result.latencies_ms > 100) > 25
    assert result.percentile_ms(95) > 100
    assert result.max_ms > 450


def test_what_is_never_answered_is_a_timeout():
    gate = threading.Event()

    def answer(body, headers):
        gate.wait(60)
        return 200, "{}"

    with serving(answer) as address:
        result = load_test(
            address, b"{}", concurrency=2, seconds=0.2, rate=50, warm_up_s=0, timeout_s=0.3
        )
        gate.set()
    assert result.failures == {"timeout": 10}
    assert result.requests_per_s == 0
    assert math.isnan(result.p99_ms)


def test_the_warm_up_is_not_counted():
    seen = []

    def answer(body, headers):
        seen.append(body)
        return 200, "{}"

    with serving(answer) as address:
        result = load_test(address, b"{}", concurrency=1, requests=5, warm_up_s=0.3, seconds=20)
    assert result.requests == 5
    assert len(seen) > 5


def test_nobody_listening_is_told():
    with serving(lambda *_: (200, "{}")) as address:
        pass
    with pytest.raises(ServingError, match="failed"):
        load_test(address, b"{}", **QUICK)


@pytest.mark.parametrize(
    "wrong", [{"concurrency": 0}, {"seconds": 0}, {"rate": 0}, {"rate": -1.0}, {"requests": 0}]
)
def test_numbers_out_of_bounds_are_refused(wrong):
    with pytest.raises(InputError, match="positive"):
        load_test("http://127.0.0.1:1/", b"{}", **{**QUICK, **wrong})


def test_other_addresses_are_refused():
    with pytest.raises(InputError, match="not an address"):
        load_test("ftp://host/x", b"{}")


def test_the_percentiles_are_those_of_the_latencies():
    result = LoadTest("u", 1, None, 2.0, 101, {}, np.arange(101.0))
    assert (result.p50_ms, result.p90_ms, result.p99_ms, result.max_ms) == (50, 90, 99, 100)
    assert result.requests_per_s == 50.5
