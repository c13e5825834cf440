"""The ready stages: each in virtual time, and twice where something can happen twice."""

from collections.abc import Iterable
from pathlib import Path
from sys import getrefcount

import pytest
import trio
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.pipeline.test_turns import Sink, copy, speech
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import write_wav
from trio_transports.frames import (
    AudioFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    DTMFFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    TextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from trio_transports.pipeline import Pipeline, Stage
from trio_transports.pipeline.stages import mute, play, sentences, user_idle, utterances
from trio_transports.pipeline.stages.splitting import split_sentences

STARTED, STOPPED = UserStartedSpeakingFrame(), UserStoppedSpeakingFrame()


async def run(stages: list[Stage], frames: Iterable[Frame | float], **settings: bool) -> Sink:
    """Send frames, with pauses where a number stands, then end the input."""
    feed, source = trio.open_memory_channel[Frame](1000)
    sink = Sink()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: Pipeline(stages, **settings).run(source, sink))
        for frame in frames:
            if isinstance(frame, int | float):
                await trio.sleep(frame)
            else:
                await feed.send(frame)
        feed.close()
    return sink


def samples(frame: Frame) -> list[int]:
    """The number of each piece that audio consists of."""
    assert isinstance(frame, AudioFrame)
    return [int.from_bytes(frame.audio[at : at + 2], "little") for at in range(0, len(frame.audio), 640)]


# utterances


@pytest.mark.parametrize("interrupts", [False, True])
async def test_an_utterance_is_one_frame_with_its_pre_roll(interrupts: bool, autojump_clock: MockClock) -> None:
    """Two turns: each is one frame in front of its end, begun before it was noticed; an interruption cuts none off."""
    frames: list[Frame | float] = []
    for turn in (0, 100):
        frames += [speech(turn + n) for n in range(50)]
        frames += [STARTED, *(speech(turn + n) for n in range(50, 60)), STOPPED, 1.0]
    sink = await run([utterances(pre_roll_secs=0.2)], frames, allow_interruptions=interrupts)
    audio = [frame for frame in sink.frames if isinstance(frame, AudioFrame)]
    assert [samples(frame) for frame in audio] == [list(range(40, 60)), list(range(140, 160))]
    kinds = [type(frame) for frame in sink.frames if not isinstance(frame, InterruptionFrame)]
    assert kinds == [UserStartedSpeakingFrame, AudioFrame, UserStoppedSpeakingFrame] * 2


async def test_a_long_utterance_comes_in_pieces(autojump_clock: MockClock) -> None:
    """Memory is bounded by max_secs; a turn cut off by the end of the call is given too."""
    sink = await run([utterances(max_secs=1.0)], [STARTED, *map(speech, range(120))])
    audio = [frame for frame in sink.frames if isinstance(frame, AudioFrame)]
    assert [len(samples(frame)) for frame in audio] == [50, 50, 20]
    assert [number for frame in audio for number in samples(frame)] == list(range(120))


async def test_the_last_words_come_in_front_of_the_end(autojump_clock: MockClock) -> None:
    """Of a caller that hangs up in the middle of a turn, in its second one too; outside of a turn there are none."""
    first: list[Frame] = [STARTED, speech(1), STOPPED]
    sink = await run([utterances()], [*first, STARTED, speech(2), speech(3), EndFrame()])
    assert [type(frame) for frame in sink.frames[3:]] == [UserStartedSpeakingFrame, AudioFrame, EndFrame]
    assert samples(sink.frames[4]) == [2, 3]
    sink = await run([utterances()], [*first, speech(2), EndFrame()])
    assert sink.frames == [*first, EndFrame()]


async def test_another_track_is_none_of_the_users_speech(autojump_clock: MockClock) -> None:
    """Audio that names a destination passes as it is, whichever comes first; the turn is the user's, and names none."""
    other = evolve(speech(99), destination="outbound")
    frames: list[Frame | float] = []
    for n in (0, 10):
        frames += [other, STARTED, other, speech(n), other, speech(n + 1), other, STOPPED]
    sink = await run([utterances()], frames)
    audio = [frame for frame in sink.frames if isinstance(frame, AudioFrame)]
    assert [samples(frame) for frame in audio if frame.destination is None] == [[0, 1], [10, 11]]
    assert [frame for frame in audio if frame.destination is not None] == [other] * 8


async def test_an_utterance_has_one_format(autojump_clock: MockClock) -> None:
    """Where the format changes, what was gathered is given by itself."""
    other = AudioFrame(audio=bytes(320), sample_rate=8000)
    sink = await run([utterances()], [STARTED, speech(1), other, STOPPED])
    assert [frame for frame in sink.frames if isinstance(frame, AudioFrame)] == [speech(1), other]


