"""Real servers with real models: each is a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest

from agiwb.errors import InputError, ServingError
from agiwb.runtimes.onnx import OnnxRuntime
from agiwb.serving.launch import start_server
from agiwb.serving.prediction_log import read_predictions
from agiwb.serving.serve import ServeConfig, serve
from tests.serving.onnx_models import write_half_plus_two, write_mlp, write_two_by_two

pytestmark = pytest.mark.slow

FEATURES = np.random.default_rng(2).normal(size=(200, 64)).astype(np.float32)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_half_plus_two(folder / "half" / "00000122", addend=100)
    write_half_plus_two(folder / "half" / "00000123")
    write_mlp(folder / "mlp" / "1")
    write_two_by_two(folder / "two" / "1")
    return folder


@pytest.fixture(scope="module")
def module_workspace(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("workspace")
        patch.setenv("AGIWB_WORKSPACE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def half(models, module_workspace):
    with serve(ServeConfig(model_base_path=models / "half", rest_api_port=0)) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def mlp(models, module_workspace):
    with serve(ServeConfig(model_base_path=models / "mlp", rest_api_port=0)) as endpoint:
        yield endpoint


def post(url, body, **headers):
    """Return status and JSON of the answer to a POST by an ordinary HTTP client."""
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_the_highest_version_answers_exactly(half):
    assert (half.model_name, half.version) == ("half", 123)
    assert half.predict([1.0, 2.0, 5.0]).tolist() == [2.5, 3.0, 4.5]
    assert half.predict([1.0]).dtype == np.float32


def test_rows_and_columns_over_the_network(half):
    assert post(half.url, b'{"instances": [1.0, 2.0]}') == (200, {"predictions": [2.5, 3.0]})
    assert post(half.url, b'{"inputs": [3.0, 4.0]}') == (200, {"outputs": [3.5, 4.0]})


def test_errors_over_the_network(half):
    assert post(half.url, b'{"instances": ["x"]}')[0] == 400
    status, document = post(half.address + "/v1/models/no:predict", b"{}")
    assert status == 404
    assert document["error"].startswith("Servable not found for request: Latest(no)")


def test_an_announced_body_that_is_too_large_is_refused_unread(half):
    place = urlsplit(half.address)
    with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
        connection.sendall(
            b"POST /v1/models/half:predict HTTP/1.1\r\n"
            b"Host: x\r\nContent-Length: 99999999999\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_is_too_large_is_refused_once_it_is_sent(models, module_workspace):
    config = ServeConfig(
        model_base_path=models / "half", rest_api_port=0, grpc=False, max_body_bytes=1 << 20
    )
    with serve(config) as endpoint:
        status, document = post(endpoint.url, b" " * (2 << 20))
    assert status == 413
    assert "1,048,576 bytes" in document["error"]


def test_too_many_features_are_an_input_error_before_they_are_sent(half, monkeypatch):
    monkeypatch.setattr("agiwb.serving.endpoint.MAX_BODY_BYTES", 20)
    with pytest.raises(InputError, match="Ask for fewer examples at a time"):
        half.predict([1.0, 2.0, 3.0])


def test_a_request_that_times_out_is_not_sent_again(models, module_workspace):
    config = ServeConfig(model_base_path=models / "half", model_name="slow", rest_api_port=0)
    with serve(config) as endpoint:
        endpoint.predict([1.0])
        endpoint._client._idle[-1].sock.settimeout(0.2)
        server = psutil.Process(endpoint.process_id)
        server.suspend()
        resume = threading.Timer(1, server.resume)
        resume.start()
        with pytest.raises(ServingError, match="timed out"):
            endpoint.predict([2.0])
        resume.join()
        endpoint.predict([3.0])
    logged = read_predictions(module_workspace / "predictions" / "slow").features.tolist()
    assert logged == [1, 2, 3]


def test_the_curl_command_works_as_it_is(half, mlp):
    for endpoint, expected in ((half, [2.0]), (mlp, None)):
        command = ["sh", "-c", endpoint.curl()]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        answer = json.loads(done.stdout)["predictions"]
        assert expected in (None, answer)
    assert half.curl([1.5]).startswith("curl -d '{\"instances\":[1.5]}' http://127.0.0.1:")


def test_a_wrong_shape_is_an_input_error_with_the_signature(mlp):
    with pytest.raises(InputError, match=r"features: float32 \(\?, 64\)"):
        mlp.predict(FEATURES[:, :63])


def test_predict_gives_what_the_runtime_gives(mlp, models):
    runtime = OnnxRuntime(models / "mlp" / "1" / "model.onnx")
    expected = runtime.run({"features": FEATURES})["probabilities"]
    np.testing.assert_array_equal(mlp.predict(FEATURES), expected)


def test_200_requests_from_8_threads_each_get_their_own_answer(mlp, models):
    runtime = OnnxRuntime(models / "mlp" / "1" / "model.onnx")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda row: mlp.predict(row[None]), FEATURES))
    for row, answer in zip(FEATURES, answers, strict=True):
        expected = runtime.run({"features": row[None]})["probabilities"]
        np.testing.assert_array_equal(answer, expected)


def test_a_connection_that_the_server_closed_is_made_anew(half):
    assert half.predict([1.0]).tolist() == [2.5]
    half._client._idle[-1].sock.shutdown(socket.SHUT_RDWR)
    assert half.predict([2.0]).tolist() == [3.0]


def test_predict_needs_one_input_and_one_output(models, module_workspace):
    with serve(ServeConfig(model_base_path=models / "two", rest_api_port=0)) as endpoint:
        with pytest.raises(InputError, match="this model has 2 and 2"):
            endpoint.predict([1.0])
        assert post(endpoint.url, b'{"instances": [{"a": 0.5, "b": 2}]}') == (
            200,
            {"predictions": [{"sum": 2.5, "b_twice": 4}]},
        )


def test_a_litert_model_is_served(tmp_path, module_workspace):
    from agiwb.tensorflow_quietly import import_tensorflow

    tf = import_tensorflow()
    module = tf.Module()
    module.run = tf.function(
        lambda x: {"y": x * 0.5 + 2}, input_signature=[tf.TensorSpec((None,), tf.float32, "x")]
    )
    tf.saved_model.save(module, tmp_path / "saved", signatures={"serving_default": module.run})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    folder = tmp_path / "half" / "1"
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(converter.convert())
    with serve(ServeConfig(model_base_path=tmp_path / "half", rest_api_port=0)) as endpoint:
        assert endpoint.predict([1.0, 2.0, 5.0]).tolist() == [2.5, 3.0, 4.5]
        assert (
            "site-packages/tensorflow/" not in Path(f"/proc/{endpoint.process_id}/maps").read_text()
        )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_server_process_has_no_tensorflow(mlp):
    maps = Path(f"/proc/{mlp.process_id}/maps").read_text()
    assert "onnxruntime" in maps
    for library in ("tensorflow", "mlflow", "pandas", "sklearn", "scipy"):
        assert f"site-packages/{library}/" not in maps


def test_the_server_imports_nothing_heavy(models):
    code = """
