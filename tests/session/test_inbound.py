"""From the peer's messages to the handler's frames, in virtual time: what is malformed, and what audio goes through."""

import logging
import struct
from collections.abc import Callable, Sequence
from typing import NoReturn

import pytest
import trio
from trio.testing import MockClock

from tests.audio.signals import sine
from tests.session.hearing import Inverting, Planned, everything, joined, kinds
from tests.session.helpers import CHUNK_BYTES, RATE, audio, params, pcm
from trio_transports import (
    AudioFrame,
    FilterControlFrame,
    Frame,
    LocalProtocolError,
    MessageFrame,
    RemoteProtocolError,
    TextFrame,
)
from trio_transports.audio.channels import mix_channels
from trio_transports.audio.convert import Converter
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import add_wav_header
from trio_transports.serializers.protocol import Message
from trio_transports.testing import memory_session


class Raising:
    """A dialect of one's own that stumbles over messages it did not think of."""

    audio_format = None

    def __init__(self, fault: Callable[[], NoReturn]) -> None:
        self.fault = fault

    def encode(self, frame: Frame) -> Sequence[Message]:
        return [frame.text] if isinstance(frame, TextFrame) else []

    def decode(self, message: Message) -> Sequence[Frame]:
        if message in ("bad", b"bad"):
            self.fault()
        return [] if message == "nothing" else [TextFrame(text=str(message))]


def _key_error() -> NoReturn:
    raise KeyError("event")


def _too_deep() -> NoReturn:
    _too_deep()


def _too_short() -> NoReturn:
    struct.unpack("<I", b"")
    raise AssertionError


def _no_text() -> NoReturn:
    b"\xff".decode()
    raise AssertionError


def _remote() -> NoReturn:
    raise RemoteProtocolError("no such event", path="event")


def _own() -> NoReturn:
    raise Exception("what a generated parser raises")


@pytest.mark.parametrize("fault", [_key_error, _too_deep, _too_short, _no_text, _remote, _own])
async def test_a_malformed_message_costs_itself_only(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, fault: Callable[[], NoReturn]
) -> None:
    """Whatever a serializer raises, the message is counted and skipped, and logged once for each session."""
    for _ in range(2):
        caplog.clear()
        async with memory_session(params(serializer=Raising(fault))) as (session, peer):
            for message in ("before", "bad", "nothing", "bad", "after"):
                await peer.send_raw(message)
            frames = await everything(session)
            statistics = session.statistics()
        assert frames == [TextFrame(text="before"), TextFrame(text="after")]
        assert (statistics.malformed_messages, statistics.ignored_messages) == (2, 1)
        (record,) = [record for record in caplog.records if record.name.startswith("trio_transports")]
        assert record.levelno == logging.WARNING
        # What the library's own serializers find wrong is the peer's doing; of another's, the place is wanted.
        assert bool(record.exc_info) is (fault is not _remote)


@pytest.mark.parametrize(("message", "code"), [("bad", 1007), (b"bad", 1008)])
async def test_only_malformed_messages_end_the_session(autojump_clock: MockClock, message: Message, code: int) -> None:
    """max_malformed in a row close with 1007 after text and 1008 after bytes; one good or ignored one starts anew."""
    async with memory_session(params(serializer=Raising(_key_error), max_malformed=3)) as (session, peer):
        for good in ("good", "nothing") * 3:
            await peer.send_raw(message)
            await peer.send_raw(message)
            await peer.send_raw(good)
        await trio.sleep(1)
        assert session.is_connected
        for _ in range(3):
            await peer.send_raw(message)
        closed = await peer.wait_closed()
    assert (closed.code, closed.reason) == (code, "3 malformed messages in a row")


