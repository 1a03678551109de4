"""Both expositions of the server's numbers, as their readers see them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agiwb.serving.metrics.metrics import Metrics
from agiwb.serving.servables.states import State
from agiwb.serving.status import Code


@pytest.fixture
def metrics() -> Metrics:
    counted = Metrics()
    for seconds in (0.00001, 0.00002, 0.4):
        counted.observe_request("m", 3, "serving_default", "tfs_rest", Code.OK, seconds, 2)
    counted.observe_request("m", 3, "", "tfs_grpc", Code.INVALID_ARGUMENT, 0.1, 1)
    counted.observe_request("m", 3, "s", "tfs_grpc", Code.OK, 0.1, 5, "Classify")
    counted.observe_run("m", 3, 0.0002, 4)
    counted.loaded("m", "ok", 1.5)
    counted.refused("auth")
    counted.version_state("m", 3, State.AVAILABLE)
    counted.follow(SimpleNamespace(logged=Counter(m=7), lost=Counter({("m", "disk"): 2})))
    counted.rollout_share("m", 3, 0.25)
    counted.rolled_back("m", "errors")
    counted.shadow_compared("m", 4, disagreements=1, rows=3)
    counted.warmed("/models/m/3", 0.5, 10)
    counted.ran_batch("pool", [0.0002, 0.0004])
    counted.enter()
    return counted


def _samples(text: bytes) -> dict[str, float]:
    return {
        f"{sample.name}{dict(sorted(sample.labels.items())) or ''}": sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_the_clean_names_hold_what_was_counted(metrics):
    found = _samples(metrics.render())
    of_m3 = "{'model': 'm', 'version': '3'}"
    assert found["agiwb_requests_in_flight"] == 1
    assert found[f"agiwb_runtime_seconds_count{of_m3}"] == 1
    assert found["agiwb_batch_rows_sum{'model': 'm'}"] == 4
    assert found["agiwb_predictions_logged_total{'model': 'm'}"] == 7
    assert found["agiwb_predictions_lost_total{'model': 'm', 'reason': 'disk'}"] == 2
    assert found["agiwb_shadow_disagreements_total{'model': 'm', 'version': '4'}"] == 1
    assert found[f"agiwb_rollout_share{of_m3}"] == 0.25
    seconds = "agiwb_request_seconds_bucket{'le': '%s', 'model': 'm', 'protocol': 'tfs_rest'"
    assert found[seconds % "0.0001" + ", 'version': '3'}"] == 2
    assert found[seconds % "+Inf" + ", 'version': '3'}"] == 3
    requests = (
        "agiwb_requests_total{'code': '%s', 'model': 'm', 'protocol': '%s', "
        "'signature': '%s', 'version': '3'}"
    )
    assert found[requests % ("OK", "tfs_rest", "serving_default")] == 3
    assert found[requests % ("INVALID_ARGUMENT", "tfs_grpc", "")] == 1
    assert any(name.startswith("process_") for name in found)


def test_promtool_finds_no_fault_with_the_clean_names(metrics):
    promtool = shutil.which("promtool")
    if promtool is None:
        if os.environ.get("CI"):
            pytest.fail("promtool is missing: apt-get install prometheus")
        pytest.skip("promtool is not installed")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=metrics.render(), capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_tensorflows_names_labels_and_units(metrics):
    lines = metrics.render_tensorflow().decode().splitlines()
    assert "# TYPE :tensorflow:serving:request_count counter" in lines
    assert ':tensorflow:serving:request_count{model_name="m",status="OK"} 4' in lines
    assert ':tensorflow:serving:request_count{model_name="m",status="INVALID_ARGUMENT"} 1' in lines
    latency = ':tensorflow:serving:request_latency_bucket{model_name="m",API="predict",'
    buckets = [line for line in lines if line.startswith(latency)]
    assert len(buckets) == 34  # 33 bounds and infinity
    assert [line.partition("le=")[2] for line in buckets[:3]] == ['"10"} 1', '"18"} 1', '"32.4"} 2']
    assert buckets[-1].endswith('entrypoint="REST",le="+Inf"} 3')
    total = 'latency_sum{model_name="m",API="predict",entrypoint="REST"} 400030'
    assert f":tensorflow:serving:request_{total}" in lines
    # What failed is counted, but not measured.
    assert 'request_latency_count{model_name="m",API="Predict",entrypoint="GRPC"}' not in str(lines)
    runtime = 'runtime_latency_sum{model_name="m",API="Predict",runtime="TF1"} 200'
    assert f":tensorflow:serving:{runtime}" in lines
    assert ':tensorflow:serving:request_example_count_total{model="m"} 5' in lines
    assert ":tensorflow:serving:batching_session:wrapped_run_count{} 1" in lines
    waited = 'batching_session:queuing_latency_sum{thread_pool_name="pool"} 600'
    assert f":tensorflow:serving:{waited}" in lines
    logged = 'request_log_count{model_name="m",status_code='
    assert f':tensorflow:serving:{logged}"OK"}} 7' in lines
    assert f':tensorflow:serving:{logged}"UNAVAILABLE"}} 2' in lines
    assert not [line for line in lines if line.startswith("# HELP")]
    assert list(text_string_to_metric_families("\n".join(lines)))


def test_names_are_escaped():
    metrics = Metrics()
    metrics.observe_request('a"\\\nb', 1, "", "tfs_rest", Code.OK, 0.1, 1)
    for text in (metrics.render(), metrics.render_tensorflow()):
        found = [
            sample.labels
            for family in text_string_to_metric_families(text.decode())
            for sample in family.samples
        ]
        assert 'a"\\\nb' in {
            value for labels in found for key, value in labels.items() if key.startswith("model")
        }


def test_a_version_has_one_state_and_none_once_it_has_ended():
    metrics = Metrics()
    metrics.version_state("m", 1, State.LOADING)
    metrics.version_state("m", 1, State.AVAILABLE)
    states = metrics.values()["agiwb_model_version_state"]
    assert [labels for labels, value in states.items() if value] == [("m", "1", "AVAILABLE")]
    assert len(states) == len(State)
    metrics.version_state("m", 1, State.END)
    assert metrics.values()["agiwb_model_version_state"] == {}


def test_a_followed_logs_own_counters_are_told():
    metrics = Metrics()
    metrics.follow(SimpleNamespace(logged=Counter(m=5), lost=Counter({("m", "full"): 2})))
    assert metrics.values()["agiwb_predictions_logged_total"] == {("m",): 5}
    assert metrics.values()["agiwb_predictions_lost_total"] == {("m", "full"): 2}
    assert metrics.values()["agiwb_predictions_logged_total"] == {("m",): 5}  # not twice


def test_no_request_is_lost_among_threads():
    metrics = Metrics()

    def observe(_: int) -> None:
        for _ in range(500):
            metrics.observe_request("m", 1, "", "tfs_rest", Code.OK, 0.001, 1)
            metrics.observe_run("m", 1, 0.001, 1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(observe, range(8)))
    assert sum(metrics.values()["agiwb_requests_total"].values()) == 4000
    assert metrics.values()["request_count"] == {("m", "OK"): 4000}
    counts = {
        name: [cumulative[-1] for _, cumulative, _ in by_labels.values()]
        for name, by_labels in metrics.histograms().items()
    }
    assert set(map(tuple, counts.values())) == {(4000,)}
