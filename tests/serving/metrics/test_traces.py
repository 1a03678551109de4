"""Spans of requests, read from OpenTelemetry's own exporter in memory."""

from __future__ import annotations

import asyncio
import sys

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from agiwb.errors import ConfigError
from agiwb.serving.metrics.traces import open_traces
from agiwb.serving.status import Code, Refusal

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def test_a_request_continues_the_clients_trace_and_holds_its_run(exporter):
    traces = open_traces("shop", exporter=exporter)
    with (
        traces.request("predict m", f"00-{TRACE}-{SPAN}-01", attributes={"model": "m"}),
        traces.run({"rows": 3}),
    ):
        pass
    run, request = exporter.get_finished_spans()
    assert (request.name, request.kind) == ("predict m", SpanKind.SERVER)
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == SPAN
    assert request.attributes["model"] == "m"
    assert request.resource.attributes["service.name"] == "shop"
    assert run.parent.span_id == request.context.span_id
    assert run.attributes["rows"] == 3


def test_a_client_that_does_not_sample_is_not_traced(exporter):
    with open_traces("shop", exporter=exporter).request("predict m", f"00-{TRACE}-{SPAN}-00"):
        pass
    assert exporter.get_finished_spans() == ()


def test_a_malformed_traceparent_begins_a_trace(exporter):
    with open_traces("shop", exporter=exporter).request("predict m", "00-nonsense"):
        pass
    (request,) = exporter.get_finished_spans()
    assert request.parent is None


def test_an_error_is_its_code_and_never_its_words(exporter):
    traces = open_traces("shop", exporter=exporter)
    with pytest.raises(Refusal), traces.request("predict m"):
        raise Refusal(Code.NOT_FOUND, "secret")
    (request,) = exporter.get_finished_spans()
    assert (request.status.status_code, request.status.description) == (
        StatusCode.ERROR,
        "NOT_FOUND",
    )
    assert request.attributes["rpc.grpc.status_code"] == 5
    assert "secret" not in request.to_json()


def test_requests_side_by_side_on_one_loop_keep_their_own_runs(exporter):
    traces = open_traces("shop", exporter=exporter)

    async def ask(name: str) -> None:
        with traces.request(name):
            await asyncio.sleep(0.01)
            with traces.run({"of": name}):
                await asyncio.sleep(0)

    async def ask_both() -> None:
        await asyncio.gather(ask("a"), ask("b"))

    asyncio.run(ask_both())
    spans = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans if span.name != "run"}
    runs = [span for span in spans if span.name == "run"]
    assert len(runs) == 2
    assert all(names[run.parent.span_id] == run.attributes["of"] for run in runs)


@pytest.mark.parametrize(
    "missing", ["opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter"]
)
def test_a_missing_package_is_one_error_that_says_how_to_get_it(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError, match=r"agiwb\[tracing\]"):
        open_traces("shop")
