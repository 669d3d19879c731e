"""Follows calls and jobs with OpenTelemetry; imported only where it is configured (`pip install 'buckler[otel]'`).

A span for each call and each job, with the ids that the log has, how many statements it sent to the database and how
long it waited for them; never what was asked and answered. Who calls may send `traceparent`, and its trace goes on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from sqlalchemy import Engine, event

from controlplane.runtime.jobs.queue import Job
from controlplane.runtime.observability.call_log import Entered
from controlplane.runtime.observability.tracing import Metadata
from controlplane.runtime.principal import DevicePrincipal, PersonPrincipal

#: Of the trace context; a longer one is not even parsed.
MAX_HEADER_CHARACTERS: Final = 512
_HEADERS: Final = ("traceparent", "tracestate")
#: Statuses that are our fault, as the conventions of OpenTelemetry for gRPC servers have them.
_ERRORS: Final = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})


@dataclass(slots=True)
class _Statements:
    count: int = 0
    seconds: float = 0.0


_statements: ContextVar[_Statements | None] = ContextVar("buckler_statements", default=None)


class Telemetry:
    """Spans of a process; port `Tracing`.

    Args:
        provider: Makes spans and sends them.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("buckler.controlplane")
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def call(self, entered: Entered, untrusted_metadata: Metadata) -> Iterator[None]:
        """A span of kind server; part of the caller's trace if it sent one."""
        parent = self._propagator.extract(_headers(untrusted_metadata))
        service, _, method = entered.method.removeprefix("/").rpartition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
        span = self._tracer.start_span(
            entered.method.removeprefix("/"), parent, kind=SpanKind.SERVER, attributes=attributes
        )
        # A stream lives on through many tasks: it has a span, and is not what they run under.
        with _running(span, current=entered.timed):
            try:
                yield
            finally:
                span.set_attributes(_attributes_of(entered))
                if entered.code in _ERRORS:
                    span.set_status(Status(StatusCode.ERROR))

    @contextmanager
    def job(self, job: Job) -> Iterator[None]:
        """A span of its own trace."""
        attributes: dict[str, str | int] = {
            "buckler.job.kind": job.kind,
            "buckler.job.attempts": job.attempts,
            "buckler.org_id": job.org_id,
        }
        span = self._tracer.start_span(f"job {job.kind}", otel_context.Context(), attributes=attributes)
        with _running(span, current=True):
            try:
                yield
            except Exception as error:
                # Its kind, not its words: those may hold what somebody sent.
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    def finish(self) -> None:
        """Send what waits."""
        self._provider.shutdown()

    def watch(self, engine: Engine) -> None:
        """Count the statements of each call and job."""

        def begins(_connection: Any, _cursor: Any, _statement: str, _given: Any, context: Any, _many: bool) -> None:  # noqa: FBT001 -- SQLAlchemy's
            context.buckler_began = perf_counter()

        def ended(_connection: Any, _cursor: Any, _statement: str, _given: Any, context: Any, _many: bool) -> None:  # noqa: FBT001 -- SQLAlchemy's
            statements = _statements.get()
            if statements is not None:
                statements.count += 1
                statements.seconds += perf_counter() - context.buckler_began

        event.listen(engine, "before_cursor_execute", begins)
        event.listen(engine, "after_cursor_execute", ended)


def telemetry(endpoint: str, processor: SpanProcessor | None = None) -> Telemetry:
    """As configured; further settings (headers, batches, sampling) are OpenTelemetry's own environment variables.

    Args:
        endpoint: Of a collector that takes OTLP over HTTP, e.g. `http://collector:4318`; empty: the environment says.
        processor: Takes the spans instead.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": "buckler-server"}))
    if processor is None:
        # Late: brings an HTTP client along.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None)
        processor = BatchSpanProcessor(exporter)
    provider.add_span_processor(processor)
    return Telemetry(provider)


@contextmanager
def _running(span: Span, *, current: bool) -> Iterator[None]:
    statements = _Statements()
    counting = _statements.set(statements) if current else None
    attached = otel_context.attach(set_span_in_context(span)) if current else None
    try:
        yield
    finally:
        if attached is not None and counting is not None:
            otel_context.detach(attached)
            _statements.reset(counting)
            span.set_attribute("buckler.db.statements", statements.count)
            span.set_attribute("buckler.db.seconds", round(statements.seconds, 6))
        span.end()


def _attributes_of(entered: Entered) -> dict[str, str]:
    attributes = {"rpc.grpc.status": entered.code, "buckler.request_id": entered.request_id}
    who = entered.principal
    if who is not None:
        attributes["buckler.org_id"] = who.org_id
    if isinstance(who, DevicePrincipal):
        attributes["buckler.device_id"] = who.device_id
    elif isinstance(who, PersonPrincipal):
        attributes["buckler.user_id"] = who.user_id
    return attributes


def _headers(untrusted_metadata: Metadata) -> dict[str, str]:
    return {
        name: value
        for name, value in untrusted_metadata
        if name in _HEADERS and isinstance(value, str) and len(value) <= MAX_HEADER_CHARACTERS
    }
