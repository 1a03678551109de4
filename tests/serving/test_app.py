"""The application without a network: each request is one call."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import json
import logging
import threading
from dataclasses import dataclass

import pytest
from serving.onnx_models import (
    write_convolution,
    write_half_plus_two,
    write_lookup,
    write_one_at_a_time,
)

from agiwb.serving.app import PredictApp
from agiwb.serving.prediction_log import PredictionLog, read_predictions
from agiwb.serving.served_model import load_model
from agiwb.serving.versions import Version

PREDICT = "/v1/models/half:predict"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    document: dict


def ask(app, method, path, body=b"", headers=(), chunk=None) -> Answer | None:
    """Return what the application sends for one request, or None if it sends nothing."""
    size = chunk or max(len(body), 1)
    pieces = [body[start : start + size] for start in range(0, max(len(body), 1), size)]
    incoming = [
        {"type": "http.request", "body": piece, "more_body": index < len(pieces) - 1}
        for index, piece in enumerate(pieces)
    ]
    sent = []

    async def receive():
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "raw_path": path.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }
    asyncio.run(app(scope, receive, send))
    if not sent:
        return None
    start, content = sent
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    assert found["content-type"] == "application/json"
    assert int(found["content-length"]) == len(content["body"])
    return Answer(start["status"], found, json.loads(content["body"]))


@pytest.fixture
def model(tmp_path):
    folder = write_half_plus_two(tmp_path / "half" / "00000123")
    return load_model("half", Version(123, folder), threads=1)


@pytest.fixture
def app(model):
    return PredictApp(model)


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (PREDICT, '{"instances": [1.0, 2.0]}', {"predictions": [2.5, 3.0]}),
        ("/v1/models/half/versions/123:predict", '{"inputs": [3.0, 4]}', {"outputs": [3.5, 4.0]}),
        (PREDICT, '{"instances": [{"x": 1}, {"x": 5}]}', {"predictions": [2.5, 4.5]}),
    ],
)
def test_half_plus_two_is_exact(app, path, body, expected):
    answer = ask(app, "POST", path, body.encode())
    assert (answer.status, answer.document) == (200, expected)


def test_a_body_in_pieces_is_put_together(app):
    answer = ask(app, "POST", PREDICT, b'{"instances": [1, 2, 3]}', chunk=5)
    assert answer.document == {"predictions": [2.5, 3.0, 3.5]}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", PREDICT, "", 400, "JSON Parse error: The document is empty"),
        ("POST", PREDICT, "{", 400, "JSON Parse error: Invalid value"),
        ("POST", PREDICT, "{}", 400, "Missing 'inputs' or 'instances' key"),
        ("POST", PREDICT, '{"instances": ["x"]}', 400, "not of expected type: float"),
        ("POST", PREDICT, '{"instances": [[1]]}', 400, "x: float32 (?), but got x: int64 (1, 1)"),
        ("POST", PREDICT, '{"inputs": 1}', 400, "x: float32 (?), but got x: int64 ()"),
        ("GET", PREDICT, "", 400, "Malformed request: GET /v1/models/half:predict"),
        ("POST", "/v1/models/no:predict", "", 404, "Servable not found for request: Latest(no)"),
        ("POST", "/v1/models/half/versions/5:predict", "", 404, "request: Specific(half, 5)"),
        ("GET", "/v1/models/no", "", 404, "Could not find any versions of model no"),
        ("GET", "/v1/models/half/versions/5", "", 404, "Could not find version 5 of model half"),
        ("GET", "/v1/models/no/metadata", "", 404, "Servable not found for request: Latest(no)"),
        ("GET", "/v1/models", "", 400, "Missing model name in request."),
        ("POST", "/v1/models/half:classify", "{}", 501, "use :predict"),
        ("GET", "/", "", 404, "Not Found"),
    ],
)
def test_an_error_has_tensorflow_servings_status_and_sentence(
    app, method, path, body, status, message
):
    answer = ask(app, method, path, body.encode())
    assert answer.status == status
    assert list(answer.document) == ["error"]
    assert message in answer.document["error"]


@pytest.mark.parametrize("body", ["", "{}", '{"instances": ["x"]}', '{"instances": [[1]]}'])
def test_a_body_that_does_not_fit_is_answered_with_one_that_does(app, body):
    error = ask(app, "POST", PREDICT, body.encode()).document["error"]
    assert "The model takes x: float32 (?)." in error
    example = error.partition("A body that fits: ")[2]
    assert ask(app, "POST", PREDICT, example.encode()).document == {"predictions": [2.0]}


def test_status_is_tensorflow_servings(app):
    expected = {
        "model_version_status": [
            {
                "version": "123",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    for path in ("/v1/models/half", "/v1/models/half/versions/123"):
        answer = ask(app, "GET", path)
        assert (answer.status, answer.document) == (200, expected)


def test_metadata_hold_the_signature(app):
    answer = ask(app, "GET", "/v1/models/half/metadata")
    assert answer.document["model_spec"] == {
        "name": "half",
        "signature_name": "",
        "version": "123",
    }
    entry = answer.document["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert entry["inputs"]["x"] == {
        "dtype": "DT_FLOAT",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
        "name": "x",
    }
    assert entry["outputs"]["y"]["dtype"] == "DT_FLOAT"
    assert entry["method_name"] == "tensorflow/serving/predict"


def test_health_is_told(app):
    assert ask(app, "GET", "/v1/healthz").status == 200


def test_a_request_id_is_given_back(app):
    body = b'{"instances": [1]}'
    given = ask(app, "POST", PREDICT, body, [("x-request-id", "mine-1")])
    assert given.headers["x-request-id"] == "mine-1"
    made = [ask(app, "POST", PREDICT, body).headers["x-request-id"] for _ in range(2)]
    assert len(set(made)) == 2
    too_long = ask(app, "POST", PREDICT, body, [("x-request-id", "x" * 1000)])
    assert len(too_long.headers["x-request-id"]) < 100


@pytest.mark.parametrize("headers", [[("content-length", "101")], []])
def test_too_large_a_body_is_refused_by_its_header_or_its_size(model, headers):
    app = PredictApp(model, max_body_bytes=100)
    answer = ask(app, "POST", PREDICT, b" " * 101, headers, chunk=30)
    assert answer.status == 413
    assert answer.headers["connection"] == "close"
    assert "larger than 100 bytes" in answer.document["error"]
    fits = b'{"instances": [1]}'.ljust(100)
    assert ask(app, "POST", PREDICT, fits, [("content-length", "100")]).status == 200


def test_a_client_that_goes_away_gets_no_answer(app):
    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        raise AssertionError(message)

    scope = {"type": "http", "method": "POST", "raw_path": PREDICT.encode(), "headers": []}
    asyncio.run(app(scope, receive, send))


def test_a_failure_names_the_request_but_neither_path_nor_traceback(model, caplog, monkeypatch):
    def fail(inputs):
        raise OSError("/secret/place")

    monkeypatch.setattr(model.runtime, "run", fail)
    with caplog.at_level(logging.ERROR, "agiwb"):
        answer = ask(
            PredictApp(model), "POST", PREDICT, b'{"instances": [1]}', [("x-request-id", "r7")]
        )
    assert answer.status == 500
    assert answer.document == {"error": "The server failed on request r7; its log has the details."}
    assert "r7" in caplog.text
    assert "/secret/place" in caplog.text


def test_what_the_model_itself_refuses_is_the_clients_error(tmp_path):
    model = load_model("table", Version(1, write_lookup(tmp_path)), threads=1)
    answer = ask(PredictApp(model), "POST", "/v1/models/table:predict", b'{"instances": [9]}')
    assert answer.status == 400
    assert "refuses this batch" in answer.document["error"]
    assert str(tmp_path) not in answer.document["error"]


def test_a_batch_that_the_graph_refuses_is_the_clients_error(tmp_path):
    model = load_model("one", Version(1, write_one_at_a_time(tmp_path)), threads=1)
    two = json.dumps({"instances": [[[1, 1], [1, 1]]] * 2}).encode()
    answer = ask(PredictApp(model), "POST", "/v1/models/one:predict", two)
    assert answer.status == 400
    assert "refuses this batch" in answer.document["error"]


def test_a_model_that_refuses_a_batch_of_zeros_is_served(tmp_path, caplog):
    model = load_model("conv", Version(1, write_convolution(tmp_path)), threads=1)
    assert "conv is not warmed: The model refuses this batch" in caplog.text
    image = json.dumps({"instances": [[[[1] * 3] * 3]]}).encode()
    answer = ask(PredictApp(model), "POST", "/v1/models/conv:predict", image)
    assert answer.document == {"predictions": [[[[9]]]]}


def test_a_body_of_gzip_is_inflated_up_to_the_limit(model):
    app = PredictApp(model, max_body_bytes=1000)
    headers = [("content-encoding", "gzip")]
    body = gzip.compress(b'{"instances": [1]}')
    assert ask(app, "POST", PREDICT, body, headers).document == {"predictions": [2.5]}
    assert ask(app, "POST", PREDICT, gzip.compress(b" " * 1000 + b"{}"), headers).status == 413
    answer = ask(app, "POST", PREDICT, b'{"instances": [1]}', headers)
    assert answer.status == 400
    assert "is not gzip" in answer.document["error"]


def test_an_answer_is_sent_only_once_it_is_logged(model, tmp_path):
    folder = tmp_path / "predictions"
    logged_at_send = []

    async def receive():
        return {"type": "http.request", "body": b'{"instances": [1]}', "more_body": False}

    async def send(message):
        logged_at_send.append(len(read_predictions(folder)))

    scope = {"type": "http", "method": "POST", "raw_path": PREDICT.encode(), "headers": []}
    asyncio.run(PredictApp(model, PredictionLog(folder))(scope, receive, send))
    assert logged_at_send == [1, 1]


def test_the_log_holds_what_was_answered_and_nothing_else(model, tmp_path):
    folder = tmp_path / "predictions"
    app = PredictApp(model, PredictionLog(folder))
    assert ask(app, "POST", PREDICT, b'{"instances": [1, 2]}').status == 200
    assert ask(app, "POST", PREDICT, b'{"instances": ["x"]}').status == 400
    assert ask(app, "POST", PREDICT, b'{"inputs": [NaN]}').status == 200
    window = read_predictions(folder)
    assert window.features.tolist()[:2] == [1, 2]
    assert window.probabilities.tolist()[:2] == [2.5, 3]
    assert window.versions.tolist() == [123] * 3


def test_an_answer_that_cannot_be_logged_is_not_given(model, tmp_path):
    (tmp_path / "file").write_text("")
    app = PredictApp(model, PredictionLog(tmp_path / "file"))
    answer = ask(app, "POST", PREDICT, b'{"instances": [1]}')
    assert answer.status == 503
    assert "could not be logged" in answer.document["error"]


def test_a_long_run_does_not_hold_up_other_requests(model):
    """The long run waits until a health request that came after it has been answered.

    A short run came in between, and waits for the runtime's lock.
    """
    answered = threading.Event()
    lock = threading.Lock()
    real = model.runtime

    class Slow:
        signature = real.signature

        def run(self, inputs):
            with lock:
                assert answered.wait(5)
                return real.run(inputs)

    app = PredictApp(dataclasses.replace(model, runtime=Slow(), seconds_per_row=0.001))

    async def all_three():
        statuses = []

        async def request(method, path, body):
            async def receive():
                return {"type": "http.request", "body": body, "more_body": False}

            async def send(message):
                if message["type"] == "http.response.start":
                    statuses.append((path, message["status"]))

            scope = {"type": "http", "method": method, "raw_path": path.encode(), "headers": []}
            await app(scope, receive, send)

        long = asyncio.create_task(request("POST", PREDICT, b'{"instances": [1, 2, 3, 4, 5]}'))
        await asyncio.sleep(0)
        short = asyncio.create_task(request("POST", PREDICT, b'{"instances": [1]}'))
        await asyncio.sleep(0)
        await request("GET", "/v1/healthz", b"")
        answered.set()
        await asyncio.gather(long, short)
        return statuses

    assert asyncio.run(all_three()) == [("/v1/healthz", 200), (PREDICT, 200), (PREDICT, 200)]
