"""OpenTelemetry spans of requests: one a request, and within it one for the model's run.

Traces are off unless ``open_traces`` is called; the packages come with ``agiwb[tracing]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agiwb.errors import ConfigError
from agiwb.serving.status import code_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

_TRACING = "Install it with `pip install 'agiwb[tracing]'`."

Attributes = Mapping[str, str | int | float | bool]


class Traces:
    """Makes the spans of one server.

    Thread safety: both methods may be called from any thread and any task; a ``run`` belongs to the
    ``request`` that surrounds it in the same thread or task.
    """

    def __init__(self, provider: TracerProvider) -> None:
        """Send spans where ``provider`` does."""
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("agiwb.serving")
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def request(
        self,
        name: str,
        traceparent: str = "",
        tracestate: str = "",
        attributes: Attributes | None = None,
    ) -> Iterator[Span]:
        """Trace the block as one request that was served.

        An error that leaves the block is noted with its canonical code.

        Args:
            name: Of the span, such as ``predict digits``.
            traceparent: W3C header of the client's span, which this one belongs to; "" if none. One
                that is malformed begins a trace of its own, as the standard says.
            tracestate: The header of the same standard.
            attributes: Of the span.
        """
        from opentelemetry.trace import SpanKind, Status, StatusCode

        parent = None
        if traceparent:
            parent = self._propagator.extract(
                {"traceparent": traceparent, "tracestate": tracestate}
            )
        with self._tracer.start_as_current_span(
            name,
            context=parent,
            kind=SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,  # its message may quote what the client sent
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                code = code_of(error)
                span.set_attribute("rpc.grpc.status_code", int(code))
                span.set_status(Status(StatusCode.ERROR, code.name))
                raise

    @contextmanager
    def run(self, attributes: Attributes | None = None) -> Iterator[Span]:
        """Trace the block as a run of the model."""
        with self._tracer.start_as_current_span(
            "run", attributes=attributes, record_exception=False
        ) as span:
            yield span

    def close(self) -> None:
        """Send what is not sent yet, and end."""
        self._provider.shutdown()


def open_traces(
    service: str,
    endpoint: str = "",
    share: float = 1.0,
    exporter: SpanExporter | None = None,
) -> Traces:
    """Return the traces of a server, to be sent in the background.

    Args:
        service: Name of the service in the traces.
        endpoint: URL of an OTLP collector over HTTP, such as ``http://host:4318/v1/traces``; ""
            for what the variables ``OTEL_EXPORTER_OTLP_*`` say.
        share: Of the traces that begin here; those that a client began follow its choice.
        exporter: Another place to send spans to, at once.

    Raises:
        ConfigError: A package is missing.
    """
    try:
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ImportError as error:
        raise ConfigError("Traces need the package `opentelemetry-sdk`.", _TRACING) from error
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(share)),
        resource=Resource.create({SERVICE_NAME: service}),
    )
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    else:
        provider.add_span_processor(BatchSpanProcessor(_collector(endpoint)))
    return Traces(provider)


def _collector(endpoint: str) -> SpanExporter:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # type: ignore[import-not-found, unused-ignore]
            OTLPSpanExporter,
        )
    except ImportError as error:
        raise ConfigError(
            "Traces need the package `opentelemetry-exporter-otlp-proto-http`.", _TRACING
        ) from error
    exporter: SpanExporter = OTLPSpanExporter(endpoint=endpoint or None)
    return exporter