import sys
from pathlib import Path
import agiwb.serving.server
from agiwb.serving.servables.loader import load_servable
from agiwb.serving.versions import Version
load_servable("m", Version(1, Path(sys.argv[1])))
import ai_edge_litert.interpreter
heavy = ["tensorflow", "keras", "mlflow", "pandas", "sklearn", "scipy", "onnx", "matplotlib"]
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, models / "mlp" / "1"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[]\n", done.stderr


def test_every_acknowledged_row_is_in_the_log_after_kill_9(models, module_workspace):
    endpoint = serve(
        ServeConfig(model_base_path=models / "mlp", model_name="killed", rest_api_port=0)
    )
    acknowledged: list[float] = []
    place, path = urlsplit(endpoint.address), urlsplit(endpoint.url).path

    def load(worker):
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
        for number in range(100_000):
            mark = float(worker * 100_000 + number)  # told apart by the first feature
            body = json.dumps({"instances": [[mark] + [0.0] * 63]})
            try:
                connection.request("POST", path, body)
                if connection.getresponse().read():
                    acknowledged.append(mark)
            except (OSError, http.client.HTTPException):
                break
        connection.close()

    threads = [threading.Thread(target=load, args=[worker]) for worker in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(acknowledged) > 300)
    os.kill(endpoint.process_id, signal.SIGKILL)
    for thread in threads:
        thread.join()
    endpoint.stop()
    logged = read_predictions(module_workspace / "predictions" / "killed").features[:, 0].tolist()
    assert len(acknowledged) > 300
    assert set(acknowledged) <= set(logged)
    assert len(logged) == len(set(logged))


