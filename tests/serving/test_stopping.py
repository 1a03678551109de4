"""Servers that start with trouble and stop with trouble: real processes, asked by signals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import grpc
import numpy as np
import psutil
import pytest

from agiwb.serving.prediction_log import read_predictions
from agiwb.serving.protobuf.messages import message_class
from agiwb.serving.protobuf.tensor_proto import write_tensor
from agiwb.serving.stop_limits import PROCESS_S, SERVER_S, WORKERS_S
from tests.serving.onnx_models import write_half_plus_two, write_loop

pytestmark = pytest.mark.slow

READ_S = 60


@contextlib.contextmanager
def started(errors, *words):
    """Yield a server process."""
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "agiwb.serving.server", "--rest_api_port=0", *words],
            stdout=subprocess.PIPE,
            stderr=stderr,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def write_config(path, **models):
    entries = (
        f'config {{ name: "{name}" base_path: "{folder}" }}' for name, folder in models.items()
    )
    path.write_text(f"model_config_list {{ {' '.join(entries)} }}")
    return f"--model_config_file={path}"


def predict(address, name, instances):
    body = json.dumps({"instances": instances}).encode()
    with urllib.request.urlopen(f"{address}/v1/models/{name}:predict", body, READ_S) as answer:
        return json.load(answer)["predictions"]


def test_a_broken_first_model_takes_no_other_down(tmp_path):
    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "1" / "model.onnx").write_bytes(b"no model")
    write_half_plus_two(tmp_path / "good" / "1")
    config = write_config(tmp_path / "models", broken=tmp_path / "broken", good=tmp_path / "good")
    with started(tmp_path / "errors", config, "--no-grpc") as process:
        ready = json.loads(process.stdout.readline())
        assert (ready["model_name"], ready["version"]) == ("good", 1)
        assert predict(ready["address"], "good", [2.0]) == [3.0]
        process.terminate()
        assert process.wait(READ_S) == 0


def test_a_server_without_models_waits_for_some(tmp_path):
    config = write_config(tmp_path / "models")
    with started(
        tmp_path / "errors", config, "--no-grpc", "--model_config_file_poll_wait_seconds=0.1"
    ) as process:
        ready = json.loads(process.stdout.readline())
        assert ready["model_name"] == ""
        write_half_plus_two(tmp_path / "m" / "1")
        write_config(tmp_path / "models", m=tmp_path / "m")
        ends = time.monotonic() + READ_S
        while True:
            try:
                assert predict(ready["address"], "m", [2.0]) == [3.0]
                break
            except urllib.error.HTTPError:
                assert time.monotonic() < ends
                time.sleep(0.05)


def test_a_server_that_is_loading_stops_at_once(tmp_path):
    """A version that is being copied for long keeps it waiting for two minutes otherwise."""
    part = write_half_plus_two(tmp_path / "m" / "1") / "model.onnx.part"
    log = f"--log_folder={tmp_path / 'log'}"
    base_path = f"--model_base_path={tmp_path / 'm'}"
    with started(tmp_path / "errors", base_path, "--no-grpc", log) as process:
        about = psutil.Process(process.pid)
        ends = time.monotonic() + READ_S
        while not any(one.status == psutil.CONN_LISTEN for one in about.net_connections()):
            assert time.monotonic() < ends
            part.write_bytes(os.urandom(8))
            time.sleep(0.05)
        for _ in range(20):
            part.write_bytes(os.urandom(8))
            time.sleep(0.05)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0  # and not two minutes
        assert process.stdout.read() == b""
    assert (tmp_path / "errors").read_text() == ""


def test_a_call_that_hangs_neither_keeps_a_server_alive_nor_loses_what_was_acknowledged(tmp_path):
    write_loop(tmp_path / "m" / "1")
    (tmp_path / "policy.yaml").write_text("durability: none")
    words = [
        f"--model_base_path={tmp_path / 'm'}",
        "--port=0",
        f"--log_folder={tmp_path / 'log'}",
        f"--log_policy={tmp_path / 'policy.yaml'}",
    ]
    with started(tmp_path / "errors", *words) as process:
        ready = json.loads(process.stdout.readline())
        with grpc.insecure_channel(ready["grpc_address"]) as channel:
            hanging = call(channel, np.array([2**40]))
            time.sleep(0.5)
            assert not hanging.done()
            call(channel, np.array([3])).result(READ_S)
            process.send_signal(signal.SIGTERM)
            start = time.monotonic()
            process.wait(SERVER_S)
            assert time.monotonic() - start < PROCESS_S + 1
    assert len(read_predictions(tmp_path / "log" / "m")) == 1


def call(channel, values):
    request = message_class("PredictRequest")()
    request.model_spec.name = "m"
    write_tensor(values, request.inputs["n"])
    method = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    return method.future(request.SerializeToString())


def test_each_wait_has_its_place_inside_the_one_around_it():
    assert PROCESS_S < WORKERS_S < SERVER_S
