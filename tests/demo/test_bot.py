"""The echo bot, talking to a scripted page in virtual time."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import final

import pytest
import trio
from attrs import define, evolve, field
from trio.testing import MockClock

from trio_transports.demo.bot import EchoBot
from trio_transports.errors import RemoteProtocolError
from trio_transports.frames import (
    AudioFrame,
    BotStartedSpeakingFrame,
    DTMFFrame,
    EndFrame,
    ImageFrame,
    InterruptionFrame,
    JSONValue,
    MessageFrame,
    TextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from trio_transports.params import TransportParams
from trio_transports.playground.dialect import PCMFrameSerializer
from trio_transports.playground.routes import bot_params
from trio_transports.session import Session
from trio_transports.testing import ScriptedPeer, memory_session, phone_call, speech_like
from trio_transports.vad import SpeechEvent, SpeechStarted, SpeechStopped

RATE = 16000
FRAME_BYTES = 640
LISTENS_S = 0.1


@final
@define(eq=False)
class AnythingButSilence:
    """Speech is what is not zero: found after 0.1 s of it, gone after 0.1 s of zeros."""

    _at_s: float = field(default=0.0, init=False)
    _since_s: float = field(default=0.0, init=False)
    _speaks: bool = field(default=False, init=False)

    def start(self, sample_rate: int) -> None:
        assert sample_rate == RATE

    def analyze(self, pcm: bytes) -> Sequence[SpeechEvent]:
        if any(pcm) == self._speaks:
            self._since_s = self._at_s
        self._at_s += len(pcm) / 2 / RATE
        if self._at_s - self._since_s < LISTENS_S - 0.001:
            return ()
        began_s, self._since_s = self._since_s, self._at_s
        self._speaks = not self._speaks
        return (SpeechStarted(began_s) if self._speaks else SpeechStopped(began_s),)

    def stop(self) -> None:
        pass

    def fresh(self) -> "AnythingButSilence":
        return AnythingButSilence()


PARAMS = TransportParams(
    serializer=PCMFrameSerializer,
    audio_in_enabled=True,
    audio_out_enabled=True,
    audio_out_10ms_chunks=2,
    audio_out_auto_silence=False,
    vad_enabled=True,
    vad_analyzer=AnythingButSilence,
)


@final
@define(eq=False)
class ScriptedPage:
    """What a page does: sound all the time, and messages beside it."""

    peer: ScriptedPeer
    _to_say: bytearray = field(factory=bytearray, init=False)

    async def stream(self) -> None:
        start_s = trio.current_time()
        number = 0
        while True:
            pcm, self._to_say = self._to_say[:FRAME_BYTES], self._to_say[FRAME_BYTES:]
            await self.peer.send_raw(bytes(pcm.ljust(FRAME_BYTES, b"\0")))
            number += 1
            await trio.sleep_until(start_s + number * 0.02)

    def say(self, duration_s: float, sample: int) -> bytes:
        pcm = sample.to_bytes(2, "little") * round(duration_s * RATE)
        self._to_say += pcm
        return pcm

    async def tell(self, **message: JSONValue) -> None:
        await self.peer.send(MessageFrame(message=message))

    def pongs(self) -> list[str]:
        return [text for _, text in self.peer.messages if isinstance(text, str) and "pong" in text]

    def told(self, kind: str) -> list[dict[str, JSONValue]]:
        messages = (frame.message for frame in self.peer.recorder.of(MessageFrame))
        return [message for message in messages if isinstance(message, dict) and message["type"] == kind]


@asynccontextmanager
async def visiting(**settings: JSONValue) -> AsyncIterator[tuple[EchoBot, ScriptedPage]]:
    async with memory_session(PARAMS) as (session, peer), trio.open_nursery() as nursery:
        bot, page = EchoBot(session), ScriptedPage(peer)
        nursery.start_soon(bot.run)
        nursery.start_soon(page.stream)
        await page.tell(type="settings", **settings)
        yield bot, page
        nursery.cancel_scope.cancel()


async def test_an_utterance_comes_back_after_the_delay(autojump_clock: MockClock) -> None:
    """All of it, with its beginning, once it has ended; silence after it is not said back."""
    async with visiting(delay_ms=300) as (_, page):
        said = page.say(1.0, 0x1234)
        await trio.sleep(5)
    heard = page.peer.recorder.audio
    assert said in heard
    assert len(heard) / 2 / RATE == pytest.approx(1.0 + LISTENS_S, abs=0.07)
    stopped_at_s = next(
        heard.at_s for heard in page.peer.recorder.heard if isinstance(heard.frame, UserStoppedSpeakingFrame)
    )
    assert page.peer.recorder.audio_times_s[0] - stopped_at_s == pytest.approx(0.3, abs=0.03)
    assert [round(float(str(answer["seconds"])), 1) for answer in page.told("answer")] == [1.1]


async def test_the_page_is_told_when_speech_began_and_ended(autojump_clock: MockClock) -> None:
    """In seconds of the sound it sent."""
    async with visiting() as (bot, page):
        await trio.sleep(0.995)
        page.say(0.5, 1)
        await trio.sleep(0.2)
        moods = [bot.mood]
        for wait_s in (0.6, 0.3, 2):
            await trio.sleep(wait_s)
            moods.append(bot.mood)
    assert moods == ["hearing", "listening", "answering", "listening"]
    (began,) = page.peer.recorder.of(UserStartedSpeakingFrame)
    (ended,) = page.peer.recorder.of(UserStoppedSpeakingFrame)
    assert began.at_s == pytest.approx(1.0, abs=0.03)
    assert ended.at_s == pytest.approx(1.5, abs=0.03)
    assert len(page.peer.recorder.of(BotStartedSpeakingFrame)) == 1


async def test_speech_interrupts_the_answer(autojump_clock: MockClock) -> None:
    """With barge-in the page is told to stop, and hears nothing more of the old answer."""
    async with visiting(delay_ms=0) as (_, page):
        page.say(2.0, 0x1111)
        await trio.sleep(3.0)
        assert len(page.peer.recorder.audio) / 2 / RATE == pytest.approx(0.8, abs=0.3)
        page.say(1.0, 0x2222)
        await page.peer.recorder.wait_for(InterruptionFrame)
        before = len(page.peer.recorder.audio)
        await trio.sleep(3.0)
    after = page.peer.recorder.audio[before:]
    assert b"\x11\x11" not in after
    assert b"\x22\x22" in after
    assert len(page.peer.recorder.of(InterruptionFrame)) == 1


async def test_speech_before_the_answer_takes_it_back(autojump_clock: MockClock) -> None:
    """Who goes on within the delay is not answered twice; nothing has to be interrupted for that."""
    async with visiting(delay_ms=1000) as (_, page):
        page.say(0.5, 0x1111)
        await trio.sleep(0.8)
        page.say(0.5, 0x2222)
        await trio.sleep(5)
    heard = page.peer.recorder.audio
    assert b"\x22\x22" in heard
    assert b"\x11\x11" not in heard
    assert page.peer.recorder.of(InterruptionFrame) == []


async def test_without_barge_in_both_are_said(autojump_clock: MockClock) -> None:
    """Answers wait for each other, and none is cut."""
    async with visiting(delay_ms=0, barge_in=False) as (_, page):
        first = page.say(1.0, 0x1111)
        await trio.sleep(1.5)
        second = page.say(0.5, 0x2222)
        await trio.sleep(5)
    heard = page.peer.recorder.audio
    assert 0 <= heard.index(first) < heard.index(second)
    assert page.peer.recorder.of(InterruptionFrame) == []


async def test_the_mirror_says_all_after_the_delay(autojump_clock: MockClock) -> None:
    """Silence and speech come back in pace, while the caller goes on."""
    async with visiting(mode="mirror", delay_ms=500) as (_, page):
        await trio.sleep(1)
        said_at_s = trio.current_time()
        said = page.say(1.0, 0x1234)
        await trio.sleep(3)
    recorder = page.peer.recorder
    assert said in recorder.audio
    loud_at_s = next(h.at_s for h in recorder.heard if isinstance(h.frame, AudioFrame) and b"\x34\x12" in h.frame.audio)
    assert loud_at_s - said_at_s == pytest.approx(0.5, abs=0.05)
    assert recorder.of(InterruptionFrame) == []


async def test_a_mode_changed_in_the_middle_of_a_sentence(autojump_clock: MockClock) -> None:
    """What was said before the change is not said back when the sentence ends."""
    async with visiting(delay_ms=0) as (_, page):
        page.say(1.0, 0x1234)
        await trio.sleep(0.5)
        await page.tell(type="settings", mode="mirror")
        await trio.sleep(4)
    assert page.told("answer") == []
    assert 0.4 < page.peer.recorder.audio.count(b"\x34\x12") / RATE < 0.6


async def test_pings_are_answered_beside_the_audio(autojump_clock: MockClock) -> None:
    """A pong overtakes the answer that is being said, and carries what the ping said."""
    async with visiting(delay_ms=0) as (_, page):
        page.say(2.0, 1)
        await trio.sleep(2.5)
        await page.peer.send_raw('{"type":"ping","t":123.5}')
        await trio.sleep(0.01)
        assert page.pongs() == ['{"type":"pong","t":123.5}']


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"mode": "sing"}, "'mode'"),
        ({"delay_ms": -1}, "'delay_ms'"),
        ({"delay_ms": "1"}, "'delay_ms'"),
        ({"x": 1}, "x"),
    ],
)
async def test_wrong_settings_are_refused(settings: dict[str, JSONValue], why: str, autojump_clock: MockClock) -> None:
    """The page is told why, and the settings stay."""
    async with visiting() as (bot, page):
        before = bot.settings
        await page.tell(type="settings", **settings)
        await trio.sleep(0.1)
        (refused,) = page.told("refused")
        assert why in str(refused["why"])
        assert bot.settings == before


async def test_what_is_typed_and_pressed_is_written_back(autojump_clock: MockClock) -> None:
    """Words and keys are answered in writing, beside the audio."""
    async with visiting() as (_, page):
        await page.peer.send(TextFrame(text="hello?"))
        await page.peer.send(DTMFFrame(digit="#"))
        await trio.sleep(0.1)
        said = page.peer.recorder.of(TextFrame)
    assert said == [TextFrame(text="You wrote: hello?", aloud=False), TextFrame(text="You pressed #.", aloud=False)]


async def test_the_end_of_the_stream_ends_the_call(autojump_clock: MockClock) -> None:
    """A caller that says that it is done is let go, though its line stays open."""
    async with memory_session(PARAMS) as (session, peer):
        await peer.send(EndFrame())
        with trio.fail_after(1):
            await EchoBot(session).run()


async def test_other_frames_are_taken_in_good_part(autojump_clock: MockClock) -> None:
    """What the bot does not know does not end the call."""
    async with visiting() as (_, page):
        await page.peer.send(MessageFrame(message=[1, 2]))
        await page.peer.send_raw(b"odd")
        await page.peer.send_raw('{"type":"ping","t":1}')
        await trio.sleep(0.1)
        assert page.pongs() == ['{"type":"pong","t":1}']


def test_the_browsers_dialect() -> None:
    """Binary is PCM in the agreed format, text is JSON frames; half a sample is the peer's mistake."""
    dialect = PCMFrameSerializer()
    frame = AudioFrame(audio=b"\1\2\3\4", sample_rate=16000)
    assert dialect.encode(frame) == (b"\1\2\3\4",)
    assert dialect.decode(b"\1\2\3\4") == (frame,)
    (text,) = dialect.encode(TextFrame(text="a"))
    assert isinstance(text, str)
    assert dialect.decode(text) == (TextFrame(text="a"),)
    with pytest.raises(RemoteProtocolError, match="3 bytes are not whole samples"):
        dialect.decode(b"odd")


