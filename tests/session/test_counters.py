"""What a session counts, to the last message and byte, and the small decisions that no other test would miss."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from attrs import define, field
from trio.testing import MockClock

from tests.session.helpers import CHUNK_BYTES, CHUNK_S, RATE, audio, gaps, params, seconds
from tests.session.test_endings import Announced, watched
from tests.session.test_failures import Line, on_a_line, reconnecting
from trio_transports import (
    AudioFrame,
    ConnectionClosed,
    EndFrame,
    MessageFrame,
    Session,
    SessionTimeout,
    TextFrame,
    TransportParams,
)
from trio_transports.audio import AudioFormat
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.run import open_session
from trio_transports.session.statistics import Counters, Statistics
from trio_transports.testing import memory_session
from trio_transports.wire import Peer


@define(eq=False)
class Taking:
    """A wire that takes every message at once, as one whose socket has room does, and writes down what it took."""

    peer: Peer = field(factory=lambda: Peer(address="taking"))
    taken: list[str | bytes] = field(factory=list)
    _over: trio.Event = field(factory=trio.Event)

    async def receive(self) -> str | bytes:
        await self._over.wait()
        raise ConnectionClosed(1006, "over", initiator="error")

    async def send(self, message: str | bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        assert isinstance(message, str | bytes)
        self.taken.append(message)

    def send_now(self, message: str | bytes) -> bool | None:
        self.taken.append(message)
        return True

    async def flushed(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await trio.lowlevel.checkpoint()
        self._over.set()

    def abort(self) -> None:
        self._over.set()


@asynccontextmanager
async def taking(settings: TransportParams) -> AsyncIterator[tuple[Session, Taking]]:
    wire = Taking()
    async with open_session(wire, settings, events=Broadcast()) as session:
        yield session, wire


def size(messages: list[str | bytes]) -> int:
    return sum(map(len, messages))


async def say_everything(session: Session) -> None:
    """Every way by which a message can leave."""
    await session.output.send(seconds(0.1))
    await session.output.send(TextFrame(text="paced"))
    await session.output.send_message({"urgent": True}, urgent=True)
    await session.output.send_raw("raw")
    await session.output.send(seconds(0.1))
    await session.output.interrupt()
    await session.output.send(audio(CHUNK_BYTES // 2))
    await session.output.drain()


async def test_every_message_and_byte_sent_is_counted(autojump_clock: MockClock) -> None:
    """messages_sent and bytes_sent are what the peer got, by a wire that waits and by one that does not."""
    async with memory_session(params(serializer=Quiet)) as (session, peer):
        await say_everything(session)
        counted = session.statistics()
    heard = [message for _, message in peer.messages]
    assert (counted.messages_sent, counted.bytes_sent) == (len(heard), size(heard))
    async with taking(params(serializer=Quiet)) as (session, wire):
        await say_everything(session)
        counted = session.statistics()
        assert (counted.messages_sent, counted.bytes_sent) == (len(wire.taken), size(wire.taken))
    assert wire.taken == heard


class Quiet:
    """Text and PCM as they are, and no more."""

    audio_format = None

    def encode(self, frame: object) -> list[str | bytes]:
        match frame:
            case AudioFrame():
                return [frame.audio]
            case TextFrame():
                return [frame.text]
            case MessageFrame():
                return [str(frame.message)]
            case _:
                return []

    def decode(self, message: str | bytes) -> list[AudioFrame | TextFrame]:
        if message == "nothing":
            return []
        if isinstance(message, str):
            return [TextFrame(text=message)]
        return [AudioFrame(audio=message, sample_rate=RATE)]


class Forgiving(Quiet):
    """The same for a peer, which reads nothing into what it gets."""

    def decode(self, message: str | bytes) -> list[AudioFrame | TextFrame]:
        return []


async def test_all_counters(autojump_clock: MockClock) -> None:
    """Each field of the statistics is what happened, and twice as much when it happens twice."""
    line = Line(redial_s=0.05, serializer=Forgiving())
    settings = reconnecting(
        serializer=Quiet, audio_in_max_queue_secs=0.1, silence_grace_ms=20, silence_max_secs=0.1, catch_up_ms=100
    )
    async with on_a_line(line, settings) as (session, _, _):
        for round_number in (1, 2):
            peer = line.peers[-1]
            before = len(peer.messages)
            await peer.send_raw("nothing")
            await peer.send_raw(b"odd")
            await peer.send_raw(bytes(10 * CHUNK_BYTES))  # 0.2 s
            await peer.send_raw(bytes(5 * CHUNK_BYTES))  # 0.1 s, for which the 0.2 s have to go
            await trio.sleep(0.05)
            await session.output.send(seconds(0.1))
            await session.output.send(MessageFrame(message="counted"))
            await trio.sleep(1)  # 0.1 s of silence fill the gap
            await session.output.send(seconds(1))
            await session.output.send(TextFrame(text="dropped"))
            await trio.sleep(0.11)  # six chunks
            await session.output.interrupt()
            await trio.sleep(0.01)
            session.output._count_dropped(TextFrame(text="in a pipeline"))
            counted = session.statistics()
            expected: Mapping[str, object] = {
                "duration_s": pytest.approx(trio.current_time(), abs=1e-6),
                "messages_received": 4 * round_number,
                "bytes_received": round_number * (len("nothing") + len(b"odd") + 15 * CHUNK_BYTES),
                "messages_sent": round_number * (5 + 1 + 5 + 6 + 1),  # the last is the one in which it falls silent
                "bytes_sent": round_number * (17 * CHUNK_BYTES + len("counted")),
                "audio_received_s": pytest.approx(0.3 * round_number),
                "audio_sent_s": pytest.approx(0.34 * round_number),
                "audio_queued_s": 0.0,
                "audio_in_dropped_s": pytest.approx(0.2 + 0.3 * (round_number - 1)),
                "audio_in_concealed_s": 0.0,
                "audio_in_late": 0,
                "audio_in_reordered": 0,
                "audio_out_dropped_s": pytest.approx(0.88 * round_number),
                "chunks_paced": 11
                * round_number,  # what an interruption cut off left, too; gaps are filled beside them
                "pacing_error_s": 0.0,
                "pacing_error_max_s": 0.0,
                "malformed_messages": round_number,
                "ignored_messages": round_number,
                "unsupported_frames": 0,
                "frames_dropped": round_number,
                "silence_chunks": 5 * round_number,
                "late_resets": 0,
                "interruptions": round_number,
                "reconnects": round_number - 1,
                "pictures_sent": 0,
                "pictures_received": 0,
                "pictures_in_dropped": 0,
                "pictures_dropped": 0,
                "dropped_by_kind": {"TextFrame": 2 * round_number},  # in a pipeline, and in the output
            }
            assert attrs.asdict(counted) == expected
            assert len(peer.messages) - before == 18
            peer.drop()
            await trio.sleep(1)


async def test_queued_audio_is_counted_to_the_sample(autojump_clock: MockClock) -> None:
    """What waits on the destination that has most of it: less with each chunk, nothing once it has left or was cut."""
    settings = params(audio_out_auto_silence=False, audio_out_destinations=["left"])
    async with memory_session(settings) as (session, _):

        def queued_s() -> float:
            assert session.statistics().audio_queued_s == session.output.queued_s
            return session.output.queued_s

        for _ in range(3):
            assert queued_s() == 0
            await session.output.send(seconds(1))
            await session.output.send(attrs.evolve(seconds(2), destination="left"))
            await trio.sleep(0.11)  # six chunks of each
            assert queued_s() == pytest.approx(2 - 6 * CHUNK_S, abs=1e-9)
            await session.output.send(attrs.evolve(audio(2), destination="left"))
            assert queued_s() == pytest.approx(2 - 6 * CHUNK_S + 1 / RATE, abs=1e-9)
            await session.output.interrupt()
            assert queued_s() == 0
            await trio.sleep(1)
            await session.output.send(seconds(0.5))
            await trio.sleep(0.05)  # three chunks
            assert queued_s() == pytest.approx(0.5 - 3 * CHUNK_S, abs=1e-9)
            await session.output.drain()
            assert queued_s() == 0
            await trio.sleep(1)


def test_every_counter_is_in_the_snapshot() -> None:
    """Nothing is counted that cannot be seen."""
    assert {each.name for each in attrs.fields(Counters)} < {each.name for each in attrs.fields(Statistics)}


async def test_late_resets_and_unsupported_frames(autojump_clock: MockClock) -> None:
    """A stall longer than the catch-up is counted once each time, and a frame without a message too."""
    async with memory_session(params(serializer=Quiet)) as (session, _):
        await session.output.send(seconds(20))
        for stalls in (1, 2, 3):
            await trio.sleep(1)
            autojump_clock.jump(1.5)
            await trio.sleep(1)
            assert session.statistics().late_resets == stalls
        await session.output.interrupt()
        await session.output.send(EndFrame())
        assert session.statistics().unsupported_frames == 0, "an end needs no message of the dialect's"
    async with memory_session(params()) as (session, _):
        for _ in range(2):
            await session.output.send_message({"a": 1})
        assert session.statistics().unsupported_frames == 0


async def test_how_late_chunks_leave_is_counted(autojump_clock: MockClock) -> None:
    """By how much all together and the largest: after one standstill of 0.1 s, one of 0.2 s, and a source's pause."""
    async with memory_session(params(ping_interval=None)) as (session, _):
        await session.output.send(seconds(2))
        await trio.sleep(0.501)
        assert session.statistics().pacing_error_s == 0
        autojump_clock.jump(0.1)  # due 0.081, 0.061, 0.041, 0.021 and 0.001 s ago
        await trio.sleep(0.001)
        counted = session.statistics()
        assert counted.pacing_error_s == pytest.approx(0.205, abs=0.005)
        assert counted.pacing_error_max_s == pytest.approx(0.081, abs=0.001)
        autojump_clock.jump(0.2)
        await trio.sleep(3)
        counted = session.statistics()
        assert counted.pacing_error_max_s == pytest.approx(0.2, abs=0.02)
        assert counted.pacing_error_s == pytest.approx(0.205 + 1.0, abs=0.1)
        assert counted.chunks_paced == 100
        await session.output.send(seconds(0.5))  # the source was late, not this side
        await trio.sleep(1)
        assert session.statistics().pacing_error_s == counted.pacing_error_s
        assert session.statistics().chunks_paced == 125


