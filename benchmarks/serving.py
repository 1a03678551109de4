"""Serving a small model: agiwb's server against a tutorial's FastAPI server and the engine alone.

Run it with ``python benchmarks/serving.py``; it takes about a minute. One client with one
connection asks for one example at a time, in turns from each server, so that other load on the
machine meets both alike. The peer comes with MLflow and runs in the same environment: same Python,
same ONNX Runtime. Our server logs each prediction before it answers; the peer logs nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import onnx
import psutil
from onnx import TensorProto, helper, numpy_helper

from agiwb.runtimes.onnx import OnnxRuntime
from agiwb.serving.rest_json.json_text import dump_json
from agiwb.serving.serve import ServeConfig, serve

ROUNDS = 8
REQUESTS_A_ROUND = 250
WARM_UP = 100
FEATURES, HIDDEN, CLASSES = 64, 128, 10

PEER = """
import sys
import numpy, onnxruntime, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
session = onnxruntime.InferenceSession(sys.argv[1])

class Request(BaseModel):
    instances: list[list[float]]

@app.post("/predict")
def predict(request: Request):
    batch = numpy.array(request.instances, dtype=numpy.float32)
    return {"predictions": session.run(None, {"features": batch})[0].tolist()}

@app.get("/")
def health():
    return "ok"

uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
"""


@dataclass
class Subject:
    """A server under test and what was measured of it."""

    name: str
    process: psutil.Process
    url: str
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0

    @property
    def p50_ms(self) -> float:
        return statistics.median(self.seconds) * 1000

    @property
    def p99_ms(self) -> float:
        return float(np.quantile(self.seconds, 0.99)) * 1000

    @property
    def requests_per_s(self) -> float:
        return len(self.seconds) / sum(self.seconds)

    @property
    def cpu_us(self) -> float:
        return self.cpu_seconds / len(self.seconds) * 1e6


class Client:
    """One keep-alive connection that costs as little as can be."""

    def __init__(self, url: str, body: bytes) -> None:
        place = urlsplit(url)
        self._socket = socket.create_connection((place.hostname, place.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._request = head.encode() + body

    def ask(self) -> bytes:
        """Return the body of one answer."""
        self._socket.sendall(self._request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, _, body = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(data.decode())
        size = int(head.lower().partition(b"content-length:")[2].split()[0])
        while len(body) < size:
            body += self._receive()
        return body

    def _receive(self) -> bytes:
        data = self._socket.recv(65_536)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data


def main() -> int:
    """Print what was measured, then one line of JSON; return 0 if every claim holds."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AGIWB_WORKSPACE"] = f"{folder}/workspace"
        path = write_mlp(Path(folder) / "mlp" / "1")
        config = ServeConfig(model_base_path=path.parent.parent, rest_api_port=0)
        start = time.perf_counter()
        with serve(config) as endpoint:
            cold_start_s = time.perf_counter() - start
            ours = Subject("agiwb", psutil.Process(endpoint.process_id), endpoint.url)
            with fastapi_server(path) as peer:
                error = measure(ours, peer, OnnxRuntime(path))
            pss_mb = ours.process.memory_full_info().pss / 1e6
        engine_us = time_engine(OnnxRuntime(path))
    for subject in (ours, peer):
        print(
            f"{subject.name:<8} {subject.requests_per_s:7.0f} requests/s   "
            f"p50 {subject.p50_ms:.3f} ms   p99 {subject.p99_ms:.3f} ms   "
            f"server CPU {subject.cpu_us:.0f} us a request"
        )
    print(f"engine   {engine_us:.0f} us a run in this process: the limit")
    print(f"agiwb    cold start {cold_start_s:.2f} s   memory (PSS) {pss_mb:.0f} MB")
    claims = [
        at_least("requests/s relative to FastAPI", ours.requests_per_s / peer.requests_per_s, 1.5),
        at_least("CPU of FastAPI relative to ours", peer.cpu_us / ours.cpu_us, 1.5),
        at_most("p50 at batch 1, ms", ours.p50_ms, 1),
        at_most("cold start, s", cold_start_s, 3),
        at_most("memory (PSS), MB", pss_mb, 100),
        at_most("largest difference from the engine's answers", error, 0),
    ]
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()}
    print(json.dumps({"claims": claims, "machine": machine}))
    return 0 if all(claim["holds"] for claim in claims) else 1


def measure(ours: Subject, peer: Subject, engine: OnnxRuntime) -> float:
    """Ask both servers in turns; return the largest difference of their answers from the engine."""
    features = np.random.default_rng(1).normal(size=(1, FEATURES)).astype(np.float32)
    expected = engine.run({"features": features})["probabilities"]
    clients = {id(one): Client(one.url, dump_json({"instances": features})) for one in (ours, peer)}
    error = 0.0
    for client in clients.values():
        for _ in range(WARM_UP):
            answer = np.array(json.loads(client.ask())["predictions"], np.float32)
            error = max(error, float(np.abs(answer - expected).max()))
    for _ in range(ROUNDS):
        for subject in (ours, peer):
            before = cpu_seconds(subject.process)
            for _ in range(REQUESTS_A_ROUND):
                start = time.perf_counter()
                clients[id(subject)].ask()
                subject.seconds.append(time.perf_counter() - start)
            subject.cpu_seconds += cpu_seconds(subject.process) - before
    return error


def cpu_seconds(process: psutil.Process) -> float:
    """Return the processor time a process has used so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def time_engine(engine: OnnxRuntime) -> float:
    """Return the median microseconds of one run at batch 1, without any server."""
    features = np.zeros((1, FEATURES), np.float32)
    seconds = []
    for _ in range(ROUNDS * REQUESTS_A_ROUND):
        start = time.perf_counter()
        engine.run({"features": features})
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds) * 1e6


@contextlib.contextmanager
def fastapi_server(model: Path) -> Iterator[Subject]:
    """Yield a server as tutorials write it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/predict"
    with subprocess.Popen([sys.executable, "-c", PEER, model, str(port)]) as process:
        try:
            wait_until_listening(process, port)
            yield Subject("FastAPI", psutil.Process(process.pid), url)
        finally:
            process.terminate()


def wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    """Return once the port answers."""
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError("the peer did not start")


def write_mlp(folder: Path) -> Path:
    """Return the path of a softmax classifier with random weights."""
    random = np.random.default_rng(0)
    weights = {
        "w1": random.normal(0, FEATURES**-0.5, (FEATURES, HIDDEN)),
        "w2": random.normal(0, HIDDEN**-0.5, (HIDDEN, CLASSES)),
    }
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "w1"], ["a"]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("MatMul", ["b", "w2"], ["c"]),
            helper.make_node("Softmax", ["c"], ["probabilities"]),
        ],
        "mlp",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", FEATURES])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    folder.mkdir(parents=True)
    path = folder / "model.onnx"
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


def at_least(name: str, value: float, bar: float) -> dict[str, object]:
    """Return a claim that holds if ``value`` reaches ``bar``."""
    return {"name": name, "value": round(value, 4), "bar": bar, "holds": value >= bar}


def at_most(name: str, value: float, bar: float) -> dict[str, object]:
    """Return a claim that holds if ``value`` does not exceed ``bar``."""
    return {"name": name, "value": round(value, 4), "bar": bar, "holds": value <= bar}


if __name__ == "__main__":
    sys.exit(main())
