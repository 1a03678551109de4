"""What an engine's requests leave behind: spans, and TensorFlow Serving's metrics."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.runtimes.served_signature import CLASSIFY_METHOD, REGRESS_METHOD, ServedSignature
from agiwb.serving.access.gate import Gate
from agiwb.serving.batching import BatchingParameters
from agiwb.serving.exchange import Caller
from agiwb.serving.grpc.example_methods import ExampleMethods
from agiwb.serving.metrics.traces import open_traces
from agiwb.serving.protobuf.messages import message_class
from agiwb.serving.rest.application import RestApplication
from agiwb.serving.servables.servable import RunTime
from agiwb.serving.servables.warm_up import write_warm_up
from tests.serving.engines import Watched, ask, ask_now, engine_of, load
from tests.serving.onnx_models import write_half_plus_two
from tests.serving.served import asking, request

BATCHING = BatchingParameters(max_batch_size=2, batch_timeout_micros=1000)


def halves(rows=1):
    return {"x": np.zeros(rows, np.float32)}


def parents(exporter):
    """Return the number of requests, and of the runs below each."""
    spans = exporter.get_finished_spans()
    runs = {span.context.span_id: 0 for span in spans if span.name != "run"}
    for span in spans:
        if span.name == "run":
            runs[span.parent.span_id] += 1
    return list(runs.values())


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("batching", [None, BATCHING])
def test_a_run_belongs_to_its_request_in_whatever_thread_it_is(tmp_path, inline, batching):
    model = Watched(load(write_half_plus_two(tmp_path / "models" / "1")), inline=inline)
    exporter = InMemorySpanExporter()
    traces = open_traces("m", exporter=exporter)

    async def ask_both():
        await asyncio.gather(ask(engine, halves(2)), ask(engine, halves(300)))

    with engine_of(tmp_path / "s", {"m": model}, traces=traces, batching=batching) as engine:
        asyncio.run(ask_both())
        ask_now(engine, halves())
    requests = parents(exporter)
    assert len(requests) == 3
    assert all(requests)


def test_requests_of_one_turn_share_a_run_of_one_of_them(tmp_path):
    model = Watched(load(write_half_plus_two(tmp_path / "models" / "1")))
    exporter = InMemorySpanExporter()

    async def ask_many():
        await asyncio.gather(*(ask(engine, halves()) for _ in range(4)))

    traces = open_traces("m", exporter=exporter)
    with engine_of(tmp_path / "s", {"m": model}, traces=traces) as engine:
        asyncio.run(ask_many())
    assert sum(parents(exporter)) == len(model.runs)
    assert len(parents(exporter)) == 4


def test_spans_that_wait_are_sent_when_the_engine_ends(tmp_path):
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    model = load(write_half_plus_two(tmp_path / "models" / "1"))
    traces, sent = open_traces("m", exporter=InMemorySpanExporter()), InMemorySpanExporter()
    traces._provider.add_span_processor(BatchSpanProcessor(sent, schedule_delay_millis=60_000))
    with engine_of(tmp_path / "s", {"m": model}, traces=traces) as engine:
        asyncio.run(ask(engine, halves()))
        assert sent.get_finished_spans() == ()
    assert len(sent.get_finished_spans()) == 2


def test_batches_and_how_long_their_requests_waited_are_counted(tmp_path):
    model = load(write_half_plus_two(tmp_path / "models" / "1"))
    with engine_of(tmp_path / "s", {"m": model}, batching=BATCHING) as engine:
        for _ in range(3):
            ask_now(engine, halves())
        metrics = engine.metrics
    assert metrics.values()["batching_session:wrapped_run_count"] == {(): 3}
    waited = metrics.histograms()["batching_session:queuing_latency"]["batch_threads",]
    _, counts, microseconds = waited
    assert counts[-1] == 3
    assert microseconds >= 3 * 900  # each was alone, and waited for others


def test_a_warm_up_with_recorded_requests_is_counted(tmp_path):
    folder = write_half_plus_two(tmp_path / "half" / "1")
    write_warm_up(folder, [halves(), halves(3)])
    with asking(tmp_path / "half") as ask_server:
        told = ask_server("GET", "/monitoring/prometheus/metrics").body.decode()
    labels = f'{{model_path="{folder}",status="OK"}}'
    assert f":tensorflow:serving:model_warmup_records_read{labels} 2\n" in told
    assert f":tensorflow:serving:model_warmup_latency_count{labels} 1\n" in told


def test_logged_predictions_are_counted_as_tensorflow_serving_does(tmp_path):
    write_half_plus_two(tmp_path / "half" / "1")
    with asking(tmp_path / "half", log_folder=tmp_path / "log") as ask_server:
        assert ask_server("POST", "/v1/models/half:predict", '{"instances": [1]}').status == 200
        told = ask_server("GET", "/monitoring/prometheus/metrics").body.decode()
    name = ":tensorflow:serving:request_log_count"
    assert f'{name}{{model_name="half",status_code="OK"}} 1\n' in told


class OnExamples:
    """Answers examples with a zero each."""

    run_time = RunTime(0.0)
    inline = True

    def __init__(self):
        inputs = (TensorSpec(name="inputs", dtype="object", shape=(None,)),)
        self.signatures = {}
        for name, output, method in [
            ("serving_default", "scores", CLASSIFY_METHOD),
            ("regress", "outputs", REGRESS_METHOD),
        ]:
            outputs = (TensorSpec(name=output, dtype="float32", shape=(None, 1)),)
            signature = Signature(inputs=inputs, outputs=outputs)
            self.signatures[name] = ServedSignature(signature, method)

    def run(self, inputs, signature_name="serving_default", outputs=()):
        (spec,) = self.signatures[signature_name].signature.outputs
        return {spec.name: np.zeros((len(inputs["inputs"]), 1), np.float32)}

    def close(self):
        pass


def test_methods_on_examples_are_counted_by_their_names(tmp_path):
    with engine_of(tmp_path, {"m": OnExamples()}) as engine:
        application = RestApplication(engine, Gate.open())
        body = '{"signature_name": "%s", "examples": [{"x": 1.0}, {"x": 2.0}]}'
        for method, name in ("classify", "serving_default"), ("regress", "regress"):
            asked = request("POST", f"/v1/models/m:{method}", body % name)
            assert asyncio.run(application(asked)).status == 200
        methods = ExampleMethods(engine)
        classified = message_class("ClassificationRequest")()
        classified.model_spec.name = "m"
        classified.model_spec.signature_name = "serving_default"
        classified.input.example_list.examples.add()
        methods.classify(classified, Caller("r", "tfs_grpc"))
        several = message_class("MultiInferenceRequest")()
        for name, method in ("serving_default", CLASSIFY_METHOD), ("regress", REGRESS_METHOD):
            task = several.tasks.add(method_name=method)
            task.model_spec.name, task.model_spec.signature_name = "m", name
        several.input.example_list.examples.add()
        methods.multi_inference(several, Caller("r", "tfs_grpc"))
        told = engine.metrics.render_tensorflow().decode()
    for api, entrypoint in (
        ("classify", "REST"),
        ("regress", "REST"),
        ("Classify", "GRPC"),
        ("MultiInference", "GRPC"),
    ):
        labels = f'{{model_name="m",API="{api}",entrypoint="{entrypoint}"}}'
        assert f":tensorflow:serving:request_latency_count{labels} 1\n" in told
    assert ':tensorflow:serving:request_example_count_total{model="m"} 6\n' in told


@pytest.mark.parametrize("size", [10, 200_000])
def test_large_bodies_are_decoded_in_a_thread(tmp_path, size, monkeypatch):
    from threading import current_thread, main_thread

    from agiwb.serving.rest import tensorflow

    threads, decode = [], tensorflow.decode_request

    def noting(*given):
        threads.append(current_thread())
        return decode(*given)

    monkeypatch.setattr(tensorflow, "decode_request", noting)
    write_half_plus_two(tmp_path / "half" / "1")
    body = json.dumps({"instances": [2.0] * size})
    with asking(tmp_path / "half") as ask_server:
        answer = ask_server.document("POST", "/v1/models/half:predict", body)
    assert answer == {"predictions": [3.0] * size}
    assert (threads == [main_thread()]) == (size == 10)