@pytest.mark.parametrize("stalls", [1, 2, 3])
async def test_a_burst_after_a_stall_is_at_most_400_ms(autojump_clock: MockClock, stalls: int) -> None:
    """With default parameters no more than 0.4 s of audio leaves at once, and no less after a longer stall."""
    async with memory_session(params(), buffer_messages=1000) as (session, peer):
        await session.output.send(seconds(30))
        for _ in range(stalls):
            await trio.sleep(1)
            before = len(peer.messages)
            autojump_clock.jump(1.5)
            await trio.sleep(0.001)
            assert 20 <= len(peer.messages) - before <= 22, "0.4 s, and what was due at the moments of stall and end"


# Decisions that a mutant of the code once changed unnoticed


async def test_nothing_is_due_once_goodbye_is_being_said(autojump_clock: MockClock) -> None:
    """While the peer takes its time to answer the close, no timer fires and no audio leaves."""
    settings = params(close_timeout=3, session_timeout=1, ping_interval=None)
    async with watched(settings) as (session, peer, told):
        peer.wire.unresponsive = True  # type: ignore[attr-defined]
        await session.output.send(seconds(10))
        await trio.sleep(0.01)
        session._parts.closing.now(1000, "")
        said = len(peer.messages)
        await trio.sleep(2)
    assert len(peer.messages) == said
    assert not [event for event in told if isinstance(event, SessionTimeout)]


