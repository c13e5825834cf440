"""One endpoint for callers of every provider, over real sockets, all at the same time."""

import pytest
import trio
from attrs import define, field

from tests.real.hosting import WAYS_IN, hosted
from tests.real.telephony.phone import Phone, caller, calling, cleared, packet_bytes, packets
from tests.real.telephony.sounds import pitch, tone
from trio_transports import AudioFrame, Disconnected, DTMFFrame, EndFrame, Frame, MarkFrame, Session, StartFrame
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.testing.phones import PlayOrder, ScriptedLine

LINES: tuple[ScriptedLine, ...] = (
    caller("twilio"),
    caller("telnyx"),
    caller("telnyx", code="PCMA", call_id="v3:another"),
    caller("plivo"),
    caller("exotel"),
    caller("exotel", rate=24000, call_id="c2"),
    caller("vonage"),
    caller("vonage", rate=24000),
)
FIRST_HZ, STEP_HZ = 300, 150
BOT_HZ, ANSWER_HZ = 440, 1000


@define(eq=False)
class Switchboard:
    """Greets before it knows who calls, interrupts itself at a key, and writes down what each caller says."""

    calls: list[tuple[Session, list[Frame]]] = field(factory=list)

    async def __call__(self, session: Session) -> None:
        frames: list[Frame] = []
        self.calls.append((session, frames))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._talk, session)
            async for frame in session.input:
                frames.append(frame)
                if isinstance(frame, DTMFFrame):
                    await session.output.interrupt()
                    await session.output.send(AudioFrame(audio=tone(ANSWER_HZ, 0.3, 16000), sample_rate=16000))
                    await session.output.send(MarkFrame(mark="answered"))
                if frame == MarkFrame(mark="answered"):
                    await session.output.send(MarkFrame(mark="noticed"))

    async def _talk(self, session: Session) -> None:
        await session.output.send(AudioFrame(audio=tone(BOT_HZ, 20, 24000), sample_rate=24000))

    def of(self, line: ScriptedLine, phone_hz: float) -> list[Frame]:
        """The frames of the caller with that voice on that line."""
        for session, frames in self.calls:
            assert session.start is not None
            heard = b"".join(frame.audio for frame in frames if isinstance(frame, AudioFrame))
            if session.start.call_id == line.call_id and abs(pitch(heard, 16000) - phone_hz) < 20:
                return frames
        raise AssertionError(f"nobody with a voice of {phone_hz} Hz called by {line.name}")


@pytest.mark.parametrize("way_in", WAYS_IN)
async def test_callers_of_every_provider(way_in: str) -> None:
    """Each gets its own code, rate, packets and clear, and is heard as 16 kHz PCM; none is taken for another."""
    board = Switchboard()
    settings = {
        "serializer": DetectingFrameSerializer(),
        "audio_in_enabled": True,
        "audio_in_sample_rate": 16000,
        "audio_out_enabled": True,
        "audio_out_auto_silence": False,
    }
    phones: dict[int, Phone] = {}

    async def hold(number: int, line: ScriptedLine, url: str) -> None:
        async with calling(url, line) as phone:
            phones[number] = phone
            await trio.sleep(0.1)
            assert phone.heard == []
            await phone.open()
            await phone.until(packets(4))
            await phone.speak(tone(FIRST_HZ + number * STEP_HZ, 0.4, line.rate))
            await phone.say(line.key("7"))
            await phone.until(cleared)
            await phone.until(lambda phone: "noticed" in phone.marks)
            await phone.scripted.hang_up()

    async with hosted(way_in, board, **settings) as host:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for number, line in enumerate(LINES):
                    nursery.start_soon(hold, number, line, host.url)
            await host.until(Disconnected, len(LINES))

    for number, line in enumerate(LINES):
        phone = phones[number]
        (clear,) = phone.clears
        greeting = phone.heard[: phone.heard.index(clear)]
        assert {packet.size_bytes for packet in phone.packets} == {packet_bytes(line)}, line.name
        for orders, hz, least_s in (
            ([heard.order for heard in greeting], BOT_HZ, 4 * packet_bytes(line) / 2 / line.rate / 2),
            (phone.since(clear), ANSWER_HZ, 0.3),
        ):
            pcm = b"".join(order.pcm for order in orders if isinstance(order, PlayOrder))
            assert pitch(pcm, line.rate) == pytest.approx(hz, rel=0.06), line.name
            assert len(pcm) / 2 / line.rate >= least_s
        assert phone.marks == ["answered", "noticed"]

        frames = board.of(line, FIRST_HZ + number * STEP_HZ)
        assert isinstance(frames[0], StartFrame)
        assert DTMFFrame(digit="7") in frames
        assert (EndFrame() in frames) is (line.stop() is not None)
        audio = [frame for frame in frames if isinstance(frame, AudioFrame)]
        assert {(frame.sample_rate, frame.num_channels) for frame in audio} == {(16000, 1)}
        assert sum(frame.duration_s for frame in audio) == pytest.approx(0.4, abs=0.02)
    # Where the phone says that it stops, the handler's input ends there, and either side may be the first to close.
    assert [end.code for end in host.ends] == [1000] * len(LINES)
    assert [end.initiator for end in host.ends].count("remote") >= sum(line.stop() is None for line in LINES)


@pytest.mark.parametrize("way_in", WAYS_IN)
async def test_a_caller_of_nobody(way_in: str) -> None:
    """A caller that speaks no provider's language is closed with 1007, and hears nothing; the next one is served."""
    board = Switchboard()
    settings = {"serializer": DetectingFrameSerializer(), "audio_out_enabled": True, "audio_in_enabled": True}
    async with hosted(way_in, board, **settings, max_malformed=20) as host:
        with trio.fail_after(30):
            async with calling(host.url, caller("twilio")) as stranger:
                for _ in range(20):
                    await stranger.say('{"type":"hello"}')
                await stranger.scripted.has_ended.wait()
            async with calling(host.url, caller("twilio")) as phone:
                await phone.open()
                await phone.until(packets(3))
                await phone.scripted.hang_up()
            await host.until(Disconnected, 2)
    assert stranger.heard == []
    assert stranger.close_code == 1007
    assert [end.code for end in host.ends] == [1007, 1000]