async def test_audio_that_is_no_audio_is_malformed_every_time(autojump_clock: MockClock) -> None:
    """Decoding well does not make up for audio that cannot be used: max_malformed counts that too."""
    broken = AudioFrame(audio=b"RIFF\x00\x00\x00\x00WAVEjunk", sample_rate=RATE)
    async with memory_session(params(max_malformed=5)) as (session, peer):
        for _ in range(4):
            await peer.send(broken)
        await peer.send(audio(CHUNK_BYTES))
        assert joined(await everything(session)) == pcm(CHUNK_BYTES)
        assert session.statistics().malformed_messages == 4
        for _ in range(5):
            await peer.send(broken)
        closed = await peer.wait_closed()
    assert (closed.code, closed.reason) == (1007, "5 malformed messages in a row")


async def test_a_fault_in_one_frame_of_a_message_costs_that_frame(autojump_clock: MockClock) -> None:
    """The other frames of its message are taken, and the message is counted once, also where it takes the slow way."""

    class Album:
        audio_format = None

        def encode(self, frame: Frame) -> Sequence[Message]:
            return ()

        def decode(self, message: Message) -> Sequence[Frame]:
            broken = AudioFrame(audio=b"RIFF\x00\x00\x00\x00WAVEjunk", sample_rate=RATE)
            good = audio(CHUNK_BYTES)
            return [broken, broken, good, TextFrame(text="between"), broken, AudioFrame(audio=b"", sample_rate=1), good]

    async with memory_session(params(serializer=Album())) as (session, peer):
        for _ in range(2):
            await peer.send_raw("all of it")
            frames = await everything(session)
            assert frames == [audio(CHUNK_BYTES), TextFrame(text="between"), audio(CHUNK_BYTES)]
        assert session.statistics().malformed_messages == 2
        assert session.statistics().audio_received_s == pytest.approx(0.08)


# WAV headers


@pytest.mark.parametrize("stated", [AudioFormat(RATE), AudioFormat(24000), AudioFormat(RATE, 2), AudioFormat(8000, 2)])
async def test_a_wav_header_is_taken_off_and_believed(autojump_clock: MockClock, stated: AudioFormat) -> None:
    """A header on each chunk is not heard; where it says another format than the message, that is the format."""
    samples = pcm(stated.size_bytes(160))
    async with memory_session(params(audio_in_channels=stated.num_channels)) as (session, peer):
        for _ in range(3):
            await peer.send(AudioFrame(audio=add_wav_header(samples, stated), sample_rate=RATE, pts=5))
        frames = await everything(session)
        received_s = session.statistics().audio_received_s
    assert {frame.format for frame in frames if isinstance(frame, AudioFrame)} == {stated}
    assert {frame.pts for frame in frames if isinstance(frame, AudioFrame)} == {5}
    assert joined(frames) == 3 * samples
    assert received_s == pytest.approx(3 * 160 / stated.sample_rate)


async def test_a_header_alone_is_no_audio(autojump_clock: MockClock) -> None:
    """A message with a header and nothing after it gives no frame and is not malformed; nor is one without audio."""
    async with memory_session(params()) as (session, peer):
        await peer.send(AudioFrame(audio=add_wav_header(b"", AudioFormat(RATE)), sample_rate=RATE))
        await peer.send(AudioFrame(audio=b"", sample_rate=RATE))
        assert await everything(session) == []
        assert session.statistics().malformed_messages == 0


