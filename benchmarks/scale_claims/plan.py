"""What a plan predicts against what an open loop of Poisson arrivals then measures, here.

A run of the model takes about a millisecond, so that the load generator can keep up. A plan is made
for workers that have a core each: where none is left for the generator, nothing is said.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from compression_claims.claims import Claim, at_most

from agiwb.artifacts.manifest import Artifact, list_model_files, write_artifact
from agiwb.artifacts.resolve import ArtifactSource
from agiwb.planning.measuring import Measurement, measure
from agiwb.planning.payload import Payload, payload
from agiwb.planning.sizing import Predictor
from agiwb.runtimes.onnx import OnnxRuntime
from agiwb.serving.launch import start_server, stop_server
from agiwb.serving.load_test import LoadTest, load_test
from agiwb.serving.publish import publish
from agiwb.serving.serve import as_flags
from agiwb.serving.settings import ServerSettings

LOADS = (0.5, 0.8)
WORKERS = (1, 2)
SECONDS, QUICK_SECONDS = 12.0, 4.0
ROUNDS, QUICK_ROUNDS = 5, 1
CONNECTIONS = 400
"""The kernel shares connections, not requests, among workers: many of them are shared evenly."""
OFF = 0.2
SIDE, CHANNELS, LAYERS, CLASSES = 8, 64, 16, 10


def plan(*, quick: bool) -> list[Claim]:
    """Return the claims: each figure predicted is within a fifth of the median measured."""
    claims = []
    seconds = QUICK_SECONDS if quick else SECONDS
    with tempfile.TemporaryDirectory() as scratch:
        source = _write_model(Path(scratch) / "model")
        for workers in WORKERS:
            if workers >= (os.cpu_count() or 1):
                print(f"plan           {workers} worker(s): not measured, for no core is left")
                continue
            measured = measure(
                source, workers=workers, rows=1, encoding="json", logs=False, seconds=seconds / 2
            )
            claims += _compare(source, measured, seconds, QUICK_ROUNDS if quick else ROUNDS)
    return claims


def _compare(
    source: ArtifactSource, measured: Measurement, seconds: float, rounds: int
) -> list[Claim]:
    service = measured.service(1)
    predictor = Predictor(measured, service)
    print(
        f"plan           {measured.workers} worker(s): {measured.per_run_us:.0f} us a run and "
        f"{measured.per_request_us:.0f} us a request, {measured.slowness:.2f} times that if it is "
        f"kept busy, {measured.pause_us:.0f} us more after a pause, "
        f"{predictor.capacity:.0f} requests/s at most; "
        f"others used {measured.others_busy:.0%} of the processors"
    )
    claims = []
    with _serving(source, measured.workers) as (address, asked):
        for load in LOADS:
            rate = load * predictor.capacity
            predicted = predictor.predict(rate, 1)
            tests = [_ask(address, asked, rate, seconds, seed) for seed in range(rounds)]
            found = {
                "p50": (predicted.p50_ms, [test.p50_ms for test in tests]),
                "p99": (predicted.p99_ms, [test.p99_ms for test in tests]),
                "throughput": (rate, [test.requests_per_s for test in tests]),
            }
            lag_ms = max(test.generator_lag_ms for test in tests)
            for name, (expected, each) in found.items():
                middle = float(np.median(each))
                print(
                    f"  {name:<10} at {load:.0%}: predicted {expected:9.3f}, measured {middle:9.3f}"
                    f" ({min(each):.3f} to {max(each):.3f}); the generator lagged {lag_ms:.2f} ms"
                )
                text = f"{name} of {measured.workers} worker(s) at {load:.0%}: off by, of measured"
                claims.append(at_most(text, abs(expected - middle) / middle, OFF))
    return claims


def _ask(address: str, asked: Payload, rate: float, seconds: float, seed: int) -> LoadTest:
    test = load_test(
        address + asked.path,
        asked.body,
        headers=asked.headers,
        concurrency=CONNECTIONS,
        seconds=seconds,
        rate=rate,
        poisson=True,
        seed=seed,
    )
    if test.failed:
        raise RuntimeError(str(test))
    return test


@contextmanager
def _serving(source: ArtifactSource, workers: int) -> Iterator[tuple[str, Payload]]:
    with tempfile.TemporaryDirectory() as scratch:
        base_path = Path(scratch) / "planned"
        publish(source, base_path)
        settings = ServerSettings(
            model_base_path=base_path, workers=workers, rest_api_port=0, grpc=False
        )
        process, ready = start_server(as_flags(settings), Path(scratch) / "log")
        try:
            yield ready.address, payload("planned", ready.signature, 1, "json")
        finally:
            stop_server(process)


def _write_model(folder: Path) -> ArtifactSource:
    """Return an artifact of convolutions, whose time is arithmetic's rather than memory's."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = {"shape": np.array([-1, 1, SIDE, SIDE], np.int64)}
    nodes, last = [helper.make_node("Reshape", ["features", "shape"], ["picture"])], "picture"
    for layer in range(LAYERS):
        before = CHANNELS if layer else 1
        scale = (9 * before) ** -0.5
        weights[f"w{layer}"] = rng.normal(0, scale, (CHANNELS, before, 3, 3)).astype(np.float32)
        pads = [1, 1, 1, 1]
        nodes.append(helper.make_node("Conv", [last, f"w{layer}"], [f"x{layer}"], pads=pads))
        nodes.append(helper.make_node("Relu", [f"x{layer}"], [f"y{layer}"]))
        last = f"y{layer}"
    weights["out"] = rng.normal(0, 0.1, (CHANNELS, CLASSES)).astype(np.float32)
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
    nodes.append(helper.make_node("MatMul", ["flat", "out"], ["logits"]))
    nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"]))
    graph = helper.make_graph(
        nodes,
        "convolutions",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", SIDE * SIDE])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    artifact = Artifact(
        format="onnx",
        name="convolutions",
        dataset=None,
        classes=(),
        signature=OnnxRuntime(folder / "model.onnx").signature,
        source_sha256="0" * 64,
        files=list_model_files(folder),
    )
    write_artifact(folder, artifact)
    return ArtifactSource(folder, artifact)
