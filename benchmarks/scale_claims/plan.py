"""What a plan predicts against what an open loop of Poisson arrivals then measures, here.

Each round predicts and then measures, so that both meet the same machine. On a busy one repeats of
a load differ by more than a prediction may be off: it must lie in their range, or a fifth beside.
A run of the model takes about a millisecond, so that the load generator can keep up. A plan is made
for workers that have a core each: where none is left for the generator, nothing is said.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from compression_claims.claims import Claim, at_most

from agiwb.artifacts.manifest import Artifact, list_model_files, write_artifact
from agiwb.artifacts.resolve import ArtifactSource
from agiwb.planning.measuring import measure
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
MEASURED = 4
"""The seconds of one load over those of each load that a prediction is made from."""
OFF = 0.2
SIDE, CHANNELS, LAYERS, CLASSES = 8, 64, 16, 10


def plan(*, quick: bool) -> list[Claim]:
    """Return the claims: predictions lie in the range of the rounds measured, or a fifth beside."""
    claims = []
    seconds = QUICK_SECONDS if quick else SECONDS
    with tempfile.TemporaryDirectory() as scratch:
        source = _write_model(Path(scratch) / "model")
        for workers in WORKERS:
            if workers >= (os.cpu_count() or 1):
                print(f"plan           {workers} worker(s): not measured, for no core is left")
                continue
            rounds = range(QUICK_ROUNDS if quick else ROUNDS)
            found = [_round(source, workers, seconds, seed) for seed in rounds]
            for load in LOADS:
                claims += _judge(workers, load, [each[load] for each in found])
    return claims


@dataclass(frozen=True)
class _Figures:
    """What was predicted of one load or measured under it: milliseconds, requests a second."""

    p50: float
    p99: float
    throughput: float


_Pair = tuple[_Figures, _Figures]
"""What was predicted, and what was measured right after it."""


def _round(source: ArtifactSource, workers: int, seconds: float, seed: int) -> dict[float, _Pair]:
    """Return a prediction for each load, with what an open loop then measured."""
    measured = measure(
        source, workers=workers, rows=1, encoding="json", logs=False, seconds=seconds / MEASURED
    )
    predictor = Predictor(measured, measured.service(1))
    print(
        f"plan           {workers} worker(s): {measured.per_run_us:.0f} us a run and "
        f"{measured.per_request_us:.0f} us a request, {measured.slowness:.2f} times that if it is "
        f"kept busy, {measured.pause_us:.0f} us more after a pause, "
        f"{predictor.capacity:.0f} requests/s at most; "
        f"others used {measured.others_busy:.0%} of the processors"
    )
    pairs = {}
    with _serving(source, workers) as (address, asked):
        for load in LOADS:
            rate = load * predictor.capacity
            predicted = predictor.predict(rate, 1)
            test = _ask(address, asked, rate, seconds, seed)
            pairs[load] = (
                _Figures(predicted.p50_ms, predicted.p99_ms, rate),
                _Figures(test.p50_ms, test.p99_ms, test.requests_per_s),
            )
            print(
                f"  {load:.0%}: p50 {predicted.p50_ms:.2f} predicted, {test.p50_ms:.2f} measured; "
                f"p99 {predicted.p99_ms:.1f} and {test.p99_ms:.1f}; requests/s {rate:.0f} and "
                f"{test.requests_per_s:.0f}; the generator lagged {test.generator_lag_ms:.2f} ms"
            )
    return pairs


def _judge(workers: int, load: float, pairs: Sequence[_Pair]) -> list[Claim]:
    """Return the claims about one load: repeats of it differ by more than a prediction may."""
    claims = []
    for name in ("p50", "p99", "throughput"):
        predicted, measured = (
            np.array([getattr(pair[side], name) for pair in pairs]) for side in (0, 1)
        )
        expected, middle = float(np.median(predicted)), float(np.median(measured))
        low, high = float(measured.min()), float(measured.max())
        print(
            f"  {name:<10} at {load:.0%}: predicted {expected:.3f} ({predicted.min():.3f} to "
            f"{predicted.max():.3f}), measured {middle:.3f} ({low:.3f} to {high:.3f}): off by "
            f"{abs(expected - middle) / middle:.0%} of the middle one"
        )
        if name == "throughput":  # it does not depend on how unevenly a machine works
            low = high = middle
        outside = max(0.0, (low - expected) / low, (expected - high) / high)
        what = "off by, of measured" if low == high else f"outside what {len(pairs)} rounds saw by"
        text = f"{name} of {workers} worker(s) at {load:.0%}: {what}"
        claims.append(at_most(text, outside, OFF))
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
