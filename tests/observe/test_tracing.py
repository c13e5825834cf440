"""Spans of calls, turns and reconnections, as an exporter gets them."""

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from trio.testing import MockClock

from tests.session.helpers import params
from trio_transports import Reconnecting
from trio_transports.observe import TurnTaken
from trio_transports.observe.tracing import SessionTracer
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.testing import memory_session


def traced() -> tuple[SessionTracer, InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return SessionTracer(provider), exporter


def spans(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


async def test_a_call_and_its_turns_are_spans(autojump_clock: MockClock) -> None:
    """Two calls; each turn lies in its call, and lasts as long as the caller waited. No header and no query is told."""
    tracer, exporter = traced()
    hub = Broadcast[Event]()
    for _ in range(2):
        events = hub.subscribe()
        async with memory_session(params(), events=hub) as (session, _):
            hub.emit(TurnTaken(session, 0.75))
            hub.emit(Reconnecting(1, 0.5, OSError("the line")))
        await tracer.watch(events)
    calls, turns = spans(exporter, "session"), spans(exporter, "turn")
    assert len(calls) == len(turns) == len(spans(exporter, "reconnect")) == 2
    for call, turn in zip(calls, turns, strict=True):
        assert turn.parent is not None
        assert call.context is not None
        assert turn.parent.span_id == call.context.span_id
        assert turn.start_time is not None
        assert turn.end_time is not None
        assert turn.end_time - turn.start_time == 750_000_000
        assert call.attributes is not None
        assert call.attributes["websocket.close.code"] == 1000
        assert call.attributes["trio_transports.initiator"] == "local"
        assert call.attributes["trio_transports.messages_sent"] == 0
    assert len({call.context.trace_id for call in calls if call.context is not None}) == 2


async def test_a_lost_connection_is_an_error(autojump_clock: MockClock) -> None:
    tracer, exporter = traced()
    hub = Broadcast[Event]()
    events = hub.subscribe()
    async with memory_session(params(), events=hub) as (session, peer):
        peer.drop()
        assert [frame async for frame in session.input] == []
    await tracer.watch(events)
    (call,) = spans(exporter, "session")
    assert call.status.status_code is StatusCode.ERROR


async def test_calls_that_nobody_tells_the_end_of_are_ended(autojump_clock: MockClock) -> None:
    """The watch ends first: its open spans are not lost."""
    tracer, exporter = traced()
    hub = Broadcast[Event]()
    events = hub.subscribe()
    async with memory_session(params(), events=hub):
        hub.end()
        await tracer.watch(events)
        assert len(spans(exporter, "session")) == 1
    assert not tracer._open
