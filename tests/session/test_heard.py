"""What was heard, as the session reports it, against what scripted phones have played when they were interrupted."""

from functools import partial
from random import Random

import numpy as np
import pytest
import trio
from attrs import define, evolve, field
from trio.testing import MockClock

from tests.session.helpers import params
from trio_transports import (
    AudioFrame,
    BotStoppedSpeakingFrame,
    InterruptionFrame,
    Session,
    TextFrame,
    TransportParams,
    UserStartedSpeakingFrame,
)
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.mixer import SoundMixer
from trio_transports.audio.sound import Sound
from trio_transports.frames import Frame, Played
from trio_transports.pipeline import Pipeline
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.session.player import Player
from trio_transports.testing import ScriptedPhone, memory_session, phone_call
from trio_transports.testing.phones import PlayOrder

RATE = 8000
json_params = partial(params, audio_out_sample_rate=RATE)
CALLS, TURNS = 10, 20
LOUD = 4000
LEARNS_S = 0.06
"""A piece, its mark, and the next turn of the loop."""


def voice(duration_s: float, value: int = 8000) -> AudioFrame:
    return AudioFrame(audio=value.to_bytes(2, "little") * round(duration_s * RATE), sample_rate=RATE)


def loud_s(pcm: bytes, rate: int) -> float:
    return float((np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)) > LOUD).sum()) / rate


@define(eq=False)
class Talker:
    """Says so many utterances of random pieces, and is interrupted in each at a random moment."""

    random: Random
    places_s: list[list[float]] = field(factory=list)
    reported: list[Played] = field(factory=list)

    async def bot(self, session: Session) -> None:
        random, output = self.random, session.output
        for turn in range(TURNS):
            name, at_s, places = f"turn {turn}", 0.0, []
            for n in range(random.randrange(1, 8)):
                places.append(at_s)
                duration_s = random.uniform(0.05, 0.7)
                piece = evolve(voice(duration_s), utterance=name)
                at_s += piece.duration_s
                await output.send(TextFrame(text=str(n), utterance=name))
                await output.send(piece)
            await trio.sleep(random.uniform(0, at_s + 0.3))
            await output.interrupt()
            self.places_s.append(places)
            self.reported.append(output.playback[name])
            await trio.sleep(random.uniform(0.7, 1.0))


def truths(phone: ScriptedPhone) -> list[tuple[float, float]]:
    """Of each turn, how long it had been played when it was cleared, and how much had come."""
    found, since_s = [], float("-inf")
    for cleared_s in phone.clears_s:
        played = [piece for piece in phone.pieces if since_s <= piece.start_s < cleared_s]
        came = [order for at_s, order in phone.orders if since_s <= at_s <= cleared_s and isinstance(order, PlayOrder)]
        found.append(
            (
                sum(loud_s(piece.pcm, piece.rate) for piece in played),
                sum(loud_s(order.pcm, order.sample_rate) for order in came),
            )
        )
        since_s = cleared_s
    return found


@pytest.mark.parametrize(
    ("line", "phone", "within_s"),
    [
        ("twilio", {}, 0.02),
        ("twilio", {"buffer_s": 0.16}, 0.02),
        ("twilio", {"lag_s": 0.25}, 0.02),
        ("twilio", {"buffer_s": 0.1, "lag_s": 0.15, "way_s": 0.08}, 0.02),
        ("plivo", {"buffer_s": 0.1, "way_s": 0.03}, 0.02),
        ("vonage", {"buffer_s": 0.08, "lag_s": 0.3}, 0.02),
        ("twilio", {"tells_marks": False, "buffer_s": 0.03, "way_s": 0.1}, 0.06),
        ("browser", {"buffer_s": 0.04, "way_s": 0.05}, 0.06),
    ],
)
async def test_the_position_is_the_phones(
    line: str, phone: dict[str, float], within_s: float, autojump_clock: MockClock
) -> None:
    """At two hundred random moments: to a chunk with marks, to 60 ms without, and never past what was written."""
    wrong: list[tuple[int, int, float, float]] = []
    for call in range(CALLS):
        talker = Talker(Random(call))
        async with phone_call(talker.bot, line, **phone) as caller:  # type: ignore[arg-type]
            await caller.until(lambda _, talker=talker: len(talker.reported) == TURNS)  # type: ignore[misc]
            await trio.sleep(1)
        seen = truths(caller)
        assert len(seen) == TURNS
        is_known, buffer_s, around_s = (
            False,
            phone.get("buffer_s", 0.0),
            phone.get("way_s", 0.0) + phone.get("lag_s", 0.0),
        )
        for turn, (told, places, (played_s, came_s)) in enumerate(
            zip(talker.reported, talker.places_s, seen, strict=True)
        ):
            assert told.is_over
            ramp_s = 0.01 if line == "browser" else 0  # of its converter's filter, where a voice begins
            assert told.seconds <= came_s + ramp_s + 1e-6, "past what was written"
            exact_s = within_s + 0.001
            if phone.get("tells_marks", line != "browser") and not is_known:
                # Until the first mark can have come back what the phone buffers shows only by the marks that have not.
                is_known = came_s > LEARNS_S + buffer_s + around_s
                exact_s += 0 if is_known else min(buffer_s, around_s)
            if abs(told.seconds - played_s) > exact_s:
                wrong.append((call, turn, told.seconds, played_s))
            heard = [text.text for text in told.texts]
            if all(abs(place - told.seconds) > 0.01 for place in places):
                assert heard == [str(n) for n, place in enumerate(places) if place < told.seconds]
            if all(abs(place - played_s) > exact_s for place in places):
                assert heard == [str(n) for n, place in enumerate(places) if place < played_s]
    assert not wrong


