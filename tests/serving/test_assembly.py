"""A server put together from its settings, asked without sockets."""

from __future__ import annotations

import asyncio
import json

import pytest
from serving.onnx_models import (
    write_convolution,
    write_half_plus_two,
    write_one_at_a_time,
)
from serving.served import asking, request

from agiwb.errors import ConfigError, InputError
from agiwb.serving.assembly import Server
from agiwb.serving.settings import ServerSettings

PREDICT = "/v1/models/m:predict"


@pytest.fixture
def half(tmp_path):
    write_half_plus_two(tmp_path / "m" / "1")
    return tmp_path / "m"


@pytest.fixture
def batching(tmp_path):
    def write(text):
        (tmp_path / "batching.txt").write_text(text)
        return {"enable_batching": True, "batching_parameters_file": tmp_path / "batching.txt"}

    return write


def together(asked, *bodies):
    """Return the responses to bodies that are posted at once."""

    async def ask_all():
        application = asked.server.application
        return await asyncio.gather(
            *(application(request("POST", PREDICT, json.dumps(body))) for body in bodies)
        )

    return asked.loop.run_until_complete(ask_all())


def picture(width):
    return {"instances": [[[[1] * width] * 3]]}


def test_requests_are_answered_with_batching_and_without(half, batching):
    for settings in ({}, {"enable_batching": True}, batching("max_batch_size { value: 2 }")):
        with asking(half, **settings) as asked:
            bodies = [{"instances": [number]} for number in range(5)]
            answers = [json.loads(one.body) for one in together(asked, *bodies)]
            assert [one["predictions"] for one in answers] == [[2], [2.5], [3], [3.5], [4]]


def test_a_batching_file_says_how_requests_wait(half, batching):
    with asking(half, **batching("batch_timeout_micros { value: 100000 }")) as asked:
        together(asked, {"instances": [1.0]}, {"instances": [2.0, 3.0]})
        metrics = asked("GET", "/metrics").body.decode()
    assert 'agiwb_batch_rows_sum{model="m"} 3.0\n' in metrics
    assert 'agiwb_batch_rows_count{model="m"} 1.0\n' in metrics


def test_a_full_queue_is_503_with_retry_after(tmp_path, batching):
    write_convolution(tmp_path / "m" / "1")
    settings = batching("max_enqueued_batches { value: 1 } batch_timeout_micros { value: 200000 }")
    with asking(tmp_path / "m", **settings) as asked:
        first, second = together(asked, picture(3), picture(4))
    assert (first.status, second.status) == (200, 503)
    assert b"full" in second.body
    headers = {name.lower(): value for name, value in second.headers}
    assert int(headers[b"retry-after"]) >= 1


def test_a_deadline_that_passes_in_the_queue_is_504(half, batching):
    settings = batching("batch_timeout_micros { value: 300000 }")
    with asking(half, rest_api_timeout_in_ms=50, **settings) as asked:
        answer = asked("POST", PREDICT, '{"instances": [1.0]}')
        assert answer.status == 504
        metrics = asked("GET", "/metrics").body.decode()
    assert 'code="DEADLINE_EXCEEDED"' in metrics


def test_a_request_of_too_many_rows_is_refused_where_none_is_split(half, batching):
    settings = batching("max_batch_size { value: 2 } enable_large_batch_splitting { value: false }")
    with asking(half, **settings) as asked:
        answer = asked("POST", PREDICT, '{"instances": [1, 2, 3]}')
    assert answer.status == 400
    assert b"larger than maximum input batch size 2" in answer.body


def test_batching_that_is_not_switched_on_is_told(half, batching):
    file = batching("")["batching_parameters_file"]
    settings = ServerSettings(model_base_path=half, batching_parameters_file=file)
    with pytest.raises(InputError, match="without setting enable_batching") as caught:
        Server(settings)
    assert "--enable-batching" in caught.value.fix


def test_wrong_batching_parameters_are_told_before_anything_is_loaded(half, batching):
    settings = ServerSettings(model_base_path=half, **batching("max_batch_size { value: 0 }"))
    with pytest.raises(ConfigError, match="max_batch_size"):
        Server(settings)


def test_a_model_that_cannot_be_loaded_is_told_and_counted(tmp_path):
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "1" / "model.onnx").write_bytes(b"no model")
    server = Server(
        ServerSettings(model_base_path=tmp_path / "m", grpc=False, max_num_load_retries=0)
    )
    try:
        with pytest.raises(InputError, match="ONNX"):
            server.start()
        assert b'result="error"' in server.engine.metrics.render()
    finally:
        server.stop()


def test_a_model_that_only_takes_one_row_is_served(tmp_path):
    write_one_at_a_time(tmp_path / "m" / "1")
    with asking(tmp_path / "m") as asked:
        body = {"inputs": [[[1, 2], [3, 4]]]}
        answers = together(asked, body, body, body)
    assert [json.loads(one.body) for one in answers] == [{"outputs": [[1, 2, 3, 4]]}] * 3


def test_a_pinned_version_is_served_whatever_else_is_there(half):
    write_half_plus_two(half / "2", addend=5)
    with asking(half, model_version=1) as asked:
        assert asked.document("POST", PREDICT, '{"instances": [0]}') == {"predictions": [2]}
    with asking(half, model_name="other") as asked:
        answer = asked.document("POST", "/v1/models/other:predict", '{"instances": [0]}')
        assert answer == {"predictions": [5]}


def test_a_folder_that_cannot_be_logged_to_refuses_predictions(half, tmp_path):
    (tmp_path / "predictions").write_text("a file")
    (tmp_path / "policy.yaml").write_text("on_error: refuse")
    settings = {
        "log_folder": tmp_path / "predictions",
        "log_policy": tmp_path / "policy.yaml",
    }
    with asking(half, **settings) as asked:
        answer = asked("POST", PREDICT, '{"instances": [1.0]}')
        metrics = asked("GET", "/metrics").body.decode()
    assert answer.status == 503
    assert 'agiwb_predictions_lost_total{model="m"' in metrics