class Bed:
    """A mixer that hums."""

    def start(self, audio_format: AudioFormat) -> None:
        pass

    def mix(self, pcm: bytes) -> bytes:
        return b"\x07" * len(pcm)

    def control(self, settings: object, enabled: bool | None = None) -> None:
        pass

    def stop(self) -> None:
        pass


@pytest.mark.parametrize("starts_at_s", [0, 3])
async def test_a_bed_begins_with_the_stream(autojump_clock: MockClock, starts_at_s: float) -> None:
    """A mixer is heard from the moment in which the peer has announced its stream, whoever else says nothing."""
    settings = params(serializer=Announced, audio_out_mixer=Bed, ping_interval=None)
    async with memory_session(settings) as (_, peer):
        await trio.sleep(starts_at_s)
        await peer.send_raw("start")
        await trio.sleep(0.1)
        assert peer.messages
        assert peer.messages[0][0] == pytest.approx(starts_at_s)


@pytest.mark.parametrize("lengths", [(1, 4), (4, 1), (4, 4)])
async def test_all_destinations_are_drained(autojump_clock: MockClock, lengths: tuple[float, float]) -> None:
    """The flush at the end has time for the longest queue, whichever it is."""
    async with memory_session(params(audio_out_destinations=["left", "right"], close_timeout=1)) as (session, peer):
        for name, length_s in zip(("left", "right"), lengths, strict=True):
            await session.output.send(attrs.evolve(seconds(length_s), destination=name))
    for name, length_s in zip(("left", "right"), lengths, strict=True):
        heard = [frame for frame in peer.recorder.of(AudioFrame) if frame.destination == name]
        assert sum(frame.duration_s for frame in heard) == pytest.approx(length_s)
    assert trio.current_time() == pytest.approx(max(lengths) - CHUNK_S, abs=0.01)


@pytest.mark.parametrize("pauses", [1, 2, 3])
async def test_a_padded_chunk_sets_the_time(autojump_clock: MockClock, pauses: int) -> None:
    """What is completed with silence after a pause begins a schedule of its own: what follows it leaves evenly."""
    async with memory_session(params(audio_out_auto_silence=False)) as (session, peer):
        await session.output.send(audio(CHUNK_BYTES))
        for _ in range(pauses):
            await trio.sleep(2)
            await session.output.send(audio(CHUNK_BYTES // 2))
            await trio.sleep(0.11)  # completed after 0.1 s
            before = len(peer.messages)
            await session.output.send(seconds(0.2))
            await trio.sleep(1)
            times_s = [at_s for at_s, _ in peer.messages[before - 1 :]]
            assert gaps(times_s) == [CHUNK_S] * 10
        assert session.statistics().late_resets == 0