@pytest.mark.parametrize("speaks", [False, True])
async def test_frames_of_one_sample_are_not_kept_one_by_one(speaks: bool, autojump_clock: MockClock) -> None:
    """A peer may send any number of them in the time that is kept."""
    times = 20_000
    feed, source = trio.open_memory_channel[Frame](times + 1)
    output, taken = trio.open_memory_channel[Frame](10)
    tiny = AudioFrame(audio=b"\1\0", sample_rate=768_000)
    if speaks:
        feed.send_nowait(STARTED)
    for _ in range(times):
        feed.send_nowait(tiny)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(utterances(), source, output)
        await trio.sleep(1)
        assert feed.statistics().current_buffer_used == 0
        assert getrefcount(tiny) < 600
        await feed.send(STOPPED)
        feed.close()
    said = [taken.receive_nowait() for _ in range(taken.statistics().current_buffer_used)]
    (whole,) = [frame for frame in said if isinstance(frame, AudioFrame)]
    assert len(whole.audio) == (2 * times if speaks else 2 * 500)


# sentences


@pytest.mark.parametrize(
    ("text", "whole", "left"),
    [
        ("Hello there. How are you? ", ["Hello there.", "How are you?"], " "),
        ("It costs 3.50 at example.com", [], "It costs 3.50 at example.com"),
        ("Dr. Who is in. Next", ["Dr. Who is in."], " Next"),
        ("Really?! Yes.", ["Really?!"], " Yes."),
        ('He said "no." Then', ['He said "no."'], " Then"),
        ("你好。再见。", ["你好。", "再见。"], ""),
        ("a list\n- of things\n", ["a list", "- of things"], ""),
        ("...", [], "..."),
    ],
)
def test_where_sentences_end(text: str, whole: list[str], left: str) -> None:
    """At an end mark before a space, at any CJK one, at a line's end; not in numbers, addresses or titles."""
    assert split_sentences(text) == (whole, left)


@given(st.lists(st.text(alphabet="ab.?! \n", max_size=12), max_size=12))
def test_no_text_is_lost(pieces: list[str]) -> None:
    """However text is cut into pieces, what comes out is what went in, spaces aside, and the same sentences."""
    whole, rest = [], ""
    for piece in pieces:
        found, rest = split_sentences(rest + piece)
        whole += found
    assert "".join([*whole, rest]).split() == "".join("".join(pieces).split()).split() or (
        "".join("".join([*whole, rest]).split()) == "".join("".join(pieces).split())
    )


async def test_sentences_of_a_stream(autojump_clock: MockClock) -> None:
    """Pieces become sentences; what has no end follows after a pause, before other content and at the end."""
    words = ["Good ", "even", "ing. How ", "are", " you"]
    sink = await run([sentences()], [*(TextFrame(text=word) for word in words), 1.0, TextFrame(text="well"), 0.1])
    assert sink.texts == ["Good evening.", "How are you", "well"]
    sink = await run([sentences()], [TextFrame(text="one"), speech(1), TextFrame(text="two"), EndFrame()])
    assert sink.frames == [TextFrame(text="one"), speech(1), TextFrame(text="two"), EndFrame()]
    sink = await run([sentences()], [TextFrame(text="a", utterance="1"), TextFrame(text="b", utterance="2")])
    assert sink.frames == [TextFrame(text="a", utterance="1"), TextFrame(text="b", utterance="2")]
    said, shown = TextFrame(text="The link is "), TextFrame(text="https://x.example", aloud=False)
    sink = await run([sentences()], [said, shown, said, EndFrame()])
    assert sink.frames == [said, shown, evolve(said, text="The link is"), EndFrame()]
    sink = await run([sentences(max_chars=5)], [TextFrame(text="a b c d e f"), 0.1, TextFrame(text="g")])
    assert sink.texts == ["a b c d e f", "g"]
    sink = await run([sentences(max_chars=5)], [TextFrame(text=" " * 6), 0.1, TextFrame(text="  a"), 0.1, EndFrame()])
    assert sink.texts == ["a"]


async def test_an_interruption_drops_half_a_sentence(autojump_clock: MockClock) -> None:
    """Twice; a fact in the middle of a sentence passes at once and splits nothing."""
    frames: list[Frame | float] = []
    for turn in ("1", "2"):
        frames += [TextFrame(text="old "), 0.1, InterruptionFrame(), TextFrame(text="new"), DTMFFrame(digit=turn)]
        frames += [TextFrame(text=f" {turn}. "), 0.1]
    sink = await run([sentences()], frames)
    assert sink.texts == ["new 1.", "new 2."]
    law = TextFrame(text="the law", interruptible=False)
    sink = await run([sentences()], [law, 0.1, InterruptionFrame(), 0.1])
    assert sink.texts == ["the law"]


