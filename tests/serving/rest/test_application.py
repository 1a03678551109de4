"""Every HTTP request of a server, without a network: each is one call."""

from __future__ import annotations

import asyncio
import json
import logging
import threading

import numpy as np
import pytest

from agiwb.errors import InputError
from agiwb.serving.access.keys import add_key
from agiwb.serving.exchange import ModelSpec
from agiwb.serving.prediction_log import read_predictions
from agiwb.serving.servables.servable import RunTime
from tests.serving.onnx_models import (
    write_convolution,
    write_half_plus_two,
    write_lookup,
    write_mlp,
    write_one_at_a_time,
    write_two_by_two,
)
from tests.serving.served import asking, request

PREDICT = "/v1/models/half:predict"


@pytest.fixture(scope="module")
def base_path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "half"
    write_half_plus_two(folder / "00000123")
    return folder


@pytest.fixture(scope="module")
def ask(base_path):
    with asking(base_path) as asked:
        yield asked


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (PREDICT, '{"instances": [1.0, 2.0]}', {"predictions": [2.5, 3.0]}),
        ("/v1/models/half/versions/123:predict", '{"inputs": [3.0, 4]}', {"outputs": [3.5, 4.0]}),
        (PREDICT, '{"instances": [{"x": 1}, {"x": 5}]}', {"predictions": [2.5, 4.5]}),
        ("/invocations", '{"instances": [1]}', {"predictions": [2.5]}),
        ("/invocations", "[1, 2]", {"predictions": [2.5, 3.0]}),
    ],
)
def test_half_plus_two_is_exact(ask, path, body, expected):
    response = ask("POST", path, body)
    assert (response.status, json.loads(response.body)) == (200, expected)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", PREDICT, "", 400, "JSON Parse error: The document is empty"),
        ("POST", PREDICT, "{", 400, "JSON Parse error: Invalid value"),
        ("POST", PREDICT, "{}", 400, "Missing 'inputs' or 'instances' key"),
        ("POST", PREDICT, '{"instances": ["x"]}', 400, "not of expected type: float"),
        ("POST", PREDICT, '{"instances": [[1]]}', 400, "x: float32 (?), but got x: float32 (1, 1)"),
        ("POST", PREDICT, '{"inputs": 1}', 400, "x: float32 (?), but got x: float32 ()"),
        ("GET", PREDICT, "", 400, "Malformed request: GET /v1/models/half:predict"),
        ("POST", "/v1/models/no:predict", "", 404, "Servable not found for request: Latest(no)"),
        ("POST", "/v1/models/half/versions/5:predict", "", 404, "request: Specific(half, 5)"),
        ("POST", "/v1/models/half/labels/x:predict", "", 400, "version label: x"),
        ("GET", "/v1/models/no", "", 404, "Could not find any versions of model no"),
        ("GET", "/v1/models/half/versions/5", "", 404, "Could not find version 5 of model half"),
        ("GET", "/v1/models/no/metadata", "", 404, "Servable not found for request: Latest(no)"),
        ("GET", "/v1/models", "", 400, "Missing model name in request."),
        (
            "POST",
            "/v1/models/half:classify",
            '{"examples": [{}]}',
            400,
            "tensorflow/serving/predict",
        ),
        ("GET", "/", "", 404, "Not Found"),
        ("GET", "/v2/models/no", "", 404, "Latest(no)"),
        ("POST", "/v2/models/half/infer", "{}", 400, "no list of `inputs`"),
        ("GET", "/admin/v1/models", "", 403, "no administration"),
    ],
)
def test_an_error_has_its_status_and_its_sentence(ask, method, path, body, status, message):
    response = ask(method, path, body)
    document = json.loads(response.body)
    assert response.status == status
    assert list(document) == ["error"]
    assert message in document["error"]


@pytest.mark.parametrize("body", ["", "{}", '{"instances": ["x"]}', '{"instances": [[1]]}'])
def test_a_body_that_does_not_fit_is_answered_with_one_that_does(ask, body):
    error = ask.document("POST", PREDICT, body)["error"]
    assert "The model takes x: float32 (?)." in error
    example = error.partition("A body that fits: ")[2]
    assert ask.document("POST", PREDICT, example) == {"predictions": [2.0]}


def test_status_is_tensorflow_servings(ask):
    status = {"error_code": "OK", "error_message": ""}
    expected = {
        "model_version_status": [{"version": "123", "state": "AVAILABLE", "status": status}]
    }
    for path in ("/v1/models/half", "/v1/models/half/versions/123"):
        assert ask.document("GET", path) == expected


