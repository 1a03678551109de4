from __future__ import annotations

import pytest

from agiwb.errors import WorkError
from agiwb.planning.sizing import Predictor, size, unmerged_wait_ms
from tests.planning.measured import measurement

DEMAND = {"requests_per_s": 50_000.0, "p99_ms": 3.0, "rows": 1, "headroom": 0.3}


def test_it_is_the_fewest_that_keep_to_both_bounds():
    measured = measurement()
    sizing = size(measured, **DEMAND)
    chosen = sizing.chosen
    assert chosen.p99_ms <= 3.0
    assert chosen.load <= 0.7
    fewer = Predictor(measured, measured.service(1)).predict(50_000.0, chosen.replicas - 1)
    assert fewer.p99_ms > 3.0 or fewer.load > 0.7
    assert sizing.cores == chosen.replicas
    assert 0 < sizing.cores_busy < sizing.cores
    assert [one.p99_ms for one in sizing.by_load] == sorted(one.p99_ms for one in sizing.by_load)
    assert chosen.replicas in [one.replicas for one in sizing.by_replicas]


def test_a_tighter_bar_and_more_headroom_take_more():
    loose = size(measurement(), **DEMAND).chosen.replicas
    assert size(measurement(), **{**DEMAND, "p99_ms": 0.9}).chosen.replicas > loose
    assert size(measurement(), **{**DEMAND, "headroom": 0.8}).chosen.replicas > loose


def test_two_workers_a_replica_take_half_the_replicas():
    alone = size(measurement(), **DEMAND)
    double = size(measurement(workers=2), **DEMAND)
    assert double.chosen.replicas == -(-alone.chosen.replicas // 2)
    assert double.cpu_request == 2


def test_bytes_and_memory_follow_from_what_was_measured():
    sizing = size(measurement(), **DEMAND)
    assert sizing.log_gb_per_day == pytest.approx(50_000 * 86_400 * 500 / 1e9)
    assert sizing.parquet_gb_per_day == pytest.approx(sizing.log_gb_per_day / 5)
    assert sizing.mb_per_s == pytest.approx(30.0)
    assert sizing.memory_request_mib == 96  # 70 and 30 % more, in steps of 32


def test_a_bar_below_a_lone_request_is_refused_with_what_would_help():
    with pytest.raises(WorkError, match=r"finds nobody else takes 0\.[0-9]+ ms") as caught:
        size(measurement(), **{**DEMAND, "p99_ms": 0.3})
    assert "--payload binary" in str(caught.value)
    assert "agiwb sweep" in str(caught.value)


def test_batching_is_proposed_where_the_model_gains_by_it():
    slow = measurement(
        per_run_us=0.0,
        per_request_us=5_100.0,
        lone_ms=[6.0] * 101,
        rows_together=0,
        timings_ms={1: 5.0, 4: 6.0, 16: 10.0},
    )
    sizing = size(slow, **{**DEMAND, "requests_per_s": 2_000.0, "p99_ms": 100.0})
    assert sizing.batching is not None
    assert sizing.batching.replicas < sizing.chosen.replicas
    apart = slow.model_copy(update={"merges": False})
    assert size(apart, **{**DEMAND, "requests_per_s": 2_000.0, "p99_ms": 100.0}).batching is None


def test_the_formula_says_what_merging_saves():
    measured = measurement()
    chosen = size(measured, **{**DEMAND, "headroom": 0.9}).chosen
    assert unmerged_wait_ms(measured, 1, chosen) > chosen.wait_ms
