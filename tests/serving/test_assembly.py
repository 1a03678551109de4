"""A server put together from its settings, asked without sockets."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest

from agiwb.errors import ConfigError, InputError
from agiwb.serving.assembly import Server
from agiwb.serving.settings import ServerSettings
from tests.serving.engines import wait_for
from tests.serving.onnx_models import (
    write_convolution,
    write_half_plus_two,
    write_one_at_a_time,
    write_two_by_two,
)
from tests.serving.served import asking, request

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


@pytest.mark.parametrize("preserve_resources", [False, True])
def test_memory_that_holds_one_version_never_holds_two(half, preserve_resources):
    with asking(half, preserve_resources=preserve_resources) as asked:
        seen = []
        note = asked.server.engine.metrics.version_state
        asked.server.engine.metrics.version_state = lambda *change: (
            seen.append((change[1], change[2].name)),
            note(*change),
        )
        write_half_plus_two(half / "2", addend=5)
        wait_for(lambda: (1, "END") in seen and (2, "AVAILABLE") in seen)
        assert (seen.index((1, "END")) < seen.index((2, "LOADING"))) == preserve_resources
        answer = asked.document("POST", PREDICT, '{"instances": [0]}')
        assert answer == {"predictions": [5]}


def logging_with(tmp_path, policy):
    (tmp_path / "policy.yaml").write_text(policy)
    return {"log_folder": tmp_path / "log", "log_policy": tmp_path / "policy.yaml"}


def eventually_state(asked, number, state):
    """Return the status of a version once it is ``state``."""
    ends = time.monotonic() + 60
    while True:
        statuses = asked.document("GET", "/v1/models/m")["model_version_status"]
        for one in statuses:
            if (int(one["version"]), one["state"]) == (number, state):
                return one["status"]
        assert time.monotonic() < ends, statuses
        time.sleep(0.02)


def test_a_version_without_the_input_that_is_to_be_hidden_never_answers(half, tmp_path):
    settings = logging_with(tmp_path, "redact: [{action: drop, input: x}]")
    with asking(half, max_num_load_retries=0, **settings) as asked:
        write_two_by_two(tmp_path / "made").rename(half / "2")
        status = eventually_state(asked, 2, "END")
        assert "no input is named 'x'" in status["error_message"]
        assert asked.document("POST", PREDICT, '{"instances": [0]}') == {"predictions": [2]}


def test_a_rule_about_a_model_that_is_not_available_ends_no_server(half, tmp_path):
    (tmp_path / "it" / "1").mkdir(parents=True)
    (tmp_path / "it" / "1" / "model.onnx").write_bytes(b"no model")
    config = tmp_path / "models.config"
    config.write_text(
        f'model_config_list {{ config {{ name: "it" base_path: "{tmp_path / "it"}" }} '
        f'config {{ name: "m" base_path: "{half}" }} }}'
    )
    policy = "redact: [{action: drop, model: it, input: x}, {action: drop, input: ghost}]"
    server = Server(
        ServerSettings(model_config_file=config, grpc=False, **logging_with(tmp_path, policy))
    )
    try:
        server.start()  # `ghost` may be an input of the model that is not available
        assert server.engine.catalogue.available("m") == (1,)
    finally:
        server.stop()
    policy = "redact: [{action: drop, model: nobody, input: x}]"
    server = Server(
        ServerSettings(model_config_file=config, grpc=False, **logging_with(tmp_path, policy))
    )
    try:
        with pytest.raises(ConfigError, match="no model 'nobody' is served"):
            server.start()
    finally:
        server.stop()


def test_a_start_that_is_stopped_begins_nothing(half):
    server = Server(ServerSettings(model_base_path=half, grpc=False))
    server.stop()
    server.start()
    names = {thread.name for thread in threading.enumerate()}
    server.stop()
    assert not names & {"log-upkeep", "model-watcher"}
    assert server.engine.catalogue.available("m") == ()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model_config_file": "c", "model_name": "m"}, "`model_name` goes with"),
        ({"model_config_file": "c", "model_version": 1}, "`model_version` goes with"),
        ({"model_base_path": "m", "log_policy": "p"}, "give `log_folder`"),
    ],
)
def test_settings_that_would_do_nothing_are_told(settings, words):
    with pytest.raises(ConfigError, match=words):
        ServerSettings(**settings)


@pytest.mark.parametrize(("enable", "status"), [("true", 200), ("false", 404)])
def test_the_path_of_a_monitoring_configuration_is_served_if_it_is_enabled(
    half, tmp_path, enable, status
):
    path = tmp_path / "monitoring.config"
    path.write_text(f'prometheus_config {{ enable: {enable}, path: "/m" }}')
    with asking(half, monitoring_config_file=path) as asked:
        assert asked("GET", "/m").status == status