def test_metadata_hold_the_signature(ask):
    document = ask.document("GET", "/v1/models/half/metadata")
    assert document["model_spec"] == {"name": "half", "signature_name": "", "version": "123"}
    entry = document["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert entry["inputs"]["x"] == {
        "dtype": "DT_FLOAT",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
        "name": "x",
    }
    assert entry["outputs"]["y"]["dtype"] == "DT_FLOAT"
    assert entry["method_name"] == "tensorflow/serving/predict"


@pytest.mark.parametrize(
    "path", ["/v1/healthz", "/v2/health/live", "/v2/health/ready", "/v2/models/half/ready", "/ping"]
)
def test_health_is_told(ask, path):
    assert ask("GET", path).status == 200


def test_open_inference_metadata(ask):
    assert ask.document("GET", "/v2/models/half") == {
        "name": "half",
        "versions": ["123"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}],
    }
    assert "binary_tensor_data" in ask.document("GET", "/v2")["extensions"]


def test_open_inference_gives_the_id_back(ask):
    tensor = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}
    body = json.dumps({"id": "q", "inputs": [tensor]})
    answer = ask.document("POST", "/v2/models/half/versions/123/infer", body)
    assert (answer["id"], answer["model_version"]) == ("q", "123")
    assert answer["outputs"][0]["data"] == [2.5, 3.0]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/jsonlines", "1\n\n2"),
        ("application/json; charset=utf-8", '{"instances": [1, 2]}'),
    ],
)
def test_sagemakers_content_types(ask, kind, body):
    headers = {"content-type": kind}
    response = ask("POST", "/invocations", body, headers)
    assert response.status == 200, response.body
    assert json.loads(response.body) == {"predictions": [2.5, 3.0]}


def test_a_table_of_numbers_is_a_batch(tmp_path):
    write_mlp(tmp_path / "mlp" / "1", features=2, classes=3)
    with asking(tmp_path / "mlp") as ask:
        as_csv = ask("POST", "/invocations", "1,2\n3,4\n", {"content-type": "text/csv"})
        as_json = ask("POST", "/invocations", "[[1,2],[3,4]]")
        words = ask("POST", "/invocations", "a,b\n", {"content-type": "text/csv"})
    assert (as_csv.status, as_csv.body) == (200, as_json.body)
    assert words.status == 400


def test_sagemakers_attributes_name_the_model(ask):
    attributes = {"X-Amzn-SageMaker-Custom-Attributes": "tfs-model-name=half,tfs-model-version=7"}
    response = ask("POST", "/invocations", '{"instances": [1]}', attributes)
    assert (response.status, b"Specific(half, 7)" in response.body) == (404, True)
    unknown = ask("POST", "/invocations", "x", {"content-type": "image/png"})
    assert (unknown.status, b"image/png" in unknown.body) == (400, True)


def test_vertex_names_its_routes_in_the_environment(base_path, monkeypatch):
    monkeypatch.setenv("AIP_HEALTH_ROUTE", "/alive")
    monkeypatch.setenv("AIP_PREDICT_ROUTE", "/answer")
    with asking(base_path) as ask:
        assert ask("GET", "/alive").status == 200
        assert ask.document("POST", "/answer", '{"instances": [1]}') == {"predictions": [2.5]}


def test_a_request_id_is_given_back(ask):
    def id_of(given: str | None) -> str:
        headers = {} if given is None else {"x-request-id": given}
        response = ask("POST", PREDICT, '{"instances": [1]}', headers)
        return dict(response.headers)[b"x-request-id"].decode()

    assert id_of("mine-1") == "mine-1"
    assert id_of(None) != id_of(None)
    assert len(id_of("x" * 1000)) < 100
    assert "\n" not in id_of("a\nb")


def test_requests_are_counted_by_what_became_of_them(ask):
    ask("POST", PREDICT, '{"instances": [1]}')
    ask("POST", PREDICT, "{")
    ask("POST", "/v1/models/whatever-a-client-writes:predict", "{")
    text = ask("GET", "/metrics").body.decode()
    labels = 'code="OK",model="half",protocol="tfs_rest",signature="serving_default",version="123"'
    assert f"agiwb_requests_total{{{labels}}}" in text
    assert 'code="INVALID_ARGUMENT"' in text
    assert "whatever" not in text  # a label for each wrong name would fill the memory
    assert ":tensorflow:serving:request_count" in (
        ask("GET", "/monitoring/prometheus/metrics").body.decode()
    )


def test_a_failure_names_the_request_but_neither_path_nor_traceback(base_path, caplog, monkeypatch):
    def fail(*_):
        raise OSError("/secret/place")

    with asking(base_path) as ask:
        monkeypatch.setattr(ask.server.engine, "predict", fail)
        with caplog.at_level(logging.ERROR, "agiwb"):
            response = ask("POST", PREDICT, '{"instances": [1]}', {"x-request-id": "r7"})
    assert response.status == 500
    assert json.loads(response.body) == {
        "error": "The server failed on request r7; its log has the details."
    }
    assert "/secret/place" in caplog.text