def test_predictions_are_not_logged_if_not_wanted(models, module_workspace):
    config = ServeConfig(
        model_base_path=models / "half",
        model_name="silent",
        rest_api_port=0,
        log_predictions=False,
    )
    with serve(config) as endpoint:
        endpoint.predict([1.0])
    assert not (module_workspace / "predictions" / "silent").exists()


def test_stop_ends_the_process_and_frees_the_port(models, module_workspace):
    first = serve(ServeConfig(model_base_path=models / "half", rest_api_port=0))
    port = urlsplit(first.address).port
    first.predict([1.0])
    first.stop()
    first.stop()
    assert not first.running
    assert "stopped" in repr(first)
    with pytest.raises(ServingError, match="It has stopped"):
        first.predict([1.0])
    with serve(ServeConfig(model_base_path=models / "half", rest_api_port=port)) as second:
        assert urlsplit(second.address).port == port
        assert second.predict([1.0]).tolist() == [2.5]


def test_an_endpoint_that_is_dropped_stops(models, module_workspace):
    endpoint = serve(ServeConfig(model_base_path=models / "half", rest_api_port=0))
    server = psutil.Process(endpoint.process_id)
    del endpoint
    wait_until(lambda: not server.is_running())


@pytest.mark.parametrize("end", ["kill -9", "an ordinary end"])
def test_the_server_ends_with_its_parent(models, module_workspace, end):
    code = """
import sys
from agiwb.serving.serve import ServeConfig, serve
endpoint = serve(ServeConfig(model_base_path=sys.argv[1], rest_api_port=0))
print(endpoint.process_id, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, models / "half"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        server = psutil.Process(int(parent.stdout.readline()))
        assert server.is_running()
        if end == "kill -9":
            parent.kill()
        else:
            parent.stdin.close()
    wait_until(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)


def test_the_server_ends_with_its_parent_though_a_forked_child_lives(models, module_workspace):
    code = """
import os, sys, time
from agiwb.serving.serve import ServeConfig, serve
endpoint = serve(ServeConfig(model_base_path=sys.argv[1], rest_api_port=0))
child = os.fork()
if child:
    print(endpoint.process_id, child, flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, models / "half"], stdout=subprocess.PIPE, text=True
    ) as parent:
        server, child = map(psutil.Process, map(int, parent.stdout.readline().split()))
        parent.kill()
        try:
            wait_until(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)
            assert child.is_running()
        finally:
            child.kill()


def test_a_model_that_does_not_load_is_told_with_the_servers_words(tmp_path, module_workspace):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "model.onnx").write_bytes(b"not a model")
    config = ServeConfig(model_base_path=tmp_path, model_name="broken", rest_api_port=0)
    with pytest.raises(ServingError, match="cannot be run as an ONNX model"):
        serve(config)


def test_a_port_taken_meanwhile_is_told_with_the_servers_words(models, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        flags = ["--model-name", "half", "--model-base-path", str(models / "half")]
        with pytest.raises(ServingError, match=f"Port {port} on 127.0.0.1 is in use"):
            start_server([*flags, "--rest-api-port", str(port)], tmp_path / "log")


def test_a_server_that_is_not_ready_in_time_is_ended(models, tmp_path, monkeypatch):
    monkeypatch.setattr("agiwb.serving.launch._START_TIMEOUT_S", 0.05)
    before = set(psutil.Process().children())
    flags = ["--model-name", "half", "--model-base-path", str(models / "half")]
    with pytest.raises(ServingError, match="did not start"):
        start_server([*flags, "--rest-api-port", "0"], tmp_path / "log")
    assert set(psutil.Process().children()) <= before


def test_the_server_refuses_other_machines(models, tmp_path):
    flags = ["--model-name", "half", "--model-base-path", str(models / "half")]
    with pytest.raises(ServingError, match="nobody has to say who they are"):
        start_server([*flags, "--host", "0.0.0.0"], tmp_path / "log")  # noqa: S104
