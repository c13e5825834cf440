"""Spans of calls, turns and reconnections, as an exporter gets them."""

from collections.abc import Sequence

import pytest
import trio
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from trio.testing import MockClock

from tests.observe.places import SECRET, Place, reached
from tests.session.hearing import Planned
from tests.session.helpers import params, seconds
from tests.session.test_failures import reconnecting
from trio_transports import AudioFrame, Reconnecting, WebsocketClientTransport
from trio_transports.observe import TurnTaken
from trio_transports.observe.tracing import SessionTracer
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.testing import memory_session
from trio_transports.vad import SpeechEvent, SpeechStarted, SpeechStopped


def traced() -> tuple[SessionTracer, InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return SessionTracer(provider), exporter


def spans(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


async def test_a_call_and_its_turns_are_spans(autojump_clock: MockClock) -> None:
    """Two calls; each turn lies in its call, and lasts as long as the caller waited."""
    tracer, exporter = traced()
    hub = Broadcast[Event]()
    for _ in range(2):
        events = hub.subscribe()
        async with memory_session(params(), events=hub) as (session, _):
            hub.emit(TurnTaken(session, 0.75))
            hub.emit(Reconnecting(1, 0.5, OSError("the line"), session))
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


async def test_calls_whose_end_was_lost_are_ended(autojump_clock: MockClock) -> None:
    """Twenty calls that end at once, twice over, and of which a few are told: each is one span, with how it ended."""
    tracer, exporter = traced()
    hub = Broadcast[Event]()
    async with trio.open_nursery() as nursery:
        with hub.activity():
            nursery.start_soon(tracer.watch, hub.subscribe(3))
            for turn in (1, 2):
                over = trio.Event()
                async with trio.open_nursery() as calls:

                    async def call() -> None:
                        async with memory_session(params(), events=hub):
                            await over.wait()  # noqa: B023 - of this turn

                    for _ in range(20):
                        calls.start_soon(call)
                        await trio.sleep(0.1)
                    over.set()
                await trio.sleep(0.1)
                assert len(spans(exporter, "session")) == 20 * turn
                assert not tracer._open
                assert not tracer._sessions
    told = [span.attributes for span in spans(exporter, "session")]
    assert {each and each["trio_transports.initiator"] for each in told} == {"local"}


async def test_each_client_has_its_own_turns_and_reconnections(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at once, each with a turn and two losses: spans are in the call they are of, the one begun first too."""
    tracer, exporter = traced()
    places = {"ws://one/ws": Place(), "ws://two/ws": Place()}
    reached(monkeypatch, places)
    plan: list[tuple[float, SpeechEvent]] = [(0.1, SpeechStarted(at_s=0.05)), (0.6, SpeechStopped(at_s=0.3))]
    settings = reconnecting(audio_out_auto_silence=False, vad_enabled=True, vad_analyzer=lambda: Planned(plan))
    one, two = (WebsocketClientTransport(uri, settings) for uri in places)
    async with trio.open_nursery() as nursery:
        for client in (one, two):
            nursery.start_soon(tracer.watch, client.events())
        async with one.session() as first, two.session() as second:
            calls = list(zip((first, second), places.values(), strict=True))
            for session, place in calls:
                for _ in range(30):
                    await trio.sleep(0.02)
                    await place.peer.send(AudioFrame(audio=bytes(640), sample_rate=16000))
                await trio.sleep(0.4)
                await session.output.send(seconds(0.1))
                await trio.sleep(1)
            for turn in (1, 2):
                for session, place in calls:
                    place.peer.drop()
                    await trio.sleep(10)
                    assert session.statistics().reconnects == turn
    whole = {str((span.attributes or {})["session.id"]): span for span in spans(exporter, "session")}
    assert set(whole) == {first.id, second.id}
    for session, _ in calls:
        span = whole[session.id]
        (taken,) = within(span, spans(exporter, "turn"))
        assert taken.start_time is not None
        assert taken.end_time is not None
        assert (taken.end_time - taken.start_time) / 1e9 == pytest.approx(0.7, abs=0.002)
        tried = within(span, spans(exporter, "reconnect"))
        assert [(each.attributes or {})["trio_transports.attempt"] for each in tried] == [1, 1]
        assert span.attributes is not None
        assert span.attributes["trio_transports.reconnects"] == 2
        assert (span.attributes["network.peer.address"], span.attributes["url.path"]) == ("10.0.0.7", "/ws")
    assert len(exporter.get_finished_spans()) == 8
    assert SECRET not in "".join(span.to_json() for span in exporter.get_finished_spans())


def within(call: ReadableSpan, found: Sequence[ReadableSpan]) -> list[ReadableSpan]:
    """Those that are of this call."""
    assert call.context is not None
    return [each for each in found if each.parent is not None and each.parent.span_id == call.context.span_id]


async def test_an_attempt_of_no_session_is_a_span_of_its_own(autojump_clock: MockClock) -> None:
    """As a bus proxy makes them: it is put into nobody's call."""
    tracer, exporter = traced()
    hub = Broadcast[Event]()
    events = hub.subscribe()
    async with memory_session(params(), events=hub):
        hub.emit(Reconnecting(1, 0.5, OSError("the line")))
    await tracer.watch(events)
    (tried,) = spans(exporter, "reconnect")
    assert tried.parent is None