@pytest.mark.parametrize(
    ("write", "body"),
    [
        (write_lookup, {"instances": [9]}),
        (write_one_at_a_time, {"instances": [[[1, 1], [1, 1]]] * 2}),
    ],
)
def test_what_the_model_itself_refuses_is_the_clients_error(tmp_path, write, body):
    write(tmp_path / "m" / "1")
    with asking(tmp_path / "m") as ask:
        response = ask("POST", "/v1/models/m:predict", json.dumps(body))
    assert response.status == 400
    assert b"refuses this batch" in response.body
    assert str(tmp_path).encode() not in response.body


def test_a_model_that_refuses_a_batch_of_zeros_is_served(tmp_path):
    write_convolution(tmp_path / "conv" / "1")
    image = json.dumps({"instances": [[[[1] * 3] * 3]]})
    with asking(tmp_path / "conv") as ask:
        assert ask.document("POST", "/v1/models/conv:predict", image) == {"predictions": [[[[9]]]]}


def test_several_inputs_and_outputs(tmp_path):
    write_two_by_two(tmp_path / "two" / "1")
    body = json.dumps({"inputs": {"a": [1.5, 2.5], "b": [1, 2]}})
    with asking(tmp_path / "two") as ask:
        answer = ask.document("POST", "/v1/models/two:predict", body)
    assert answer == {"outputs": {"sum": [2.5, 4.5], "b_twice": [2, 4]}}


def test_a_model_that_cannot_be_loaded_ends_the_start(tmp_path):
    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "1" / "model.onnx").write_bytes(b"not a model")
    with (
        pytest.raises(InputError, match="cannot be run as an ONNX model"),
        asking(tmp_path / "broken"),
    ):
        pass


def test_the_log_holds_what_was_answered_and_nothing_else(base_path, tmp_path):
    with asking(base_path, log_folder=tmp_path) as ask:
        assert ask("POST", PREDICT, '{"instances": [1, 2]}').status == 200
        assert ask("POST", PREDICT, '{"instances": ["x"]}').status == 400
        assert ask("POST", PREDICT, '{"inputs": [NaN]}').status == 200
        window = read_predictions(tmp_path / "half")  # before the server ends
    assert window.features.tolist()[:2] == [1, 2]
    assert window.probabilities.tolist()[:2] == [2.5, 3]
    assert window.versions.tolist() == [123] * 3


def test_a_client_without_a_key_is_let_in_nowhere_but_to_the_probes(base_path, tmp_path):
    key, _ = add_key(tmp_path / "keys.json", "ci", {"predict"})
    with asking(base_path, api_keys_file=tmp_path / "keys.json") as ask:
        assert ask("POST", PREDICT, '{"instances": [1]}').status == 401
        assert ask("GET", "/v1/models/half").status == 401
        assert ask("GET", "/v1/healthz").status == 200
        body = '{"instances": [1]}'
        assert ask("POST", PREDICT, body, {"x-api-key": key}).status == 200
        assert ask("POST", PREDICT, body, {"authorization": f"Bearer {key}"}).status == 200
        assert ask("GET", "/metrics", headers={"x-api-key": key}).status == 403


def test_administration_is_for_the_operator(base_path):
    with asking(base_path, operator_key="secret") as ask:
        assert ask("GET", "/admin/v1/models").status == 401
        assert ask("GET", "/admin/v1/models", headers={"x-api-key": "wrong"}).status == 401
        answer = ask("GET", "/admin/v1/models", headers={"x-api-key": "secret"})
    assert json.loads(answer.body) == {"models": [{"name": "half", "available": [123]}]}


def test_a_refused_administration_is_told_as_any_other_refusal(base_path):
    with asking(base_path, admin=True) as ask:
        answer = ask("GET", f"/admin/v1/{'x' * 9000}")
        assert answer.status == 404
        assert len(json.loads(answer.body)["error"]) < 5000
        body = '{"version": 1, "share": 0.5}'
        assert ask("PUT", "/admin/v1/models/no/canary", body).status == 404
        assert ask("PUT", "/admin/v1/models/half/canary", "[").status == 400


def test_only_folders_below_the_root_are_served_more(base_path, tmp_path):
    with asking(base_path, admin=True, models_root=base_path.parent) as ask:
        body = json.dumps({"name": "more", "base_path": "half"})
        assert ask("POST", "/admin/v1/models", body).status == 200
        body = json.dumps({"name": "x", "base_path": str(tmp_path)})
        assert ask("POST", "/admin/v1/models", body).status == 403