@pytest.mark.parametrize(
    "data",
    [
        b"RIFF\x00\x00\x00\x00WAVE",
        add_wav_header(pcm(640), AudioFormat(RATE)).replace(b"data", b"DATA"),
        add_wav_header(pcm(640), AudioFormat(RATE)).replace(b"\x10\x00data", b"\x08\x00data"),
        b"RIFF\x00\x00\x00\x00WAVE" + bytes(32) + b"odd",
    ],
)
async def test_a_malformed_wav_is_malformed(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    """A header that is wrong is not played: the frame is skipped and counted, and the log says what is wrong."""
    broken = AudioFrame(audio=data + bytes(len(data) % 2), sample_rate=RATE)
    async with memory_session(params()) as (session, peer):
        await peer.send(broken)
        await peer.send(audio(CHUNK_BYTES))
        assert joined(await everything(session)) == pcm(CHUNK_BYTES)
        assert session.statistics().malformed_messages == 1
    assert "WAV" in caplog.text


async def test_pcm_may_begin_with_riff(autojump_clock: MockClock) -> None:
    """Four bytes of PCM that happen to spell RIFF are PCM."""
    frame = AudioFrame(audio=b"RIFF" + pcm(636), sample_rate=RATE)
    async with memory_session(params()) as (session, peer):
        await peer.send(frame)
        assert await everything(session) == [frame]


# What the handler gets


async def test_audio_that_needs_no_work_is_passed_on_as_it_came(autojump_clock: MockClock) -> None:
    """Without filter, analyzer or conversion a frame keeps all it carries, whatever its rate and length."""
    frames = [
        AudioFrame(audio=pcm(size), sample_rate=rate, pts=7, destination="left", id=3, name="a")
        for size, rate in ((640, 16000), (64000, 1000), (2, 768_000), (640, 16000))
    ]
    async with memory_session(params(audio_in_max_queue_secs=1e6)) as (session, peer):
        for frame in frames:
            await peer.send(frame)
        assert await everything(session) == frames


async def test_audio_is_not_heard_unless_enabled(autojump_clock: MockClock) -> None:
    """Without audio_in_enabled the handler gets the other frames only, and bad audio is nobody's business."""
    async with memory_session(params(audio_in_enabled=False)) as (session, peer):
        await peer.send(audio(CHUNK_BYTES))
        await peer.send(AudioFrame(audio=b"RIFF\x00\x00\x00\x00WAVEjunk", sample_rate=RATE))
        await peer.send(TextFrame(text="heard"))
        assert await everything(session) == [TextFrame(text="heard")]
        assert session.statistics().audio_received_s == 0
        assert session.statistics().malformed_messages == 0


async def test_audio_begins_when_asked_for(autojump_clock: MockClock) -> None:
    """With audio_in_stream_on_start off, audio is let through between start_audio and stop_audio only."""
    async with memory_session(params(audio_in_stream_on_start=False)) as (session, peer):
        for number, switch in enumerate([None, session.input.start_audio, session.input.stop_audio]):
            if switch is not None:
                switch()
            await peer.send(audio(CHUNK_BYTES, start=number))
            await peer.send(MessageFrame(message=number))
            await trio.testing.wait_all_tasks_blocked()
        frames = await everything(session)
    assert kinds(frames) == ["Message", "Audio", "Message", "Message"]
    assert joined(frames) == pcm(CHUNK_BYTES, start=1)


@pytest.mark.parametrize(
    "source", [AudioFormat(8000), AudioFormat(24000), AudioFormat(48000, 2), AudioFormat(16000, 2)]
)
@pytest.mark.parametrize("target", [AudioFormat(16000), AudioFormat(16000, 2), AudioFormat(44100)])
async def test_the_handler_gets_the_format_it_asked_for(
    autojump_clock: MockClock, source: AudioFormat, target: AudioFormat
) -> None:
    """audio_in_sample_rate and audio_in_channels convert whatever the peer sends, to the last sample."""
    sent = mix_channels(sine(440, source.sample_rate, 0.4), 1, source.num_channels)
    settings = params(audio_in_sample_rate=target.sample_rate, audio_in_channels=target.num_channels)
    async with memory_session(settings) as (session, peer):
        step = source.size_bytes(source.sample_rate // 50)
        for start in range(0, len(sent), step):
            chunk = AudioFrame(
                audio=sent[start : start + step],
                sample_rate=source.sample_rate,
                num_channels=source.num_channels,
                pts=start,
                id=4,
            )
            await peer.send(chunk)
        await peer.close()
        frames = [frame for frame in await everything(session) if isinstance(frame, AudioFrame)]
    converter = Converter(source, target)
    assert joined(frames) == converter.process(sent) + converter.flush()
    assert {frame.format for frame in frames} == {target}
    assert [frame.pts for frame in frames[:20]] == list(range(0, len(sent), step))
    assert len(frames) == 20 + (source.sample_rate != target.sample_rate)


# Filters


async def test_filter_then_listen_then_convert(autojump_clock: MockClock) -> None:
    """The analyzer hears the filtered audio in mono at the peer's rate, the handler gets that converted."""
    source, target = AudioFormat(24000, 2), AudioFormat(16000)
    sent = pcm(source.size_bytes(480))
    inverting, planned = Inverting(), Planned()
    settings = params(
        audio_in_sample_rate=target.sample_rate, audio_in_filter=inverting, vad_enabled=True, vad_analyzer=planned
    )
    async with memory_session(settings) as (session, peer):
        for _ in range(5):
            await peer.send(AudioFrame(audio=sent, sample_rate=24000, num_channels=2))
        frames = await everything(session)
    filtered = 5 * bytes(255 - byte for byte in sent)
    assert inverting.told == [source, "stop"]
    assert planned.starts == [24000]
    assert planned.heard == mix_channels(filtered, 2, 1)
    assert not planned.is_started
    assert joined(frames) == Converter(source, target).process(filtered)


@pytest.mark.parametrize(
    ("settings", "hears", "gets"),
    [
        ({}, True, True),
        ({"audio_in_passthrough": False}, True, False),
        ({"vad_audio_passthrough": False}, True, False),
        ({"vad_enabled": False, "vad_analyzer": None, "vad_audio_passthrough": False}, False, True),
    ],
)
async def test_passthrough(autojump_clock: MockClock, settings: dict[str, object], hears: bool, gets: bool) -> None:
    """Without passthrough filter and analyzer work on the audio all the same, and only the handler goes without."""
    planned, inverting = Planned(), Inverting()
    chosen = params(**{"audio_in_filter": inverting, "vad_enabled": True, "vad_analyzer": planned, **settings})
    async with memory_session(chosen) as (session, peer):
        await peer.send(audio(CHUNK_BYTES))
        await peer.send(TextFrame(text="passes"))
        frames = await everything(session)
    assert bool(planned.heard) is hears
    assert inverting.told == [AudioFormat(RATE), "stop"]
    assert kinds(frames) == (["Audio", "Text"] if gets else ["Text"])


async def test_the_filter_is_controlled_by_frames(autojump_clock: MockClock) -> None:
    """FilterControlFrame reaches the filter and not the wire; an error in it, or no filter, is the sender's."""
    inverting = Inverting()
    async with memory_session(params(audio_in_filter=inverting)) as (session, peer):
        await session.output.send(FilterControlFrame(settings={"depth": 2}, enabled=False))
        with pytest.raises(ValueError, match="no setting loudness"):
            await session.output.send(FilterControlFrame(settings={"loudness": 2}))
        await session.output.send(TextFrame(text="goes on"))
        await session.output.drain()
    assert inverting.told == [({"depth": 2}, False)]
    assert peer.recorder.heard[0].frame == TextFrame(text="goes on")
    async with memory_session(params()) as (session, _):
        with pytest.raises(LocalProtocolError, match="audio_in_filter"):
            await session.output.send(FilterControlFrame())


async def test_each_session_has_its_own_filter(autojump_clock: MockClock) -> None:
    """A filter given as a factory is made for each session, and stopped at its end."""
    made: list[Inverting] = []

    def make() -> Inverting:
        made.append(Inverting())
        return made[-1]

    settings = params(audio_in_filter=make)
    for _ in range(2):
        async with memory_session(settings) as (_, peer):
            await peer.send(audio(CHUNK_BYTES))
            await trio.testing.wait_all_tasks_blocked()
    assert [filter_.told for filter_ in made] == [[AudioFormat(RATE), "stop"]] * 2


# Reading from the beginning


async def test_reading_begins_at_accept(autojump_clock: MockClock) -> None:
    """What the caller says while the handler prepares itself is there when it begins to listen."""
    async with memory_session(params(), buffer_messages=1) as (session, peer):
        with trio.fail_after(1):
            for number in range(75):
                await peer.send(audio(CHUNK_BYTES, start=number))
        await trio.sleep(1.5)
        frames = await everything(session)
    assert joined(frames) == b"".join(pcm(CHUNK_BYTES, start=number) for number in range(75))