@pytest.mark.parametrize("line", ["genesys", "twilio"])
async def test_a_telephone_is_told_nothing_but_sound(line: str, autojump_clock: MockClock) -> None:
    """A message would be an order for its provider; Genesys' refuses it, and the call had ended with that. Twice."""

    async def answer(session: Session) -> None:
        await EchoBot(session).run()

    async with phone_call(answer, line, params=bot_params()) as phone:
        for _ in range(2):
            await phone.be_silent(0.5)
            await phone.speak(speech_like(1.0))
            await phone.be_silent(3.0)
            assert (await phone.listen()).duration_s > 0.8
        assert not [order for order in phone.others if "seconds" in str(order.message)]


async def test_pictures_come_back(autojump_clock: MockClock) -> None:
    """Each as it was seen, in order, beside the sound."""
    seeing = evolve(
        PARAMS,
        video_in_enabled=True,
        video_out_enabled=True,
        video_out_is_live=True,
        video_out_width=1,
        video_out_height=1,
    )
    sent = [ImageFrame(image=bytes((number,)) * 3, size=(1, 1)) for number in range(3)]
    async with memory_session(seeing) as (session, peer), trio.open_nursery() as nursery:
        nursery.start_soon(EchoBot(session).run)
        for frame in sent:
            await peer.send(frame)
            await trio.sleep(0.1)
        assert peer.recorder.of(ImageFrame) == sent
        nursery.cancel_scope.cancel()
