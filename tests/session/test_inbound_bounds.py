"""What waits unread is bounded, and gone when nobody can read it any more."""

import gc
import os
import sys
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import pytest
import trio
from attrs import evolve, frozen
from trio.testing import MockClock

from tests.session.hearing import everything
from tests.session.helpers import CHUNK_BYTES, CHUNK_S, RATE, audio, params, pcm
from trio_transports import (
    AudioFrame,
    Disconnected,
    DTMFFrame,
    Frame,
    ImageFrame,
    MessageFrame,
    Session,
    SpriteFrame,
    StartFrame,
    TextFrame,
    TranscriptionFrame,
    TransportParams,
    UserStartedSpeakingFrame,
    WebsocketClientParams,
    WebsocketClientTransport,
    WebsocketServerParams,
    WebsocketServerTransport,
)
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.serializers.protocol import Message
from trio_transports.session.broadcast import Broadcast, EventsLost
from trio_transports.session.events import Event, Reconnecting, event_source
from trio_transports.session.playback import MAX_TEXT_BYTES
from trio_transports.session.sizes import LAST_TEXT_BYTES, message_size, size_of
from trio_transports.session.sizes import event_size as size_of_event
from trio_transports.testing import ScriptedPeer, memory_session

LENGTH = 6014
"""Bytes of the audio of these tests, by which it is told from all other."""


def alive() -> int:
    """How many of these tests' frames are alive."""
    gc.collect()
    return sum(
        len(frame.audio) == LENGTH if isinstance(frame, AudioFrame) else len(frame.text) == LENGTH
        for frame in gc.get_objects()
        if isinstance(frame, AudioFrame | TextFrame)
    )


async def returns(_session: Session, peer: ScriptedPeer) -> None:
    await trio.testing.wait_all_tasks_blocked()


async def sees_the_peer_close(_session: Session, peer: ScriptedPeer) -> None:
    await peer.close()
    await trio.testing.wait_all_tasks_blocked()


async def loses_the_peer(_session: Session, peer: ScriptedPeer) -> None:
    peer.drop()
    await trio.testing.wait_all_tasks_blocked()


async def raises(_session: Session, _peer: ScriptedPeer) -> None:
    await trio.testing.wait_all_tasks_blocked()
    raise KeyError("a bug in a handler")


async def closes(session: Session, _peer: ScriptedPeer) -> None:
    await session.aclose()


@pytest.mark.parametrize("ends", [returns, sees_the_peer_close, loses_the_peer, raises, closes])
async def test_events_that_are_kept_keep_no_frames(
    ends: Callable[[Session, ScriptedPeer], Awaitable[None]], autojump_clock: MockClock
) -> None:
    """However a session ends, and three times: whoever keeps its Disconnected keeps nothing that was left unread."""
    hub: Broadcast[Event] = Broadcast()
    kept: list[Event] = []

    async def call() -> None:
        async with memory_session(params(), events=hub) as (session, peer):
            for _ in range(10):
                await peer.wire.send(JSONFrameSerializer().encode(audio(LENGTH))[0])
                await peer.wire.send(JSONFrameSerializer().encode(TextFrame(text="x" * LENGTH))[0])
            await trio.testing.wait_all_tasks_blocked()
            assert alive() == 20
            await ends(session, peer)

    with hub.activity():
        subscription = hub.subscribe()
        for _ in range(3):
            with suppress(KeyError):
                await call()
            with trio.move_on_after(0.1):
                while True:
                    kept.append(await subscription.receive())
    assert sum(isinstance(event, Disconnected) for event in kept) == 3
    assert alive() == 0


def lists(count: int) -> MessageFrame:
    """Three bytes of text for each of these, and more than sixty of memory."""
    return MessageFrame(message=[[] for _ in range(count)])


async def test_documents_of_many_small_values_end_the_session(autojump_clock: MockClock) -> None:
    """What waits unread is counted in bytes of memory: past max_unread_bytes it closes with 1008 and says so."""
    async with memory_session(params(max_unread_bytes=1_000_000)) as (session, peer):
        sent = 0
        while session.is_connected and sent < 100:
            await peer.send(lists(4000))
            await trio.testing.wait_all_tasks_blocked()
            sent += 1
        assert not session.is_connected
        closed = await peer.wait_closed()
        frames = await everything(session)
    assert (closed.code, closed.reason) == (1008, "1000000 bytes wait unread by the handler (max_unread_bytes)")
    assert sent == len(frames) + 1
    assert 0.3 < sum(deep_size(frame) for frame in frames) / 1_000_000 <= 1