def test_a_page_in_a_browser_may_not_administer_an_open_server(base_path):
    with asking(base_path, admin=True) as ask:
        assert ask("GET", "/admin/v1/models").status == 200
        for origin, status in ("http://example.org", 403), ("http://localhost:8888", 401):
            assert ask("GET", "/admin/v1/models", headers={"origin": origin}).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "127.0.0.1:8501"}, 200),
        ({"host": "LOCALHOST"}, 200),
        ({"host": "[::1]:8501", "origin": "http://localhost:8888"}, 200),
        ({"host": "example.org:8501"}, 403),
        ({"host": "127.0.0.1.example.org"}, 403),
        ({"host": "0.0.0.0:8501"}, 403),
        ({"host": "x@y:["}, 403),
        ({"host": ""}, 403),
        ({"host": "localhost", "origin": "https://example.org"}, 403),
        ({"host": "localhost", "origin": "null"}, 403),
    ],
)
def test_an_open_server_answers_no_page_from_elsewhere(ask, headers, status):
    for method, path, body in [
        ("POST", PREDICT, '{"instances": [1]}'),
        ("GET", "/v1/models/half", ""),
        ("GET", "/metrics", ""),
        ("GET", "/ping", ""),
    ]:
        assert ask(method, path, body, headers).status == status


def test_who_has_a_key_asks_a_server_by_any_name(base_path, tmp_path):
    key, _ = add_key(tmp_path / "keys.json", "ci", {"predict"})
    with asking(base_path, api_keys_file=tmp_path / "keys.json") as ask:
        headers = {"host": "models.example.org", "x-api-key": key}
        assert ask("POST", PREDICT, '{"instances": [1]}', headers).status == 200
    with asking(base_path, host="0.0.0.0", insecure=True) as ask:  # noqa: S104
        headers = {"host": "models.example.org"}
        assert ask("POST", PREDICT, '{"instances": [1]}', headers).status == 200


def test_a_long_run_does_not_hold_up_other_requests(base_path):
    """The long run waits until a health request that came after it has been answered."""
    answered = threading.Event()
    with asking(base_path) as ask, ask.server.engine.lease(ModelSpec("half")) as version:
        servable = version.servable
        run = servable.run

        def slowly(*arguments):
            assert answered.wait(60)
            return run(*arguments)

        servable.run = slowly
        servable.run_time = RunTime(0.001)

        async def all_three():
            order = []

            async def one(method, path, body=b""):
                response = await ask.server.application(request(method, path, body))
                order.append((path, response.status))

            long = asyncio.create_task(one("POST", PREDICT, b'{"instances": [1, 2, 3, 4, 5]}'))
            await asyncio.sleep(0)
            short = asyncio.create_task(one("POST", PREDICT, b'{"instances": [1]}'))
            await asyncio.sleep(0)
            await one("GET", "/v1/healthz")
            answered.set()
            await asyncio.gather(long, short)
            return order

        order = ask.loop.run_until_complete(all_three())
    assert order == [("/v1/healthz", 200), (PREDICT, 200), (PREDICT, 200)]


def test_a_request_that_takes_too_long_is_answered_with_504(base_path):
    done = threading.Event()
    with (
        asking(base_path, rest_api_timeout_in_ms=50) as ask,
        ask.server.engine.lease(ModelSpec("half")) as version,
    ):
        version.servable.run = lambda *_: done.wait(60) and {}
        version.servable.run_time = RunTime(1.0)
        response = ask("POST", PREDICT, '{"instances": [1]}')
        done.set()
    assert response.status == 504
    assert b"deadline" in response.body


def test_a_monitoring_configuration_says_where_the_metrics_are(base_path, tmp_path):
    path = tmp_path / "monitoring.config"
    path.write_text('prometheus_config { enable: true, path: "/m" }')
    with asking(base_path, monitoring_config_file=path) as ask:
        assert b":tensorflow:serving:" in ask("GET", "/m").body
    path.write_text("prometheus_config {")
    with (
        pytest.raises(InputError, match=r"monitoring\.config"),
        asking(base_path, monitoring_config_file=path),
    ):
        pass


def test_a_rule_about_an_input_that_no_model_has_ends_the_start(base_path, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("redact: [{action: drop, input: y_typo}]")
    with (
        pytest.raises(InputError, match="no input is named 'y_typo'"),
        asking(base_path, log_folder=tmp_path / "log", log_policy=policy),
    ):
        pass
    policy.write_text("redact: [{action: mask, input: x}]")
    with asking(base_path, log_folder=tmp_path / "log", log_policy=policy) as ask:
        assert ask("POST", PREDICT, '{"instances": [123456.75]}').status == 200
        written = b"".join(path.read_bytes() for path in (tmp_path / "log").rglob("*.bin"))
    assert np.float32(123456.75).tobytes() not in written
    assert b"half" in written
