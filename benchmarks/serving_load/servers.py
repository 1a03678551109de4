"""The servers under measurement: how each is started, asked, and understood."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from serving_load.environments import PEERS, MissingError, python_of
from serving_load.models import CLASSES, FEATURES
from serving_load.processes import ProcessTree, free_port, on_core

from agiwb.serving.rest_json.json_text import dump_json

Rows = NDArray[np.float32]
_START_TIMEOUT_S = 60.0
_LOOK_S = 0.01
_TAIL_BYTES = 300
_JSON = {"Content-Type": "application/json"}
_JSON_LENGTH = "Inference-Header-Content-Length"
_GRPC_PREDICT = "/tensorflow.serving.PredictionService/Predict"


@dataclass(frozen=True)
class Dialect:
    """How rows are put into a request, and found in its answer.

    Attributes:
        name: Shown beside the server's.
        path: Where it is asked.
        encode: Returns the body for rows, and its headers.
        decode: Returns the probabilities of a body, given its headers.
        is_grpc: Whether the body is a gRPC message.
    """

    name: str
    path: str
    encode: Callable[[Rows], tuple[bytes, dict[str, str]]]
    decode: Callable[[bytes, Mapping[str, str]], NDArray[Any]]
    is_grpc: bool = False


@dataclass
class Server:
    """A server that runs."""

    name: str
    tree: ProcessTree
    port: int
    cold_start_s: float
    dialects: tuple[Dialect, ...]
    grpc_port: int = 0


@dataclass(frozen=True)
class Kind:
    """A server that can be started.

    Attributes:
        name: Shown, and given to ``--only``.
        command: Returns its command line for a model, a port, a port for gRPC, and a folder.
        dialects: How it is asked; the first is HTTP.
        environment: Variables it needs.
    """

    name: str
    command: Callable[[Path, int, int, Path], list[str]]
    dialects: tuple[Dialect, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, model: Path, folder: Path, core: int) -> Server:
        """Return the server once it answers one row.

        Raises:
            MissingError: It does not start here, or not in a minute.
        """
        port, grpc_port = free_port(), free_port()
        command = self.command(model, port, grpc_port, folder)
        log_path = folder / f"{self.name}.log"
        ours = {"BENCHMARK_MODEL": str(model), "PYTHONPATH": "", "BENTOML_HOME": str(folder)}
        start = time.perf_counter()
        with log_path.open("wb") as log, on_core(core):
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=folder,
                env={**os.environ, **ours, **self.environment},
            )
        server = Server(self.name, ProcessTree(process.pid), port, 0.0, self.dialects, grpc_port)
        rows = np.zeros((1, FEATURES), np.float32)
        while time.perf_counter() - start < _START_TIMEOUT_S and process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                ask(server, self.dialects[0], rows)
                server.cold_start_s = time.perf_counter() - start
                return server
            time.sleep(_LOOK_S)
        server.tree.stop()
        said = log_path.read_text(errors="replace")[-_TAIL_BYTES:].strip()
        raise MissingError(f"it did not start: {said or 'it said nothing'}")


def ask(server: Server, dialect: Dialect, rows: Rows, times: int = 1) -> NDArray[Any]:
    """Return the probabilities of ``rows``; asked several times, the last answer.

    Raises:
        OSError: It does not listen, or answers with an error.
    """
    body, headers = dialect.encode(rows)
    if dialect.is_grpc:
        return dialect.decode(_call(server, body, times), {})
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with contextlib.closing(connection):
        for _ in range(times):
            connection.request("POST", dialect.path, body, headers)
            response = connection.getresponse()
            answer = response.read()
            if response.status != 200:
                raise OSError(f"{response.status}: {answer[:200]!r}")
    return dialect.decode(answer, response.headers)


def url_of(server: Server, dialect: Dialect) -> str:
    """Return where a load generator sends its requests."""
    return f"http://127.0.0.1:{server.grpc_port if dialect.is_grpc else server.port}{dialect.path}"


def _call(server: Server, message: bytes, times: int) -> bytes:
    import grpc

    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        predict = channel.unary_unary(_GRPC_PREDICT)
        for _ in range(times):
            answer: bytes = predict(message, timeout=30, wait_for_ready=True)
    return answer


def _instances(rows: Rows) -> tuple[bytes, dict[str, str]]:
    return dump_json({"instances": rows}), _JSON


def _predictions(body: bytes, _: Mapping[str, str]) -> NDArray[Any]:
    return np.array(json.loads(body)["predictions"], np.float32)


def _infer_json(rows: Rows) -> tuple[bytes, dict[str, str]]:
    tensor = {"name": "features", "shape": rows.shape, "datatype": "FP32", "data": rows.ravel()}
    return dump_json({"inputs": [tensor]}), _JSON


def _infer_outputs(body: bytes, _: Mapping[str, str]) -> NDArray[Any]:
    return np.array(json.loads(body)["outputs"][0]["data"], np.float32).reshape(-1, CLASSES)


def _infer_binary(rows: Rows) -> tuple[bytes, dict[str, str]]:
    size = {"binary_data_size": rows.nbytes}
    tensor = {"name": "features", "shape": rows.shape, "datatype": "FP32", "parameters": size}
    head = dump_json({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    return head + rows.tobytes(), {
        "Content-Type": "application/octet-stream",
        _JSON_LENGTH: str(len(head)),
    }


def _infer_binary_output(body: bytes, headers: Mapping[str, str]) -> NDArray[Any]:
    return _float_rows(body[int(headers[_JSON_LENGTH]) :], {})


def _raw(rows: Rows) -> tuple[bytes, dict[str, str]]:
    return rows.tobytes(), {"Content-Type": "application/octet-stream"}


def _float_rows(body: bytes, _: Mapping[str, str]) -> NDArray[Any]:
    return np.frombuffer(body, np.float32).reshape(-1, CLASSES)


def _predict_request(rows: Rows) -> tuple[bytes, dict[str, str]]:
    from agiwb.serving.protobuf.messages import message_class
    from agiwb.serving.protobuf.tensor_proto import write_tensor

    request = message_class("PredictRequest")()
    request.model_spec.name = "mlp"
    write_tensor(rows, request.inputs["features"], as_content=True)
    return request.SerializeToString(), {}


def _predict_response(body: bytes, _: Mapping[str, str]) -> NDArray[Any]:
    from agiwb.serving.protobuf.messages import message_class
    from agiwb.serving.protobuf.tensor_proto import read_tensor

    answer = message_class("PredictResponse").FromString(body)
    return np.asarray(read_tensor(answer.outputs["probabilities"]))


def _agiwb(model: Path, port: int, grpc_port: int, folder: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "agiwb.serving.server"),
        *("--model-name", "mlp", "--model-base-path", str(model.parents[1])),
        *("--rest-api-port", str(port), "--port", str(grpc_port)),
        *("--log-folder", str(folder / "predictions")),
    ]


def _script(peer: str) -> Callable[[Path, int, int, Path], list[str]]:
    def command(model: Path, port: int, grpc_port: int, folder: Path) -> list[str]:
        return [str(python_of(peer)), str(PEERS / f"{peer}_server.py"), str(port)]

    return command


def _mosec(model: Path, port: int, grpc_port: int, folder: Path) -> list[str]:
    place = ["--address", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    return [str(python_of("mosec")), str(PEERS / "mosec_server.py"), *place]


def _here(peer: str) -> Callable[[Path, int, int, Path], list[str]]:
    def command(model: Path, port: int, grpc_port: int, folder: Path) -> list[str]:
        return [sys.executable, str(PEERS / f"{peer}_server.py"), str(port)]

    return command


def _bentoml(model: Path, port: int, grpc_port: int, folder: Path) -> list[str]:
    serve = [str(python_of("bentoml")), "-m", "bentoml", "serve", "bentoml_server:Classifier"]
    return [*serve, "--host", "127.0.0.1", "--port", str(port), "--working-dir", str(PEERS)]


def _mlserver(model: Path, port: int, grpc_port: int, folder: Path) -> list[str]:
    python = python_of("mlserver")
    served = folder / "mlserver"
    served.mkdir(exist_ok=True)
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": grpc_port,
        "metrics_endpoint": None,
        "parallel_workers": 0,
        "debug": False,
        "logging_settings": {"version": 1, "disable_existing_loggers": True},
    }
    (served / "settings.json").write_text(json.dumps(settings))
    described = {"name": "mlp", "implementation": "mlserver_runtime.Classifier"}
    (served / "model-settings.json").write_text(json.dumps(described))
    return [str(python.with_name("mlserver")), "start", str(served)]


_ROWS = Dialect("JSON", "/predict", _instances, _predictions)

OURS = Kind(
    "agiwb",
    _agiwb,
    (
        Dialect("JSON", "/v1/models/mlp:predict", _instances, _predictions),
        Dialect("binary", "/v2/models/mlp/infer", _infer_binary, _infer_binary_output),
        Dialect("gRPC", _GRPC_PREDICT, _predict_request, _predict_response, is_grpc=True),
    ),
)
ONNXRUNTIME = Kind(
    "onnxruntime",
    _here("onnxruntime"),
    (Dialect("socket", "/", _raw, _float_rows),),
)
KINDS = (
    OURS,
    ONNXRUNTIME,
    Kind("mosec", _mosec, (Dialect("JSON", "/inference", _instances, _predictions),)),
    Kind("litserve", _script("litserve"), (_ROWS,)),
    Kind("bentoml", _bentoml, (_ROWS,), {"BENTOML_DO_NOT_TRACK": "True"}),
    Kind(
        "mlserver",
        _mlserver,
        (Dialect("JSON", "/v2/models/mlp/infer", _infer_json, _infer_outputs),),
        {"PYTHONPATH": str(PEERS)},
    ),
    Kind("fastapi", _here("fastapi"), (_ROWS,)),
)
"""Every server that can be measured, ours first."""
