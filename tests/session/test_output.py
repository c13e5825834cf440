"""What the output takes, refuses, holds back and counts."""

import pytest
import trio
from trio.testing import MockClock

from tests.real.wire.steps import steps_of
from tests.session.helpers import CHUNK_BYTES, RATE, audio, gaps, params, seconds
from trio_transports import (
    AudioFrame,
    BotStoppedSpeakingFrame,
    FilterControlFrame,
    ImageFrame,
    LocalProtocolError,
    MessageFrame,
    MixerControlFrame,
    SpriteFrame,
    StartFrame,
    TextFrame,
)
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.testing import memory_session

IMAGE = ImageFrame(image=bytes(12), size=(2, 2))


async def test_audio_needs_to_be_enabled(autojump_clock: MockClock) -> None:
    """Audio sent where audio_out_enabled is False is an error at once, not silence."""
    async with memory_session(params(audio_out_enabled=False)) as (session, _):
        for send in (session.output.send, session.output.write_audio):
            with pytest.raises(LocalProtocolError, match="audio_out_enabled is False"):
                await send(audio(CHUNK_BYTES))
        await session.output.send(TextFrame(text="text needs nothing"))


async def test_images_need_to_be_enabled(autojump_clock: MockClock) -> None:
    """Images are an error where video_out_enabled is False, and go to destinations that exist."""
    async with memory_session(params()) as (session, _):
        for frame in (IMAGE, SpriteFrame(images=(IMAGE,))):
            with pytest.raises(LocalProtocolError, match="video_out_enabled is False"):
                await session.output.send(frame)
    shown = params(video_out_enabled=True, video_out_destinations=["screen"], video_out_width=2, video_out_height=2)
    async with memory_session(shown) as (session, peer):
        await session.output.send(ImageFrame(image=bytes(12), size=(2, 2), destination="screen"))
        with pytest.raises(LocalProtocolError, match="'wall' is not one of video_out_destinations"):
            await session.output.send(ImageFrame(image=bytes(12), size=(2, 2), destination="wall"))
        assert (await peer.recorder.wait_for(ImageFrame)).destination == "screen"


async def test_what_cannot_be_written_raises_in_the_sender(autojump_clock: MockClock) -> None:
    """A message that is no JSON raises in the call that sent it, and nothing else is lost."""
    async with memory_session(params()) as (session, peer):
        with pytest.raises((LocalProtocolError, TypeError, ValueError)):
            await session.output.send(MessageFrame(message={"set": {1, 2}}))  # type: ignore[dict-item]
        await session.output.send(TextFrame(text="still works"))
        await peer.recorder.wait_for(TextFrame)


async def test_what_the_dialect_cannot_say_is_counted(autojump_clock: MockClock) -> None:
    """A frame for which protobuf has no message is counted and costs nothing else."""
    async with memory_session(params(serializer=ProtobufFrameSerializer())) as (session, peer):
        await session.output.send(StartFrame())
        await session.output.send(TextFrame(text="next"))
        await peer.recorder.wait_for(TextFrame)
        assert session.statistics().unsupported_frames == 1


async def test_a_full_queue_holds_the_sender(autojump_clock: MockClock) -> None:
    """With two seconds queued a third waits until there is room: what is queued is bounded."""
    async with memory_session(params(audio_out_max_queue_secs=2)) as (session, _):
        began_s = trio.current_time()
        for _ in range(4):
            await session.output.send(seconds(1))
            assert session.statistics().audio_queued_s <= 3
        assert trio.current_time() - began_s == pytest.approx(1, abs=0.05)


async def test_queued_messages_are_bounded_too(autojump_clock: MockClock) -> None:
    """A thousand messages behind a minute of audio hold their sender; they leave in order."""
    async with memory_session(params(), buffer_messages=4096) as (session, peer):
        await session.output.send(seconds(1))
        with trio.move_on_after(0.5) as limit:
            for number in range(3000):
                await session.output.send(TextFrame(text=str(number)))
        assert limit.cancelled_caught
        await session.output.drain()
        await trio.testing.wait_all_tasks_blocked()
        texts = [frame.text for frame in peer.recorder.of(TextFrame)]
    assert texts == [str(number) for number in range(len(texts))]
    assert 1000 < len(texts) < 1100


async def test_queued_messages_are_bounded_in_bytes(autojump_clock: MockClock) -> None:
    """So are a few long ones, by max_unread_bytes, again after an interruption; urgent ones by four megabytes."""
    long = "x" * 100_000
    async with memory_session(params(max_unread_bytes=1_000_000), buffer_messages=4096) as (session, peer):
        for _ in range(3):
            await session.output.send(seconds(1))
            sent = 0
            with trio.move_on_after(0.5):
                while sent < 100:
                    await session.output.send(TextFrame(text=long))
                    sent += 1
            assert sent == 10
            await session.output.interrupt()
            await trio.testing.wait_all_tasks_blocked()
    async with memory_session(params(), buffer_messages=1) as (session, peer):
        peer.stall()
        sent = 0
        with trio.move_on_after(0.5):
            while sent < 200:
                await session.output.send_message([long], urgent=True)
                sent += 1
        assert 40 <= sent <= 45


