"""Trying another version on a running endpoint, from Python, with real servers."""

from __future__ import annotations

import json
import time

import pytest

from agiwb.errors import InputError
from agiwb.monitoring.log import prediction_folder, read_predictions
from agiwb.serving.prediction_log.examples import examples_of
from agiwb.serving.serve import ServeConfig, serve
from tests.serving.onnx_models import make_artifact

pytestmark = pytest.mark.slow


@pytest.fixture
def endpoint(tmp_path, workspace):
    artifact = make_artifact(tmp_path / "first")
    config = ServeConfig(model=str(artifact), rest_api_port=0, request_log=tmp_path / "requests")
    with serve(config) as endpoint:
        yield endpoint


@pytest.fixture
def other(tmp_path):
    """Another version of the endpoint's model: its answers are 1 larger."""
    return str(make_artifact(tmp_path / "second", addend=3))


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def test_a_shadow_is_compared_and_answers_nobody(endpoint, other):
    assert endpoint.shadow(other) == 2
    assert endpoint.versions() == {1: "AVAILABLE", 2: "AVAILABLE"}
    assert {float(endpoint.predict([1.0])[0]) for _ in range(50)} == {2.5}
    until(lambda: endpoint.rollout()["comparison"]["requests_compared"] == 50)
    comparison = endpoint.rollout()["comparison"]
    assert comparison["mean_absolute_difference"] == pytest.approx(1.0)
    low, high = comparison["latency_ratio_interval"]
    assert low < comparison["latency_ratio"] < high
    assert 'agiwb_shadow_compared_total{model="half_plus_two",version="2"} 50.0' in (
        endpoint.metrics()
    )


def test_a_canary_answers_its_share_is_promoted_and_rolled_back(endpoint, other):
    assert endpoint.canary(other, share=0.5) == 2
    answers = [float(endpoint.predict([1.0])[0]) for _ in range(100)]
    assert set(answers) == {2.5, 3.5}
    assert 20 < answers.count(3.5) < 80  # outside by chance once in 10^9
    assert endpoint.promote() == 2
    assert endpoint.predict([1.0]).tolist() == [3.5]
    assert endpoint.predict([1.0], version=1).tolist() == [2.5]
    endpoint.roll_back()
    assert endpoint.predict([1.0]).tolist() == [2.5]
    actions = [change["action"] for change in endpoint.rollout()["ledger"]]
    assert actions[-2:] == ["promote", "roll_back"]


def test_what_cannot_be_tried_is_told(endpoint, workspace):
    with pytest.raises(InputError, match="Version 7"):
        endpoint.shadow(7)
    broken = workspace / "serving" / "half_plus_two" / "3"
    broken.mkdir()
    (broken / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(InputError, match="Version 3 cannot be loaded"):
        endpoint.canary(3)
    with pytest.raises(InputError):
        endpoint.roll_back()
    assert endpoint.predict([1.0]).tolist() == [2.5]


def test_every_request_is_a_line_of_the_request_log(endpoint, tmp_path):
    endpoint.predict([1.0, 2.0])
    with pytest.raises(InputError):
        endpoint.predict([1.0], version=9)
    lines = tmp_path / "requests"
    until(lambda: len(lines.read_text().splitlines()) == 2)
    good, bad = map(json.loads, lines.read_text().splitlines())
    assert (good["code"], good["rows"], good["model"]) == ("OK", 2, "half_plus_two")
    assert (bad["code"], bad["version"]) == ("NOT_FOUND", 0)


def test_a_load_test_counts_and_times_the_answers(endpoint):
    result = endpoint.load_test([1.0], seconds=0.5, concurrency=2)
    assert result.failed == 0
    assert result.requests > 10
    assert 0 < result.p50_ms <= result.p99_ms <= result.max_ms
    assert "no failures" in str(result)
    endpoint.predict([2.0])
    folder = prediction_folder("half_plus_two")
    clients, tested = (read_predictions(folder, variant=kind) for kind in (None, "load_test"))
    assert [examples.inputs["x"].ravel().tolist() for examples in examples_of(clients.table)] == [
        [2.0]
    ]
    assert len(tested) >= len(result.latencies_ms)
