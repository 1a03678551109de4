"""The counts of several workers as one."""

from __future__ import annotations

import json

from prometheus_client.parser import text_string_to_metric_families

from agiwb.serving.metrics.metrics import Metrics
from agiwb.serving.servables.states import State
from agiwb.serving.status import Code
from agiwb.serving.workers.numbers import add_up, lasting, numbers_of
from agiwb.serving.workers.summed_metrics import SummedMetrics


def counted(requests, seconds=0.01, state=State.AVAILABLE):
    metrics = Metrics()
    metrics.enter()
    metrics.version_state("m", 1, state)
    metrics.loaded("m", "ok", seconds)
    for _ in range(requests):
        metrics.observe_request("m", 1, "s", "tfs_rest", Code.OK, seconds, 1)
    return json.loads(json.dumps(numbers_of(metrics)))


def samples(several):
    told = {"numbers": several, "up": 2, "losses": 3, "processes": {"0": 1, "supervisor": 1}}
    families = text_string_to_metric_families(SummedMetrics(told).render().decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def value(found, name, **labels):
    matching = [
        number
        for (sample, known), number in found.items()
        if sample == name and labels.items() <= dict(known).items()
    ]
    assert len(matching) == 1, (name, labels, matching)
    return matching[0]


def test_counters_histograms_and_requests_in_flight_are_summed():
    found = samples([counted(2), counted(3, seconds=0.2)])
    assert value(found, "agiwb_requests_total") == 5
    assert value(found, "agiwb_request_seconds_count") == 5
    assert value(found, "agiwb_request_seconds_bucket", le="0.01") == 2
    assert value(found, "agiwb_request_seconds_bucket", le="+Inf") == 5
    assert abs(value(found, "agiwb_request_seconds_sum") - 0.62) < 1e-9
    assert value(found, "agiwb_requests_in_flight") == 2
    assert value(found, "agiwb_model_loads_total") == 2
    assert value(found, "agiwb_workers") == 2
    assert value(found, "agiwb_worker_losses_total") == 3


def test_states_and_durations_are_not_summed():
    found = samples([counted(1, seconds=0.1), counted(1, seconds=0.3)])
    assert value(found, "agiwb_model_version_state", state="AVAILABLE") == 1
    assert value(found, "agiwb_model_load_seconds") == 0.3


def test_each_process_has_its_own_numbers():
    found = samples([counted(1)])
    for worker in ("0", "supervisor"):
        assert value(found, "process_resident_memory_bytes", worker=worker) > 0


def test_of_a_worker_that_died_counters_stay_and_gauges_go():
    dead = lasting(counted(4, state=State.LOADING))
    found = samples([dead, counted(1)])
    assert value(found, "agiwb_requests_total") == 5
    assert value(found, "agiwb_requests_in_flight") == 1
    assert value(found, "agiwb_model_version_state", state="LOADING") == 0


def test_sums_can_be_summed_again():
    one, two, three = counted(1), counted(2), counted(3)
    assert add_up([add_up([one, two]), three]) == add_up([one, two, three])


def test_the_summed_tensorflow_exposition_has_all_requests():
    told = {"numbers": [counted(2), counted(3)], "up": 2, "losses": 0, "processes": {}}
    text = SummedMetrics(told).render_tensorflow().decode()
    assert ':tensorflow:serving:request_count{model_name="m",status="OK"} 5' in text