async def test_one_message_too_large_is_told_from_many(autojump_clock: MockClock) -> None:
    """Where nothing waits, the reason says that it is this message, and which parameter stands in its way."""
    for _ in range(2):
        async with memory_session(params(max_unread_bytes=50_000, max_message_bytes=500_000)) as (session, peer):
            await peer.send(TextFrame(text="x" * 60_000))
            closed = await peer.wait_closed()
            assert await everything(session) == []
        assert closed.code == 1008
        assert closed.reason.startswith("one message takes 60")
        assert closed.reason.endswith("more than max_unread_bytes (50000)")


def deep_size(value: object) -> int:
    """What gc knows of a value and all in it: the yardstick."""
    seen, total, left = set[int](), 0, [value]
    while left:
        one = left.pop()
        if id(one) not in seen and not isinstance(one, type):
            seen.add(id(one))
            total += sys.getsizeof(one)
            left.extend(gc.get_referents(one))
    return total


@pytest.mark.parametrize(
    "frame",
    [
        audio(640),
        evolve(audio(2), name="x" * 5000),
        evolve(audio(2), name="😀" * 250, destination="😀" * 250),
        TextFrame(text="x" * 1000),
        TextFrame(text="😀" * 1000),
        TranscriptionFrame(text="said " * 100, user_id="somebody", timestamp="2024-01-01T00:00:00Z"),
        lists(500),
        MessageFrame(message={"key": [{"a": n / 7, "b": f"text {n}", "c": [n, {"deep": "é" * n}]} for n in range(20)]}),
        StartFrame(call_id="1", parameters={f"key {n}": f"value {n}" for n in range(200)}),
        ImageFrame(image=bytes(5000), size=(10, 10)),
        SpriteFrame(images=tuple(ImageFrame(image=bytes(n), size=(n, n)) for n in range(300, 400))),
        DTMFFrame(digit="1"),
        UserStartedSpeakingFrame(at_s=1.5),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_a_frames_size_is_about_what_it_takes(frame: Frame) -> None:
    """The estimate is never below four fifths of what the objects take, and never above three times as much."""
    assert 0.8 * deep_size(frame) <= size_of(frame) <= 3 * deep_size(frame) + 500


async def test_the_oldest_audio_makes_room_for_the_rest(autojump_clock: MockClock) -> None:
    """In bytes too: what is said stays, the oldest audio goes and is counted, and the session stays."""
    async with memory_session(params(max_unread_bytes=100_000, audio_in_max_queue_secs=60)) as (session, peer):
        for number in range(200):
            await peer.send(audio(CHUNK_BYTES, start=number))
        await peer.send(TextFrame(text="x" * 50_000))
        await trio.testing.wait_all_tasks_blocked()
        dropped_s = session.statistics().audio_in_dropped_s
        frames = await everything(session)
        assert session.is_connected
    sounds = [frame for frame in frames if isinstance(frame, AudioFrame)]
    assert len(frames) == len(sounds) + 1
    assert sounds[-1] == audio(CHUNK_BYTES, start=199)
    assert sounds[0] == audio(CHUNK_BYTES, start=200 - len(sounds))
    assert dropped_s == pytest.approx((200 - len(sounds)) * CHUNK_S)
    assert 20_000 < sum(len(frame.audio) for frame in sounds) <= 50_000


async def test_audio_alone_is_held_in_bytes(autojump_clock: MockClock) -> None:
    """Audio at a rate that makes it last no time at all is bounded by what it takes, down to the newest frame."""
    async with memory_session(params(max_unread_bytes=50_000, max_message_bytes=500_000)) as (session, peer):
        for _ in range(30):
            await peer.send(audio(20_000, rate=768_000))
        await trio.testing.wait_all_tasks_blocked()
        assert [len(frame.audio) for frame in await everything(session) if isinstance(frame, AudioFrame)] == [
            20_000
        ] * 2
        await peer.send(audio(60_000, rate=768_000))
        await trio.testing.wait_all_tasks_blocked()
        assert await everything(session) == []
        assert session.statistics().audio_in_dropped_s == pytest.approx((28 * 20_000 + 60_000) / 2 / 768_000)


@pytest.mark.parametrize("letter", ["x", "😀"])
async def test_audio_is_held_with_its_names(letter: str, autojump_clock: MockClock) -> None:
    """Short audio with long names is bounded by what it takes, twice over; read, it makes room for as much again."""
    bound = 200_000
    async with memory_session(params(max_unread_bytes=bound, audio_in_max_queue_secs=600)) as (session, peer):
        for _ in range(2):
            for number in range(1000):
                await peer.send(evolve(audio(20), name=f"{number} {letter * 250}"))
            await trio.testing.wait_all_tasks_blocked()
            frames = await everything(session)
            assert session.is_connected
            assert 0.5 * bound < sum(deep_size(frame) for frame in frames) < 1.2 * bound


@pytest.mark.parametrize("backlog", [1, 3, 30])
async def test_reading_makes_room_with_a_backlog(backlog: int, autojump_clock: MockClock) -> None:
    """A handler that is always some frames behind loses nothing: not by seconds, nor bytes, nor frames."""
    bounds = params(audio_in_max_queue_secs=(backlog + 1) * CHUNK_S, max_unread_bytes=(backlog + 1) * 2000)
    async with memory_session(bounds) as (session, peer):
        for number in range(1500 + backlog):
            if number < 1500:
                await peer.send(audio(CHUNK_BYTES, start=number))
                await peer.send(DTMFFrame(digit="5"))
                await trio.testing.wait_all_tasks_blocked()
            if number >= backlog:
                assert await session.input.receive() == audio(CHUNK_BYTES, start=number - backlog)
                assert await session.input.receive() == DTMFFrame(digit="5")
        assert session.is_connected
        assert session.statistics().audio_in_dropped_s == 0


def wav(rate: int, channels: int = 1, size: int = 640) -> bytes:
    header = b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    kind = (1).to_bytes(2, "little") + channels.to_bytes(2, "little") + (rate % 2**32).to_bytes(4, "little")
    rest = (rate * channels * 2 % 2**32).to_bytes(4, "little") + (2 * channels).to_bytes(2, "little")
    return header + kind + rest + (16).to_bytes(2, "little") + b"data" + size.to_bytes(4, "little") + pcm(size)


@pytest.mark.parametrize(("rate", "channels"), [(4_290_000_000, 1), (999, 1), (768_001, 1), (16_000, 65)])
async def test_a_rate_in_a_wav_header_meets_the_same_bounds(
    rate: int, channels: int, autojump_clock: MockClock
) -> None:
    """What no message may announce no header may either: malformed, counted, every time, and none of it is kept."""
    async with memory_session(params()) as (session, peer):
        for _ in range(3):
            await peer.send(AudioFrame(audio=wav(rate, channels, 1300), sample_rate=RATE))
        await trio.testing.wait_all_tasks_blocked()
        assert session.statistics().malformed_messages == 3
        assert await everything(session) == []
        await peer.send(AudioFrame(audio=wav(RATE), sample_rate=8000))
        assert await session.input.receive() == audio(640, start=1)


async def test_a_message_of_many_headers_is_malformed(autojump_clock: MockClock) -> None:
    """A few hundred WAV headers in one message are taken off; more, or as many chunks, are not worked on."""
    async with memory_session(params()) as (session, peer):
        await peer.send(AudioFrame(audio=wav(RATE, size=20) * 400, sample_rate=RATE))
        assert await session.input.receive() == AudioFrame(audio=pcm(20) * 400, sample_rate=RATE)
        await peer.send(AudioFrame(audio=wav(RATE, size=20) * 600, sample_rate=RATE))
        one = wav(RATE)
        await peer.send(AudioFrame(audio=one[:36] + b"junk\0\0\0\0" * 1001 + one[36:], sample_rate=RATE))
        await trio.testing.wait_all_tasks_blocked()
        assert session.statistics().malformed_messages == 2
        assert session.is_connected


async def test_a_malformed_message_is_not_kept(autojump_clock: MockClock) -> None:
    """Neither the message nor its audio waits for the collector: nothing of the error refers to them."""
    bad = audio(LENGTH, rate=500)
    worse = AudioFrame(audio=wav(16000, size=2) * 600, sample_rate=RATE)
    async with memory_session(params()) as (session, peer):
        await peer.send(bad)  # the first one is logged
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        gc.disable()
        try:
            before = sum(isinstance(value, AudioFrame | BaseException) for value in gc.get_objects())
            for _ in range(5):
                await peer.send(bad)
                await peer.send(worse)
                await trio.testing.wait_all_tasks_blocked()
            after = sum(isinstance(value, AudioFrame | BaseException) for value in gc.get_objects())
        finally:
            gc.enable()
        assert session.statistics().malformed_messages == 11
    assert after == before


async def test_raw_messages_that_nobody_reads_are_bounded_in_bytes() -> None:
    """A subscriber to raw messages keeps the newest within max_unread_bytes, is told of the others, and can go on."""
    source: Broadcast[Message] = Broadcast(100_000, message_size)
    subscription, other = source.subscribe(), source.subscribe()
    with source.activity():
        for _ in range(3):
            for number in range(50):
                source.emit(bytes([number]) * 10_000)
                assert await other.receive() == bytes([number]) * 10_000
            assert await subscription.receive() == EventsLost(41)
            assert [(await subscription.receive())[:1] for _ in range(9)] == [bytes([n]) for n in range(41, 50)]  # type: ignore[index]
        source.emit(bytes(300_000))
        assert await subscription.receive() == bytes(300_000)


def test_each_transports_channels_are_bounded_by_its_parameter() -> None:
    """max_unread_bytes reaches the raw messages of a client and the events of every transport."""
    client = WebsocketClientTransport("ws://localhost:1", WebsocketClientParams(max_unread_bytes=12_345))
    server = WebsocketServerTransport(WebsocketServerParams(serializer=JSONFrameSerializer(), max_unread_bytes=12_345))
    assert client._messages.max_bytes == client._events.max_bytes == server._events.max_bytes == 12_345
    assert WebsocketClientParams().max_unread_bytes == 4 * 1024 * 1024


def test_a_dialect_states_the_message_size_it_needs() -> None:
    """max_message_bytes is what the dialect states, from an object or a class, unless it is set."""

    @frozen
    class Small:
        audio_format = None
        max_message_bytes = 4096

        def encode(self, frame: Frame) -> Sequence[Message]:
            return ()

        def decode(self, message: Message) -> Sequence[Frame]:
            return ()

    assert TransportParams(serializer=Small()).max_message_bytes == 4096
    assert TransportParams(serializer=Small).max_message_bytes == 4096
    assert TransportParams(serializer=Small, max_message_bytes=99).max_message_bytes == 99
    assert TransportParams(serializer=JSONFrameSerializer()).max_message_bytes == 1024 * 1024


async def test_audio_is_let_through_again_and_again(autojump_clock: MockClock) -> None:
    """start_audio and stop_audio, three times: what comes between is heard, what comes else is not, nor counted."""
    async with memory_session(params(audio_in_stream_on_start=False)) as (session, peer):
        for turn in range(3):
            await peer.send(audio(CHUNK_BYTES, start=100))
            await trio.testing.wait_all_tasks_blocked()
            session.input.start_audio()
            session.input.start_audio()
            await peer.send(audio(CHUNK_BYTES, start=turn))
            await trio.testing.wait_all_tasks_blocked()
            session.input.stop_audio()
            await peer.send(audio(CHUNK_BYTES, start=101))
            await trio.testing.wait_all_tasks_blocked()
            assert await everything(session) == [audio(CHUNK_BYTES, start=turn)]
            assert session.statistics().audio_received_s == pytest.approx((turn + 1) * CHUNK_S)


async def test_the_counters_of_what_came_in(autojump_clock: MockClock) -> None:
    """Messages and their sizes, seconds heard, what was ignored and what was malformed: each counts what it says."""
    sent: list[Message] = []

    async with memory_session(params()) as (session, peer):
        for _ in range(3):
            for frame in (audio(CHUNK_BYTES), TextFrame(text="said"), audio(2 * CHUNK_BYTES)):
                sent += peer.serializer.encode(frame)
            sent += ['{"type":"not known"}', "no JSON", b"\xff"]
        for message in sent:
            await peer.send_raw(message)
        await trio.testing.wait_all_tasks_blocked()
        told = session.statistics()
        assert len(await everything(session)) == 9
    assert told.messages_received == len(sent) == 18
    assert told.bytes_received == sum(map(len, sent))
    assert told.audio_received_s == pytest.approx(9 * CHUNK_S)
    assert told.ignored_messages == 3
    assert told.malformed_messages == 6
    assert told.audio_in_dropped_s == 0


async def test_an_event_counts_as_what_it_holds(autojump_clock: MockClock) -> None:
    """Its session with what the peer said of itself, and its own words: a peer with long headers is not a short one.

    What is taken off when it is read is what was put on, whatever became of the session meanwhile.
    """
    async with memory_session(params()) as (session, _):
        plain = size_of_event(Disconnected(session, 1000, "", "remote"))
        session.peer = evolve(session.peer, headers=(("cookie", "x" * 50_000),))
        assert size_of_event(Disconnected(session, 1000, "", "remote")) - plain >= 50_000
        assert size_of_event(Disconnected(session, 1000, "y" * 100, "remote")) - plain >= 50_100
        assert plain < 20_000
        source = event_source(400_000)
        with source.activity():
            subscription = source.subscribe()
            for _ in range(2):
                for _ in range(20):
                    source.emit(Disconnected(session, 1000, "", "remote"))
                session.peer = evolve(session.peer, headers=())
                lost = await subscription.receive()
                assert isinstance(lost, EventsLost)
                for _ in range(20 - lost.count):
                    assert isinstance(await subscription.receive(), Disconnected)
                assert 13 <= lost.count <= 16
                assert subscription._bytes == 0
                session.peer = evolve(session.peer, headers=(("cookie", "x" * 50_000),))
    assert size_of_event(Reconnecting(1, 1.0, OSError("z" * 1000))) >= 1000


async def test_events_that_nobody_reads_keep_no_more_sessions_than_the_bound_says(autojump_clock: MockClock) -> None:
    """A peer that comes and goes all the time fills what waits for a reader of events, and no more, three times."""
    source = event_source(300_000)
    for _ in range(3):
        with source.activity():
            subscription = source.subscribe()
            tracemalloc.start()
            try:
                for _ in range(60):
                    async with memory_session(params(), events=source):
                        pass
                gc.collect()
                taken_bytes, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            waiting = len(subscription._values)
            assert await subscription.receive() == EventsLost(120 - waiting)
            assert taken_bytes < 330_000


async def test_the_events_of_sessions_that_have_ended_count_as_what_those_take(autojump_clock: MockClock) -> None:
    """Whoever reads none of them keeps the sessions: they take no more memory than was counted, three times over."""
    source: Broadcast[Event] = Broadcast()
    for _ in range(3):
        with source.activity():
            subscription = source.subscribe()
            async with memory_session(params(), events=source):
                pass  # what is made once
            tracemalloc.start()
            try:
                for _ in range(20):
                    async with memory_session(params(), events=source) as (_, peer):
                        await peer.send(audio(CHUNK_BYTES))
                gc.collect()
                taken_bytes, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        counted = [size_of_event(event) async for event in subscription if not isinstance(event, EventsLost)][2:]
        assert len(counted) == 40
        assert 0.5 * sum(counted) < taken_bytes < sum(counted)


@pytest.mark.parametrize("interrupted", [False, True])
async def test_what_was_said_counts_with_the_events_that_keep_it(interrupted: bool, autojump_clock: MockClock) -> None:
    """Sessions whose bot has said long texts keep little of them, and each event has room; three times over."""
    source = event_source(4 * 1024 * 1024)
    for _ in range(3):
        with source.activity():
            subscription = source.subscribe()
            tracemalloc.start()
            try:
                for _ in range(10):
                    async with memory_session(params(), events=source) as (session, peer):
                        for size in (*[50_000] * 12, *[20] * 60):
                            await session.output.send(TextFrame(text=os.urandom(size).hex()))
                            if interrupted:
                                await session.output.interrupt()
                        assert session._remembered_bytes <= MAX_TEXT_BYTES
                    assert session._remembered_bytes <= LAST_TEXT_BYTES
                    del session, peer
                gc.collect()
                taken_bytes, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert len(subscription._values) == 20  # long calls do not crowd each other's events out
            subscription.close()
        assert taken_bytes < 600_000