async def test_facts_do_not_hold_back_the_end_of_a_text(autojump_clock: MockClock) -> None:
    """Key after key is pressed behind what has no end, in two turns: it is given after the same pause all the same."""
    frames: list[Frame | float] = []
    for text in ("one", "two"):
        frames.append(TextFrame(text=text))
        for _ in range(20):
            frames += [0.1, DTMFFrame(digit="1")]
    sink = await run([sentences()], frames)
    texts_at = [at_s for frame, at_s in zip(sink.frames, sink.times_s, strict=True) if isinstance(frame, TextFrame)]
    assert sink.texts == ["one", "two"]
    assert texts_at[1] - texts_at[0] == pytest.approx(2.0, abs=0.01)
    assert 4 <= sink.frames.index(TextFrame(text="one")) <= 5


async def test_what_came_while_the_next_stage_was_busy_belongs_to_the_sentence(autojump_clock: MockClock) -> None:
    """It lay there, so there was no pause. Done twice."""
    feed, source = trio.open_memory_channel[Frame](10)
    output, taken = trio.open_memory_channel[Frame](0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sentences(), source, output)
        for _ in range(2):
            await feed.send(TextFrame(text="A long "))
            await feed.send(DTMFFrame(digit="1"))
            await trio.sleep(0.1)
            await feed.send(TextFrame(text="road."))
            await trio.sleep(3)
            assert await taken.receive() == DTMFFrame(digit="1")
            assert await taken.receive() == TextFrame(text="A long road.")
        nursery.cancel_scope.cancel()


# play


