"""A bot that answers once its caller has spoken, and sends its spans where the environment says, as OTLP in JSON.

``TT_TRACES_TO`` is the collector's address. A request waits for ``EXPORT_S``, longer than OpenTelemetry at its end.
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.request import Request, urlopen

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from trio_transports import AudioFrame, Session, UserStoppedSpeakingFrame

EXPORT_S: Final = 60.0
ANSWER: Final = AudioFrame(audio=b"\1\2" * 1600, sample_rate=16000)


class Exporter(SpanExporter):
    """OTLP over HTTP, as much of it as a span of ours needs."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        body = json.dumps({"resourceSpans": [_resource(span) for span in spans]}).encode()
        request = Request(f"{os.environ['TT_TRACES_TO']}/v1/traces", body, {"Content-Type": "application/json"})
        try:
            with urlopen(request, timeout=EXPORT_S) as answer:
                answer.read()
        except OSError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS


def _resource(span: ReadableSpan) -> dict[str, Any]:
    scope = "" if span.instrumentation_scope is None else span.instrumentation_scope.name
    return {
        "resource": {"attributes": _attributes(span.resource.attributes)},
        "scopeSpans": [{"scope": {"name": scope}, "spans": [_span(span)]}],
    }


def _span(span: ReadableSpan) -> dict[str, Any]:
    assert span.context is not None
    return {
        "traceId": f"{span.context.trace_id:032x}",
        "spanId": f"{span.context.span_id:016x}",
        "parentSpanId": "" if span.parent is None else f"{span.parent.span_id:016x}",
        "name": span.name,
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _attributes(span.attributes or {}),
        "events": [{"name": event.name} for event in span.events],
        "status": {"code": span.status.status_code.value, "message": span.status.description or ""},
    }


def _attributes(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": str(value)}} for key, value in told.items()]


provider = TracerProvider(resource=Resource.create({"service.name": "traced"}))
provider.add_span_processor(BatchSpanProcessor(Exporter(), schedule_delay_millis=200))
trace.set_tracer_provider(provider)


async def bot(session: Session) -> None:
    async for frame in session.input:
        if isinstance(frame, UserStoppedSpeakingFrame):
            await session.output.send(ANSWER)
