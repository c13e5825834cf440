"""A whole call by each provider's line over a real socket: every sample, every mark, every key, and the end."""

import json

import pytest
import trio
from attrs import define, evolve, field

from tests.real.hosting import hosted
from tests.real.telephony.lines import (
    ExotelLine,
    Line,
    Other,
    Packet,
    PlivoLine,
    TelnyxLine,
    TwilioLine,
    VonageLine,
)
from tests.real.telephony.other_lines import AUDIO_LINES, RelayLine
from tests.real.telephony.phone import calling, cleared, packets
from tests.real.telephony.sounds import ULAW, coded, decoded, tone, vowel
from trio_transports import (
    AudioFrame,
    BotStoppedSpeakingFrame,
    Disconnected,
    DTMFFrame,
    EndFrame,
    Frame,
    MarkFrame,
    Session,
    StartFrame,
    TextFrame,
    TranscriptionFrame,
)
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.wire.engines import ENGINES

OLD_LINES: list[Line] = [TwilioLine(), TelnyxLine(), PlivoLine(), ExotelLine(), VonageLine()]
LINES = [*OLD_LINES, *AUDIO_LINES]
WITHOUT_KEYS, WITHOUT_MARKS = ("sinch",), ("sinch", "azure", "genesys")
LAST_WORDS = {
    "jambonz": '{"type":"disconnect"}',
    "asterisk": "HANGUP",
    "asterisk-plain": "HANGUP",
    "genesys": "disconnect",
}


engines = pytest.mark.parametrize("engine", ENGINES)


def carried(pcm: bytes, line: Line) -> bytes:
    """Sound that the line's code carries without loss, so that every sample can be compared."""
    mu_law = line.name in ("twilio", "plivo", "asterisk", "asterisk-plain", "genesys") or line.name.startswith("telnyx")
    return decoded(coded(pcm, ULAW), ULAW) if mu_law else pcm


@define(eq=False)
class Bot:
    """Says a sentence and marks it; asked by a key, it starts a long one, drops it, and hangs up."""

    sentence: bytes
    line: Line
    frames: list[Frame] = field(factory=list)

    async def __call__(self, session: Session) -> None:
        rate = self.line.rate
        self.frames.append(await session.input.receive())
        await session.output.send(AudioFrame(audio=self.sentence, sample_rate=rate))
        await session.output.send(MarkFrame(mark="said"))
        heard = 0
        async for frame in session.input:
            self.frames.append(frame)
            heard += len(frame.audio) if isinstance(frame, AudioFrame) else 0
            is_asked = frame == DTMFFrame(digit="5") or (self.line.name in WITHOUT_KEYS and heard == len(self.sentence))
            if is_asked:
                await session.output.drain()
                await session.output.send(AudioFrame(audio=vowel(20, rate), sample_rate=rate))
                await trio.sleep(0.3)
                await session.output.interrupt()
                await session.output.send(EndFrame(reason="done"))
                return


@engines
@pytest.mark.parametrize("line", LINES, ids=lambda line: str(line.name))
async def test_a_whole_call(line: Line, engine: str) -> None:
    """The caller hears every sample of the bot's sentence and the bot of the caller's, bit for bit.

    Marks come back, a key is heard, an interruption clears, and the bot's end is said in the line's own words.
    """
    line = evolve(line)  # type: ignore[misc] # every line is an attrs class
    rate = line.rate
    sentence = carried(vowel(0.6, rate), line)
    question = sentence if line.name in WITHOUT_KEYS else carried(tone(700, 0.4, rate), line)
    bot = Bot(sentence, line)
    settings = {
        "serializer": DetectingFrameSerializer(),
        "audio_in_enabled": True,
        "audio_out_enabled": True,
        "audio_out_auto_silence": False,
        "audio_out_end_silence_secs": 0,
    }
    async with hosted(engine, bot, **settings) as host, calling(host.url, line) as phone:
        with trio.fail_after(20):
            await phone.open()
            whole = (
                len(sentence) // 2 / rate / (0.2 if line.name == "genesys" else 0.1 if "exotel" in line.name else 0.02)
            )
            await phone.until(packets(round(whole)))
            if line.name not in WITHOUT_MARKS:
                await phone.until(lambda phone: "said" in phone.marks)
            said = phone.pcm
            await phone.speak(question)
            if line.name not in WITHOUT_KEYS:
                await phone.say(line.key("5"))
            await phone.until(cleared)
            await phone.ended.wait()
            await host.until(Disconnected)

    assert {packet.size_bytes for packet in phone.packets} == {line.packet_bytes}
    assert said == sentence
    heard = b"".join(frame.audio for frame in bot.frames if isinstance(frame, AudioFrame))
    assert heard == question
    start = bot.frames[0]
    assert isinstance(start, StartFrame)
    assert start.call_id == line.call_id
    (clear,) = phone.clears
    assert not [order for order in phone.since(clear) if isinstance(order, Packet)]
    others = [heard.order.message for heard in phone.heard if isinstance(heard.order, Other)]
    expected = LAST_WORDS.get(line.name)
    assert [other for other in others if other == expected] == ([] if expected is None else [expected])
    assert phone.close_code == 1000


@engines
async def test_a_relayed_call(engine: str) -> None:
    """Text both ways: a greeting, what the caller said, a key, and the end with what is handed off."""
    line, heard = RelayLine(), []

    async def bot(session: Session) -> None:
        await session.output.send(TextFrame(text="Welcome."))
        await session.output.send(BotStoppedSpeakingFrame())
        async for frame in session.input:
            heard.append(frame)
            if frame == DTMFFrame(digit="0"):
                await session.output.send(EndFrame(reason="an agent"))
                return

    settings = {"serializer": DetectingFrameSerializer(), "audio_in_enabled": True, "audio_out_enabled": True}
    async with hosted(engine, bot, **settings) as host, calling(host.url, line) as phone:
        with trio.fail_after(10):
            await phone.open()
            await phone.until(lambda phone: len(phone.heard) == 2)
            await phone.say('{"type":"prompt","voicePrompt":"Hello","lang":"en","last":true}')
            await phone.say(line.key("0"))
            await phone.ended.wait()
    told = [json.loads(each.order.message) for each in phone.heard if isinstance(each.order, Other)]
    assert told == [
        {"type": "text", "token": "Welcome.", "last": False},
        {"type": "text", "token": "", "last": True},
        {"type": "end", "handoffData": "an agent"},
    ]
    assert TranscriptionFrame(text="Hello") in heard
    assert phone.close_code == 1000