async def test_a_greeting_is_played_first_and_an_announcement_on_demand(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A WAV file once at the beginning, or each time when something comes by."""
    write_wav(tmp_path / "ding.wav", AudioFormat(16000, 1), speech(7).audio)
    sink = await run([play(tmp_path / "ding.wav")], [DTMFFrame(digit="1")])
    assert sink.frames == [speech(7), DTMFFrame(digit="1")]
    menu = play(speech(8), lambda frame: frame == DTMFFrame(digit="1"))
    sink = await run([menu], [DTMFFrame(digit="1"), DTMFFrame(digit="2"), DTMFFrame(digit="1")])
    one, two = DTMFFrame(digit="1"), DTMFFrame(digit="2")
    assert sink.frames == [one, speech(8), two, one, speech(8)]


async def test_an_announcement_may_be_played_to_its_end(autojump_clock: MockClock) -> None:
    for interruptible in (True, False):
        sink = await run([play(speech(7), interruptible=interruptible)], [])
        assert sink.frames == [evolve(speech(7), interruptible=interruptible)]
    law = evolve(speech(7), interruptible=False)
    assert (await run([play(law)], [])).frames == [law]


def test_a_sound_that_is_not_there_is_told_before_the_call(tmp_path: Path) -> None:
    """The file is read where the stage is made."""
    with pytest.raises(FileNotFoundError):
        play(tmp_path / "none.wav")


# user_idle


async def test_an_idle_user_is_asked_again_and_then_left(autojump_clock: MockClock) -> None:
    """Time counts from when both are silent; speaking starts the count anew; an EndFrame ends the call."""

    def say(times: int) -> Frame:
        return EndFrame() if times == 3 else TextFrame(text=f"still there? {times}")

    frames: list[Frame | float] = [STARTED, 30.0, STOPPED, BotStartedSpeakingFrame(), 20.0, BotStoppedSpeakingFrame()]
    frames += [12.0, DTMFFrame(digit="1"), 60.0]
    began_s = trio.current_time()
    sink = await run([user_idle(5, say)], frames)
    times = {
        frame.text if isinstance(frame, TextFrame) else "end": round(at_s - began_s)
        for frame, at_s in zip(sink.frames, sink.times_s, strict=True)
        if isinstance(frame, TextFrame | EndFrame)
    }
    assert sink.texts == ["still there? 1", "still there? 2", "still there? 1", "still there? 2"]
    assert times == {"still there? 1": 67, "still there? 2": 72, "end": 77}


async def test_a_user_who_spoke_while_the_next_stage_was_busy_is_not_idle(autojump_clock: MockClock) -> None:
    """It lies unread when the time is over. Done twice."""
    feed, source = trio.open_memory_channel[Frame](10)
    output, taken = trio.open_memory_channel[Frame](0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(user_idle(5, lambda times: TextFrame(text="still there?")), source, output)
        for _ in range(2):
            await feed.send(DTMFFrame(digit="1"))
            await trio.sleep(10)
            await feed.send(STARTED)
            for frame in (DTMFFrame(digit="1"), STARTED):
                assert await taken.receive() == frame
            await feed.send(STOPPED)
            assert await taken.receive() == STOPPED
        nursery.cancel_scope.cancel()


async def test_each_track_of_the_bots_speaks_for_itself(autojump_clock: MockClock) -> None:
    """While one of them does, the bot is not silent: the user is muted, and not asked. In two turns."""
    music = "music"
    frames: list[Frame | float] = []
    for n in (0, 10):
        frames += [BotStartedSpeakingFrame(), BotStartedSpeakingFrame(destination=music), 1.0]
        frames += [BotStoppedSpeakingFrame(destination=music), speech(n + 1), 9.0, BotStoppedSpeakingFrame()]
        frames += [speech(n + 2), 1.0]
    sink = await run([mute("bot_speaks")], frames)
    assert [number for frame in sink.frames if isinstance(frame, AudioFrame) for number in samples(frame)] == [2, 12]
    sink = await run([user_idle(5, lambda times: TextFrame(text="still there?"))], frames)
    assert sink.texts == []


# mute


@pytest.mark.parametrize("how", ["bot_speaks", "function"])
async def test_a_muted_user_is_not_heard_and_does_not_interrupt(how: str, autojump_clock: MockClock) -> None:
    """While the bot speaks nothing of the user's voice passes, digits do; a turn is heard whole or not at all."""
    on = False

    def watch(frame: Frame) -> Frame:
        nonlocal on
        on = isinstance(frame, BotStartedSpeakingFrame) or (on and not isinstance(frame, BotStoppedSpeakingFrame))
        return frame

    muted = mute("bot_speaks") if how == "bot_speaks" else mute(lambda: on)
    inner = Pipeline([copy], allow_interruptions=True)
    frames: list[Frame | float] = []
    for n in (0, 10):
        frames += [speech(n), STARTED, BotStartedSpeakingFrame(), speech(n + 1), 0.1, STOPPED, 0.1]
        frames += [STARTED, speech(n + 2), DTMFFrame(digit="1"), BotStoppedSpeakingFrame(), 0.1, speech(n + 3), 0.1]
        frames += [STOPPED, speech(n + 4), 0.1]
    sink = await run([watch, muted, inner.run], frames)
    heard = [number for frame in sink.frames if isinstance(frame, AudioFrame) for number in samples(frame)]
    assert [n for n in heard if n % 10 != 0] == [1, 4, 11, 14]
    assert sum(isinstance(frame, InterruptionFrame) for frame in sink.frames) == 2
    assert sum(isinstance(frame, UserStartedSpeakingFrame) for frame in sink.frames) == 2
    assert sum(isinstance(frame, UserStoppedSpeakingFrame) for frame in sink.frames) == 2
    assert sum(isinstance(frame, DTMFFrame) for frame in sink.frames) == 2


async def test_the_first_words_of_the_bot_are_heard_out(autojump_clock: MockClock) -> None:
    """The user is muted until the bot has spoken once, and then no more."""
    bot: list[Frame | float] = [BotStartedSpeakingFrame(), STARTED, speech(1), STOPPED, BotStoppedSpeakingFrame()]
    sink = await run([mute("first_speech")], [*bot, speech(2), *bot, speech(3)])
    assert [number for frame in sink.frames if isinstance(frame, AudioFrame) for number in samples(frame)] == [2, 1, 3]
    music: list[Frame | float] = [
        BotStartedSpeakingFrame(destination="music"),
        BotStoppedSpeakingFrame(destination="music"),
    ]
    sink = await run([mute("first_speech")], [bot[0], *music, STARTED, speech(1), STOPPED, bot[-1], speech(2)])
    assert [number for frame in sink.frames if isinstance(frame, AudioFrame) for number in samples(frame)] == [2]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: utterances(pre_roll_secs=-1), "pre_roll_secs"),
        (lambda: sentences(wait_secs=0), "wait_secs"),
        (lambda: user_idle(0, lambda times: None), "seconds"),
        (lambda: mute("whenever"), "first_speech"),  # type: ignore[arg-type]
    ],
)
def test_what_makes_no_sense_is_refused(make, says: str) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """A wrong setting is a ValueError that names it."""
    with pytest.raises(ValueError, match=says):
        make()
