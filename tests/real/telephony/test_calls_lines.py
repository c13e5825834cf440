"""A whole call by each provider's line over a real socket: every sample, every mark, every key, and the end."""

import pytest
import trio
from attrs import define, field

from tests.real.hosting import hosted
from tests.real.telephony.phone import caller, calling, cleared, packet_bytes, packet_s, packets
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
from trio_transports.serializers.lines.detection import LINES as SERIALIZERS
from trio_transports.testing.phones import EndOrder, PlayOrder, ScriptedLine, TextOrder
from trio_transports.wire.engines import ENGINES

LINES = [
    *(caller(name) for name in SERIALIZERS if name != "relay"),
    caller("asterisk", is_plain=True),
]
WITHOUT_KEYS, WITHOUT_MARKS = ("sinch",), ("sinch", "azure", "genesys")
ENDS_BY_MESSAGE = ("jambonz", "asterisk", "genesys")


engines = pytest.mark.parametrize("engine", ENGINES)


def carried(pcm: bytes, line: ScriptedLine) -> bytes:
    """Sound that the line's code carries without loss, so that every sample can be compared."""
    return decoded(coded(pcm, ULAW), ULAW) if line.code == "PCMU" else pcm


@define(eq=False)
class Bot:
    """Says a sentence and marks it; asked by a key, it starts a long one, drops it, and hangs up."""

    sentence: bytes
    line: ScriptedLine
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
@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name + ("-plain" if line.is_plain else ""))
async def test_a_whole_call(line: ScriptedLine, engine: str) -> None:
    """The caller hears every sample of the bot's sentence and the bot of the caller's, bit for bit.

    Marks come back, a key is heard, an interruption clears, and the bot's end is said in the line's own words.
    """
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
        with trio.fail_after(60):
            await phone.open()
            await phone.until(packets(round(len(sentence) // 2 / rate / packet_s(line))))
            if line.name not in WITHOUT_MARKS:
                await phone.until(lambda phone: "said" in phone.marks)
            said = phone.pcm
            await phone.speak(question)
            if line.name not in WITHOUT_KEYS:
                await phone.say(phone.line.key("5"))
            await phone.until(cleared)
            await phone.scripted.has_ended.wait()
            await host.until(Disconnected)

    assert {packet.size_bytes for packet in phone.packets} == {packet_bytes(line)}
    assert said == sentence
    heard = b"".join(frame.audio for frame in bot.frames if isinstance(frame, AudioFrame))
    assert heard == question
    start = bot.frames[0]
    assert isinstance(start, StartFrame)
    assert start.call_id == line.call_id
    (clear,) = phone.clears
    assert not [order for order in phone.since(clear) if isinstance(order, PlayOrder)]
    assert len(phone.of(EndOrder)) == (line.name in ENDS_BY_MESSAGE)
    assert phone.close_code == 1000


@engines
async def test_a_relayed_call(engine: str) -> None:
    """Text both ways: a greeting, what the caller said, a key, and the end with what is handed off."""
    line, heard = caller("relay"), []

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
        with trio.fail_after(30):
            await phone.open()
            await phone.until(lambda phone: phone.scripted.texts)
            await phone.scripted.say("Hello")
            await phone.say(line.key("0"))
            await phone.scripted.has_ended.wait()
    said = [given.order for given in phone.heard]
    assert said == [TextOrder("Welcome.", is_last=False), TextOrder("", is_last=True), EndOrder("an agent")]
    assert TranscriptionFrame(text="Hello") in heard
    assert phone.close_code == 1000