@pytest.mark.parametrize("phone", [{"buffer_s": 0.2, "lag_s": 0.1}, {"buffer_s": 0.16, "way_s": 0.05}])
async def test_the_position_is_the_phones_above_a_bed(phone: dict[str, float], autojump_clock: MockClock) -> None:
    """A mixer's bed never leaves the phone idle, and what it buffers is known all the same."""
    wrong: list[tuple[int, int, float, float]] = []
    for call in range(3):
        talker = Talker(Random(call))
        params = TransportParams(
            serializer=DetectingFrameSerializer(),
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_out_mixer=SoundMixer(Sound(AudioFormat(RATE), (500).to_bytes(2, "little") * RATE)),
        )
        async with phone_call(talker.bot, "twilio", params=params, **phone) as caller:  # type: ignore[arg-type]
            await caller.until(lambda _, talker=talker: len(talker.reported) == TURNS)  # type: ignore[misc]
            await trio.sleep(1)
        for turn, (told, (played_s, _)) in enumerate(zip(talker.reported, truths(caller), strict=True)):
            if turn >= 2 and abs(told.seconds - played_s) > 0.021:
                wrong.append((call, turn, told.seconds, played_s))
    assert not wrong


async def test_runs_of_speech_have_names_of_their_own(autojump_clock: MockClock) -> None:
    """What names no utterance: one for each run, ended by a pause, by the word for it, or by an interruption."""
    async with memory_session(json_params()) as (session, _peer):
        for _ in range(2):
            await session.output.send(voice(0.5))
            await trio.sleep(2)
        await session.output.send(voice(0.3))
        await session.output.send(BotStoppedSpeakingFrame())
        await session.output.send(voice(5.0))
        await trio.sleep(1.3)
        await session.output.interrupt()
        await session.output.send(voice(0.2))
        await trio.sleep(2)
        told = session.output.playback
    assert list(told) == [f"speech-{n}" for n in range(1, 6)]
    assert [each.seconds for each in told.values()] == pytest.approx([0.5, 0.5, 0.3, 1.0, 0.2], abs=0.03)
    assert [each.is_complete for each in told.values()] == [True, True, True, False, True]


async def test_the_end_of_speech_tells_what_was_heard(autojump_clock: MockClock) -> None:
    """The session's own notice carries it, for each utterance, and at an interruption what was heard until then."""
    async with memory_session(json_params(audio_out_auto_silence=False)) as (session, _peer):
        for name in ("a", "b"):
            await session.output.send(TextFrame(text=name, utterance=name))
            await session.output.send(evolve(voice(1.0), utterance=name))
            await trio.sleep(0.6 if name == "b" else 2)
        await session.output.interrupt()
        await trio.sleep(1)
        told = []
        with trio.move_on_after(0.1):
            async for frame in session.input:
                if isinstance(frame, BotStoppedSpeakingFrame):
                    told.append(frame.heard)
    assert [(each.utterance, round(each.seconds, 2), each.is_complete) for each in told if each is not None] == [
        ("a", 1.0, True),
        ("b", 0.6, False),
    ]


@pytest.mark.parametrize("is_interrupted", [False, True])
async def test_the_end_of_speech_tells_of_what_was_spoken_though_more_waits(
    is_interrupted: bool, autojump_clock: MockClock
) -> None:
    """Of a pipeline that runs ahead the next utterance is there already, with its audio or with its text alone."""
    async with memory_session(json_params(audio_out_auto_silence=False)) as (session, _peer):
        for name in ("a", "b", "c"):
            await session.output.send(TextFrame(text=name, utterance=name))
            await session.output.send(evolve(voice(1.0), utterance=name))
            await session.output.send(BotStoppedSpeakingFrame())
        await session.output.send(TextFrame(text="d", utterance="d"))
        await trio.sleep(1.5)
        if is_interrupted:
            await session.output.interrupt()
        await trio.sleep(3)
        told = []
        with trio.move_on_after(0.1):
            async for frame in session.input:
                if isinstance(frame, BotStoppedSpeakingFrame) and frame.heard is not None:
                    told.append((frame.heard.utterance, round(frame.heard.seconds, 1)))
    assert told == ([("a", 1.0), ("b", 0.5)] if is_interrupted else [("a", 1.0), ("b", 1.0), ("c", 1.0)])


