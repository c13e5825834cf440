"""Frames on their way from a worker to a session: what just fits, what goes first, and what is left behind it."""

import pytest
import trio
import trio.testing

from tests.bus.bridged import audio
from trio_transports.audio.format import LEAST_S
from trio_transports.bus import bridging
from trio_transports.bus.bridging import MAX_AUDIO_BYTES, MAX_FRAMES, WaitingFrames
from trio_transports.bus.weight import BASE
from trio_transports.frames import AudioFrame, Frame, InterruptionFrame, TextFrame


def said(number: int) -> TextFrame:
    return TextFrame(text=str(number))


async def taken(waiting: WaitingFrames, count: int) -> list[Frame]:
    return [await waiting.get() for _ in range(count)]


@pytest.mark.parametrize("mixed", [False, True])
async def test_a_minute_of_audio_just_fits(mixed: bool) -> None:
    """A second more costs the oldest audio and nothing else; it is so again once a session has taken some or all."""
    waiting = WaitingFrames()
    for round_ in (1, 2):
        if mixed:
            waiting.put(said(1))
        for second in range(60):
            waiting.put(audio(1.0, fill=second))
        assert waiting.dropped == round_ - 1
        waiting.put(audio(1.0, fill=60))
        assert waiting.dropped == round_
        if mixed:
            assert await waiting.get() == said(1)
        assert await taken(waiting, 60) == [audio(1.0, fill=second) for second in range(1, 61)]


async def test_audio_that_was_taken_makes_room() -> None:
    waiting = WaitingFrames()
    for second in range(60):
        waiting.put(audio(1.0, fill=second))
    for second in range(60, 70):
        await waiting.get()
        waiting.put(audio(1.0, fill=second))
    assert waiting.dropped == 0


async def test_so_many_other_frames_just_fit() -> None:
    """One more costs the oldest of them, with audio ahead of them that stays; and so once all was taken."""
    waiting = WaitingFrames()
    for round_ in (1, 2):
        waiting.put(audio())
        for number in range(MAX_FRAMES):
            waiting.put(said(number))
        assert waiting.dropped == round_ - 1
        waiting.put(said(MAX_FRAMES))
        assert waiting.dropped == round_
        assert await taken(waiting, 2) == [audio(), said(1)]
        assert await taken(waiting, MAX_FRAMES - 1) == [said(number) for number in range(2, MAX_FRAMES + 1)]


async def test_so_many_bytes_just_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Audio is not among them; one byte more costs the oldest, and a frame over the bound is kept alone."""
    monkeypatch.setattr(bridging, "MAX_BYTES", 2 * BASE + 2)
    waiting = WaitingFrames()
    for round_ in (0, 1):
        waiting.put(audio(10.0))
        waiting.put(said(1))
        waiting.put(said(2))
        assert waiting.dropped == 3 * round_
        waiting.put(said(10))
        assert waiting.dropped == 3 * round_ + 2
        waiting.put(TextFrame(text="x" * 2000))
        assert waiting.dropped == 3 * round_ + 3
        assert await taken(waiting, 2) == [audio(10.0), TextFrame(text="x" * 2000)]


@pytest.mark.parametrize("size_bytes", [0, 2])
async def test_audio_with_next_to_nothing_in_it_is_bounded_too(size_bytes: int) -> None:
    """Each counts as a millisecond at least, and it is so again once all was taken."""
    for _ in range(2):
        waiting = WaitingFrames()
        for number in range(100_000):
            waiting.put(AudioFrame(audio=bytes(size_bytes), sample_rate=768_000, id=number))
        held = 100_000 - waiting.dropped
        assert held <= 60 / LEAST_S
        assert held * BASE <= MAX_AUDIO_BYTES
        assert [frame.id for frame in await taken(waiting, held) if isinstance(frame, AudioFrame)] == [
            *range(100_000 - held, 100_000)
        ]


async def test_so_many_bytes_of_audio_just_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """However short they play: one more costs the oldest of them, and no other frame."""
    monkeypatch.setattr(bridging, "MAX_AUDIO_BYTES", 3 * (BASE + 1000))
    waiting = WaitingFrames()
    frames = [AudioFrame(audio=bytes(1000), sample_rate=768_000, id=number) for number in range(4)]
    for round_ in (0, 1):
        waiting.put(said(1))
        for frame in frames[:3]:
            waiting.put(frame)
        assert waiting.dropped == round_
        waiting.put(frames[3])
        assert waiting.dropped == round_ + 1
        assert await taken(waiting, 4) == [said(1), *frames[1:]]
    large = AudioFrame(audio=bytes(10_000), sample_rate=768_000)
    waiting.put(frames[0])
    waiting.put(large)
    assert waiting.dropped == 3
    assert await waiting.get() == large


async def test_an_audio_frame_longer_than_the_bound_is_kept_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridging, "MAX_AUDIO_S", 1.0)
    waiting = WaitingFrames()
    for fill in range(3):
        waiting.put(audio(2.0, fill=fill))
        assert waiting.dropped == fill
    assert await waiting.get() == audio(2.0, fill=2)


async def test_what_is_cleared_is_counted_and_takes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, whichever kind it is; then as much fits as ever did."""
    monkeypatch.setattr(bridging, "MAX_BYTES", 2 * BASE + 2)
    monkeypatch.setattr(bridging, "MAX_FRAMES", 2)
    monkeypatch.setattr(bridging, "MAX_AUDIO_S", 1.0)
    frames: list[Frame] = [audio(0.5), said(1), audio(0.5), said(2)]
    waiting = WaitingFrames()
    for round_ in (0, 1):
        for frame in frames:
            waiting.put(frame)
        waiting.clear()
        assert waiting.dropped == 4 * (round_ + 1)
    for frame in frames:
        waiting.put(frame)
    assert waiting.dropped == 8
    assert await taken(waiting, 4) == frames


async def test_taking_is_a_checkpoint_and_waits_for_a_frame(autojump_clock: trio.testing.MockClock) -> None:
    waiting, got = WaitingFrames(), list[Frame]()

    async def take() -> None:
        got.append(await waiting.get())

    for frame in (InterruptionFrame(), said(1)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            await trio.testing.wait_all_tasks_blocked()
            waiting.put(frame)
    assert got == [InterruptionFrame(), said(1)]
    waiting.put(audio())
    with trio.testing.assert_checkpoints():
        assert isinstance(await waiting.get(), AudioFrame)