async def test_each_destination_keeps_its_own_time(autojump_clock: MockClock) -> None:
    """Two tracks play side by side, and an unknown one is an error that names those there are."""
    async with memory_session(params(audio_out_destinations=["left", "right"])) as (session, peer):
        began_s = trio.current_time()
        for name in ("left", "right"):
            await session.output.send(AudioFrame(audio=bytes(2 * RATE), sample_rate=RATE, destination=name))
        await session.output.drain()
        assert trio.current_time() - began_s == pytest.approx(0.98)
        with pytest.raises(LocalProtocolError, match=r"'middle' is not one of .* \('left', 'right'\)"):
            await session.output.send(AudioFrame(audio=bytes(2), sample_rate=RATE, destination="middle"))
        await trio.testing.wait_all_tasks_blocked()
        heard = [frame.destination for frame in peer.recorder.of(AudioFrame)]
    assert heard.count("left") == heard.count("right") == 50


async def test_any_format_is_converted_to_the_wires(autojump_clock: MockClock) -> None:
    """Stereo at 48 kHz and mono at 8 kHz arrive as 16 kHz mono, as long as they were, tails included."""
    async with memory_session(params(audio_out_auto_silence=False)) as (session, peer):
        for rate, channels in ((48000, 2), (8000, 1)):
            await session.output.send(
                AudioFrame(audio=bytes(rate * 2 * channels), sample_rate=rate, num_channels=channels)
            )
            await session.output.send(BotStoppedSpeakingFrame())
        await session.output.drain()
        await trio.testing.wait_all_tasks_blocked()
        frames = peer.recorder.of(AudioFrame)
    assert {(frame.sample_rate, frame.num_channels) for frame in frames} == {(RATE, 1)}
    assert sum(frame.duration_s for frame in frames) == pytest.approx(2, abs=0.06)


async def test_a_mixers_bed_has_no_hole(autojump_clock: MockClock) -> None:
    """With a mixer a chunk leaves every 20 ms from the start, also through an interruption, one wake-up each."""
    async with memory_session(params(audio_out_mixer=Bed())) as (session, peer):
        await trio.sleep(0.5)
        await session.output.send(seconds(5))
        await trio.sleep(0.5)
        await session.output.interrupt()
        await trio.sleep(1)
        times_s = peer.recorder.audio_times_s
        quiet = [frame.audio for frame in peer.recorder.of(AudioFrame)][-10:]
    steps = gaps(times_s)
    assert set(steps) == {0.02}, [(n, steps[n]) for n in range(len(steps)) if steps[n] != 0.02]
    assert all(chunk == b"\x07" * CHUNK_BYTES for chunk in quiet)


async def test_control_frames_reach_the_mixer_and_not_the_peer(autojump_clock: MockClock) -> None:
    """Settings for the mixer go to it; without a mixer they are an error; none is written."""
    bed = Bed()
    async with memory_session(params(audio_out_mixer=lambda: bed)) as (session, peer):
        await session.output.send(MixerControlFrame(settings={"volume": 1}, enabled=False))
        await trio.sleep(0.1)
        assert bed.settings == [({"volume": 1}, False)]
        assert {type(heard.frame) for heard in peer.recorder.heard} == {AudioFrame}
    async with memory_session(params()) as (session, _):
        with pytest.raises(LocalProtocolError, match="has no mixer"):
            await session.output.send(MixerControlFrame())
        with pytest.raises(LocalProtocolError, match="no filter"):
            await session.output.send(FilterControlFrame())


async def test_a_wav_header_on_every_chunk_if_asked(autojump_clock: MockClock) -> None:
    """add_wav_header puts a header in front of each chunk."""
    async with memory_session(params(add_wav_header=True, audio_out_auto_silence=False)) as (session, peer):
        await session.output.send(audio(2 * CHUNK_BYTES))
        await session.output.drain()
        await trio.testing.wait_all_tasks_blocked()
        chunks = [frame.audio for frame in peer.recorder.of(AudioFrame)]
    assert [len(chunk) for chunk in chunks] == [CHUNK_BYTES + 44] * 2
    assert all(chunk.startswith(b"RIFF") for chunk in chunks)


class Bed:
    """Plays sevens where there is silence."""

    def __init__(self) -> None:
        self.settings: list[object] = []

    def start(self, audio_format: object) -> None:
        pass

    def mix(self, pcm: bytes) -> bytes:
        return pcm if any(pcm) else b"\x07" * len(pcm)

    def control(self, settings: object, enabled: bool | None = None) -> None:
        self.settings.append((settings, enabled))

    def stop(self) -> None:
        pass

    def fresh(self) -> "Bed":
        return Bed()


async def test_a_send_that_waits_for_nothing_is_one_turn_of_the_loop(autojump_clock: MockClock) -> None:
    """Whatever has its place among the audio: a switch of tasks costs more than the rest of it."""
    frames = (
        TextFrame(text="said"),
        MessageFrame(message={}),
        BotStoppedSpeakingFrame(),
        StartFrame(stream_id="s"),
    )
    async with memory_session(params(), sends_now=True) as (session, _):
        await session.output.send(frames[0])
        for frame in frames:
            with steps_of(trio.lowlevel.current_task().name) as steps:
                for _ in range(4):
                    await session.output.send(frame)
            assert steps.total() == 4, frame