async def test_a_text_without_a_name_belongs_to_the_audio_behind_it(autojump_clock: MockClock) -> None:
    """Also where the speech before it ends in between, again and again."""
    async with memory_session(json_params(audio_out_auto_silence=False)) as (session, _peer):
        for number in range(3):
            await session.output.send(TextFrame(text=f"text {number}"))
            await trio.sleep(1.5)
            await session.output.send(voice(1.0))
            await session.output.send(BotStoppedSpeakingFrame())
        await trio.sleep(2)
        told = session.output.playback
    assert [[text.text for text in each.texts] for each in told.values()] == [["text 0"], ["text 1"], ["text 2"]]


@pytest.mark.parametrize("who", ["session", "pipeline"])
async def test_an_interruption_carries_it(who: str, autojump_clock: MockClock) -> None:
    """Whoever interrupts, the frame that the handler gets tells what was cut off, and how far it was heard; twice."""
    heard: list[tuple[Played, ...]] = []

    async def listen(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        async for frame in input:
            if isinstance(frame, InterruptionFrame):
                heard.append(frame.heard)

    settings = json_params(vad_enabled=True, allow_interruptions=who == "session")
    loud = AudioFrame(audio=np.random.default_rng(1).normal(0, 6000, 160).astype("<i2").tobytes(), sample_rate=RATE)
    async with memory_session(settings) as (session, peer), trio.open_nursery() as nursery:
        pipeline = Pipeline([listen], allow_interruptions=who == "pipeline")
        nursery.start_soon(pipeline.run, session.input, session.output)
        for name in ("one", "two"):
            await session.output.send(evolve(voice(9.0), utterance=name))
            for piece in (evolve(loud, audio=bytes(320)), loud, evolve(loud, audio=bytes(320))):
                for _ in range(50):
                    await peer.send(piece)
                    await trio.sleep(0.02)
        nursery.cancel_scope.cancel()
    assert [[each.utterance for each in told] for told in heard] == [["one"], ["two"]]
    assert [told[0].is_complete for told in heard] == [False, False]
    assert [told[0].is_over for told in heard] == [who == "session"] * 2  # the pipeline asks in front of interrupting
    assert all(1.0 < told[0].seconds < 1.6 for told in heard)


async def test_nothing_is_heard_by_a_peer_that_reads_nothing(autojump_clock: MockClock) -> None:
    """What waits on this side of a stalled wire was not written, and so not heard, however much time goes by."""
    async with memory_session(json_params(send_timeout=60), buffer_messages=10) as (session, peer):
        peer.stall()
        await session.output.send(evolve(voice(9.0), utterance="u"))
        await trio.sleep(5)
        assert session.output.playback["u"].seconds <= 12 * 0.02
        peer.resume()
        await trio.sleep(9)
        assert session.output.playback["u"].is_complete


async def test_what_a_user_says_is_not_an_utterance_of_ours(autojump_clock: MockClock) -> None:
    """Only what was sent here counts."""
    async with memory_session(json_params()) as (session, peer):
        await peer.send(UserStartedSpeakingFrame())
        await peer.send(TextFrame(text="hello"))
        await trio.sleep(1)
        assert session.output.playback == {}


def test_the_least_lag_is_believed() -> None:
    """Marks that are late by chance do not make the player later than it is; a peer that answers none costs nothing."""
    player = Player()
    player.marked("front", 0.0)
    player.sent(10.0, 0.0)
    assert player.told("front", 0.1)
    for n, late in enumerate((0.3, 0.0, 0.5)):
        player.marked(f"m{n}", 0.0)
        assert player.told(f"m{n}", 10.0 + 0.1 + 0.05 + late)
    assert player.delay_s == pytest.approx(0.05)
    assert not player.told("m1", 20.0)
    for n in range(1000):
        player.marked(f"n{n}", 20.0)
    assert player.delay_s == pytest.approx(0.05)


async def test_what_names_no_utterance_is_known_apart_on_two_destinations(autojump_clock: MockClock) -> None:
    """Each run of speech has a name of its own, in the interruption and behind it, in two turns."""
    params = TransportParams(
        serializer=JSONFrameSerializer(), audio_out_enabled=True, audio_out_destinations=["here", "there"]
    )
    async with memory_session(params) as (session, _peer):
        for _ in range(2):
            before = set(session.output.playback)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(session.output.send, evolve(voice(3.0), destination="here"))
                await trio.sleep(0.5)
                nursery.start_soon(session.output.send, evolve(voice(3.0), destination="there"))
                await trio.sleep(0.5)
                await session.output.send(InterruptionFrame())
            heard = [played.seconds for name, played in session.output.playback.items() if name not in before]
            assert sorted(heard) == pytest.approx([0.5, 1.0], abs=0.06)
