"""A telephone call in virtual time: what leaves when, and what the provider's word about its playing does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import pytest
import trio
from attrs import define
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.real.telephony.phone import Phone, caller, packet_bytes, packet_s, packets
from tests.real.telephony.sounds import ALAW, ULAW, coded, decoded, hum, loudest_difference, pitch, tone, vowel
from tests.serializers.conversations import CONVERSATIONS, Conversation
from trio_transports import (
    AudioFrame,
    CancelFrame,
    ConnectionClosed,
    DTMFFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    MarkFrame,
    Session,
    StartFrame,
    TransportParams,
    UserStartedSpeakingFrame,
)
from trio_transports._nursery import open_services
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.session.run import open_session
from trio_transports.telephony import TwilioHangUp
from trio_transports.testing import FrameRecorder
from trio_transports.testing.phones import MarkOrder, PlayOrder, ScriptedLine
from trio_transports.wire.memory import memory_wire_pair

LINES: list[ScriptedLine] = [
    caller("twilio"),
    caller("telnyx"),
    caller("telnyx", code="PCMA"),
    caller("plivo"),
    caller("exotel"),
    caller("exotel", rate=24000),
    caller("vonage", rate=8000),
    caller("vonage"),
    caller("vonage", rate=24000),
]
lines = pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.name}-{line.code}-{line.rate}")


@define(eq=False)
class Call:
    session: Session
    phone: Phone
    recorder: FrameRecorder
    """What the handler has read."""

    async def play(self, duration_s: float, *, rate: int = 16000) -> None:
        await self.session.output.send(speech(duration_s, rate=rate))

    async def heard(self) -> list[Frame]:
        await wait_all_tasks_blocked()
        return [heard.frame for heard in self.recorder.heard]


@asynccontextmanager
async def call(line: ScriptedLine | None = None, **changes: object) -> AsyncIterator[Call]:
    """A session and the phone at its other end, which has said nothing yet; what the session gives is read."""
    settings: dict[str, object] = {
        "serializer": TwilioFrameSerializer(),
        "audio_in_enabled": True,
        "audio_in_sample_rate": 16000,
        "audio_out_enabled": True,
        **changes,
    }
    near, far = memory_wire_pair(buffer_messages=1000)

    phone = Phone.on(far, caller("twilio") if line is None else line)
    recorder = FrameRecorder()
    events: Broadcast[Event] = Broadcast()
    async with open_services() as services:
        services.start_soon(phone.scripted.run, name="phone")
        async with open_session(near, TransportParams(**settings), events=events) as session:  # type: ignore[arg-type]
            services.start_soon(_record, recorder, session, name="reader")
            yield Call(session, phone, recorder)
        await phone.scripted.has_ended.wait()


async def _record(recorder: FrameRecorder, session: Session) -> None:
    try:
        await recorder.record(session.input)
    except trio.ClosedResourceError:
        return  # the body has returned


def speech(duration_s: float, *, rate: int = 16000, hz: float = 440) -> AudioFrame:
    return AudioFrame(audio=tone(hz, duration_s, rate), sample_rate=rate)


def played_at_s(phone: Phone) -> float:
    """When the phone has played what it was given, if it was given it in time."""
    last = phone.of(PlayOrder)[-1]
    assert isinstance(last.order, PlayOrder)
    return last.at_s + len(last.order.pcm) / 2 / phone.line.rate


# Audio and its pace


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100])
async def test_eight_seconds_are_four_hundred_packets(autojump_clock: MockClock, rate: int) -> None:
    """Eight seconds of any rate arrive as 400 packets of 160 bytes, each 20 ms after the one before.

    What the resampler holds back at the end, a few milliseconds, may take one packet more.
    """
    async with call() as here:
        await here.phone.open()
        await here.play(8, rate=rate)
    sizes, times_s = [packet.size_bytes for packet in here.phone.packets], here.phone.packet_times_s
    assert len(sizes) in ((400, 401) if rate == 44100 else (400,))
    assert set(sizes) == {160}
    assert times_s == pytest.approx([number * 0.02 for number in range(len(sizes))], abs=1e-9)
    assert pitch(here.phone.pcm, 8000) == pytest.approx(440, rel=0.01)
    assert here.phone.close_code == 1000


@lines
async def test_each_provider_in_its_own_way(autojump_clock: MockClock, line: ScriptedLine) -> None:
    """One endpoint gives each provider its code, rate, packet size and pace, and the handler 16 kHz PCM of any."""
    async with call(line, serializer=DetectingFrameSerializer()) as here:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.session.output.send, speech(2, rate=24000))
            await trio.sleep(0.5)
            assert here.phone.heard == []
            await here.phone.open()
        await here.phone.until(packets(3))
        await here.phone.speak(tone(800, 1, line.rate))
        await here.phone.say(line.key("#"))
        await here.session.output.drain()
        await here.phone.scripted.stop()
        frames = await here.heard()
    phone = here.phone
    each_s = packet_s(line)
    assert {packet.size_bytes for packet in phone.packets} == {packet_bytes(line)}
    times_s = [at_s - 0.5 for at_s in phone.packet_times_s]
    assert times_s == pytest.approx([number * each_s for number in range(len(times_s))], abs=1e-9)
    assert 2 <= len(phone.packets) * each_s <= 2 + each_s + 1e-9
    assert pitch(phone.pcm, line.rate) == pytest.approx(440, rel=0.01)

    first, *_, last = [frame for frame in frames if not isinstance(frame, AudioFrame)]
    assert isinstance(first, StartFrame)
    assert first.call_id == line.call_id
    assert DTMFFrame(digit="#") in frames
    assert isinstance(last, EndFrame) or line.stop() is None
    assert {frame.sample_rate for frame in here.recorder.of(AudioFrame)} == {16000}
    assert len(here.recorder.audio) == pytest.approx(2 * 16000, abs=400)
    assert pitch(here.recorder.audio, 16000) == pytest.approx(800, rel=0.01)


@lines
async def test_the_line_adds_and_takes_nothing(autojump_clock: MockClock, line: ScriptedLine) -> None:
    """At the line's own rate the handler gets what the code of the line says, and the phone what the bot says."""
    said = tone(800, 0.5, line.rate)
    async with call(line, serializer=DetectingFrameSerializer(), audio_in_sample_rate=None) as here:
        await here.phone.open()
        await here.phone.speak(said)
        await here.session.output.send(AudioFrame(audio=said, sample_rate=line.rate))
        await here.session.output.drain()
        heard = here.recorder.audio
    table = {"PCMU": ULAW, "PCMA": ALAW}.get(str(line.code))
    expected = said if table is None else decoded(coded(said, table), table)
    assert loudest_difference(heard, expected) <= (16 if table is ALAW else 0)  # A-law has two codes next to nought
    assert loudest_difference(here.phone.pcm[: len(said)], said) <= (0 if table is None else 130)


@pytest.mark.parametrize(("pause_s", "next_rate"), [(5, 16000), (5, 24000), (0, 24000), (0, 8000)])
async def test_the_end_of_an_utterance_comes_with_it(autojump_clock: MockClock, pause_s: float, next_rate: int) -> None:
    """What the resampler holds back leaves before anything that is said later, however much later that is."""
    async with call(audio_out_auto_silence=False) as here:
        await here.phone.open()
        await here.play(0.1)
        await trio.sleep(pause_s)
        await here.session.output.send(AudioFrame(audio=bytes(next_rate // 5), sample_rate=next_rate))
        await here.session.output.drain()
    assert len(here.phone.packets) == 10
    assert not any(here.phone.pcm[len(tone(440, 0.1, 8000)) :])


# Before the start message


async def test_a_greeting_waits_for_the_start(autojump_clock: MockClock) -> None:
    """What is said before the start message leaves in the moment in which that arrives, from its first sample on."""
    async with call() as here, trio.open_nursery() as nursery:
        nursery.start_soon(here.play, 0.2)
        nursery.start_soon(here.session.output.send, MarkFrame(mark="greeted"))
        connected, start = here.phone.line.opening()
        await trio.sleep(1)
        await here.phone.say(connected)
        await trio.sleep(1)
        assert here.phone.heard == []
        await here.phone.say(start)
    assert here.phone.packet_times_s[:2] == pytest.approx([2, 2.02])
    assert len(here.phone.pcm) >= 0.2 * 2 * 8000
    assert "greeted" in here.phone.marks


async def test_an_interruption_before_the_start(autojump_clock: MockClock) -> None:
    """A greeting that waits for the start is dropped by an interruption; there is nothing to clear yet."""
    async with call() as here, trio.open_nursery() as nursery:
        nursery.start_soon(here.play, 1)
        await wait_all_tasks_blocked()
        await here.session.output.interrupt()
        await here.phone.open()
        await trio.sleep(0.1)
        assert here.phone.heard == []


@pytest.mark.parametrize("says_connected", [True, False])
@pytest.mark.parametrize("serializer", [TwilioFrameSerializer, DetectingFrameSerializer])
async def test_no_start_no_leak(autojump_clock: MockClock, serializer: type, says_connected: bool) -> None:
    """A caller that never says start is gone after idle_timeout, and a greeting that waits for it raises then."""
    async with call(serializer=serializer(), idle_timeout=5) as here:
        if says_connected:
            await here.phone.say(here.phone.line.opening()[0])
        with pytest.raises(ConnectionClosed) as caught:
            await here.play(1)
        assert trio.current_time() == pytest.approx(5)
        with pytest.raises(ConnectionClosed):
            await here.session.output.drain()
    assert (caught.value.code, caught.value.reason, caught.value.initiator) == (1001, "idle timeout", "local")
    assert here.phone.close_code == 1001
    assert here.phone.heard == []


@pytest.mark.parametrize("how", ["close", "stop"])
async def test_leaving_before_the_start(autojump_clock: MockClock, how: str) -> None:
    """A caller that hangs up before its start message ends what waits for that."""
    async with call() as here:
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def greet() -> None:
                with pytest.raises(ConnectionClosed):
                    await here.play(1)

            await trio.sleep(1)
            if how == "stop":
                await here.phone.scripted.stop()
            await here.phone.scripted.hang_up()
        assert trio.current_time() == pytest.approx(1)
    assert here.phone.heard == []


async def test_a_handler_that_leaves_before_the_start(autojump_clock: MockClock) -> None:
    """A body that returns before the start message closes at once: nothing was queued."""
    async with call() as here:
        pass
    assert trio.current_time() == pytest.approx(0)
    assert here.phone.close_code == 1000


# Barge-in


async def test_a_voice_clears(autojump_clock: MockClock) -> None:
    """With allow_interruptions the caller's voice clears in the moment in which it is sure, and silences the bot."""
    async with call(vad_enabled=True, allow_interruptions=True) as here:
        phone = here.phone
        await phone.open()
        await here.play(30)
        await phone.speak(hum(1, 8000))
        await trio.sleep(1)
        assert phone.clears == []
        voice = vowel(1, 8000)
        for start in range(0, len(voice), 320):
            await phone.say(phone.line.voice(voice[start : start + 320]))
            await wait_all_tasks_blocked()
            if here.recorder.of(UserStartedSpeakingFrame):
                break
            await trio.sleep(0.02)
        (clear,) = phone.clears
        assert clear.at_s == trio.current_time()
        assert clear.at_s - 1 < 0.4
        await trio.sleep(5)
        assert phone.since(clear) == []
        kinds = [type(frame) for frame in await here.heard()]
        assert kinds.index(UserStartedSpeakingFrame) < kinds.index(InterruptionFrame)
        await here.session.output.send(speech(1, hz=1000))
        await here.session.output.drain()
        since = [order for order in phone.since(clear) if isinstance(order, PlayOrder)]
    assert pitch(b"".join(packet.pcm for packet in since), 8000) == pytest.approx(1000, rel=0.01)


@lines
async def test_an_interruption_is_a_clear(autojump_clock: MockClock, line: ScriptedLine) -> None:
    """The handler's interruption reaches the provider at once, in its own words, ahead of what is said next."""
    async with call(line, serializer=DetectingFrameSerializer()) as here:
        await here.phone.open()
        await here.play(30)
        await trio.sleep(1.003)
        await here.session.output.interrupt()
        await here.session.output.send(speech(0.5, hz=1000))
        await wait_all_tasks_blocked()
        (clear,) = here.phone.clears
        assert clear.at_s == trio.current_time()
        await here.session.output.drain()
        since = [order for order in here.phone.since(clear) if isinstance(order, PlayOrder)]
    assert pitch(b"".join(packet.pcm for packet in since), line.rate) == pytest.approx(1000, rel=0.02)
    assert here.phone.of(PlayOrder)[-1].at_s < 1.003 + 0.6 + 1e-9


async def test_a_second_clear_is_said_too(autojump_clock: MockClock) -> None:
    """Each interruption is a clear of its own, also when this side has nothing queued: the provider may have."""
    async with call() as here:
        await here.phone.open()
        await here.play(0.1)
        await here.session.output.drain()
        for _ in range(3):
            await here.session.output.interrupt()
            await wait_all_tasks_blocked()
        assert len(here.phone.clears) == 3


# What the provider says about its playing


@lines
async def test_a_mark_comes_back_when_it_was_played(autojump_clock: MockClock, line: ScriptedLine) -> None:
    """A mark among the audio leaves after what was sent before it, and its answer is a frame for the handler."""
    async with call(line, serializer=DetectingFrameSerializer(), audio_out_auto_silence=False) as here:
        here.phone.scripted.lag_s = 0.25
        await here.phone.open()
        await here.play(1)
        await here.session.output.send(MarkFrame(mark="first"))
        await here.play(0.5)
        await here.session.output.send(MarkFrame(mark="second"))
        await here.recorder.wait_for(MarkFrame, 2)
        told = [(heard.at_s, heard.frame) for heard in here.recorder.heard if isinstance(heard.frame, MarkFrame)]
    orders = [heard.order for heard in here.phone.heard]
    before_first = [order for order in orders[: orders.index(MarkOrder("first"))] if isinstance(order, PlayOrder)]
    assert len(b"".join(packet.pcm for packet in before_first)) / 2 / line.rate == pytest.approx(1, abs=0.11)
    assert [frame for _, frame in told] == [MarkFrame(mark="first"), MarkFrame(mark="second")]
    assert [at_s for at_s, _ in told] == pytest.approx([1.25, 1.75], abs=0.2)


async def test_a_clear_brings_marks_back(autojump_clock: MockClock) -> None:
    """Marks that the provider holds come back when it clears; those still on this side are dropped with the audio."""
    async with call(audio_out_lead_ms=1000) as here:
        await here.phone.open()
        await here.play(0.5)
        await here.session.output.send(MarkFrame(mark="held by the provider"))
        await here.play(5)
        await here.session.output.send(MarkFrame(mark="never sent"))
        await wait_all_tasks_blocked()
        assert here.recorder.of(MarkFrame) == []
        await here.session.output.interrupt()
        await wait_all_tasks_blocked()
        assert trio.current_time() == 0
        assert here.recorder.of(MarkFrame) == [MarkFrame(mark="held by the provider")]
    assert "never sent" not in here.phone.marks
    assert here.session.statistics().frames_dropped == 1


@lines
async def test_draining_waits_until_all_was_played(autojump_clock: MockClock, line: ScriptedLine) -> None:
    """A drain ends when the provider says that it has played everything; the handler sees nothing of how."""
    async with call(line, serializer=DetectingFrameSerializer(), audio_out_auto_silence=False) as here:
        here.phone.scripted.lag_s = 0.7
        await here.phone.open()
        await here.play(1)
        await here.session.output.drain()
        assert trio.current_time() == pytest.approx(played_at_s(here.phone) + 0.7)
        assert here.recorder.of(MarkFrame) == []


async def test_draining_does_not_wait_for_a_mark_for_ever(autojump_clock: MockClock) -> None:
    """A provider that never says so is believed to have played it after send_timeout; so are later words of it."""
    async with call(send_timeout=3, audio_out_auto_silence=False) as here:
        here.phone.scripted.tells_marks = False
        await here.phone.open()
        await here.play(1)
        await here.session.output.drain()
        assert trio.current_time() - here.phone.packet_times_s[-1] == pytest.approx(3)
        late = here.phone.marks[-1]
        await here.phone.say(here.phone.line.played(late))
        assert not [frame for frame in await here.heard() if isinstance(frame, MarkFrame)]


@pytest.mark.parametrize("frame", [InterruptionFrame(), CancelFrame()])
async def test_an_interruption_ends_the_wait_for_a_mark(autojump_clock: MockClock, frame: Frame) -> None:
    """A drain ends with an interruption, also where the provider says nothing of the marks it cleared.

    With the end of the call it raises, as all that waits for the peer then does.
    """
    async with call(drain_timeout=0) as here:
        here.phone.scripted.tells_marks = False
        await here.phone.open()
        await here.play(1)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def drain() -> None:
                with pytest.raises(ConnectionClosed) if isinstance(frame, CancelFrame) else nullcontext():
                    await here.session.output.drain()

            await trio.sleep(1.5)
            assert here.phone.marks
            await here.session.output.send(frame)
        assert trio.current_time() == pytest.approx(1.5)


async def test_an_interruption_while_audio_drains(autojump_clock: MockClock) -> None:
    """Interrupted while there still is audio on this side, drain ends as well, and asks for no mark."""
    async with call(drain_timeout=0) as here:
        here.phone.scripted.tells_marks = False
        await here.phone.open()
        await here.play(5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.session.output.drain)
            await trio.sleep(1.5)
            await here.session.output.interrupt()
        assert trio.current_time() == pytest.approx(1.5)


@pytest.mark.parametrize("how", ["close", "local"])
@pytest.mark.parametrize("during", ["audio", "mark"])
async def test_the_end_of_the_call_ends_the_wait(autojump_clock: MockClock, how: str, during: str) -> None:
    """Whoever ends the call: drain does not wait for a word that cannot come, and says that the call has ended."""
    async with call(drain_timeout=0) as here:
        here.phone.scripted.tells_marks = False
        await here.phone.open()
        await here.play(1 if during == "mark" else 50)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def wait() -> None:
                with pytest.raises(ConnectionClosed):
                    await here.session.output.drain()

            await trio.sleep(2)
            if how == "close":
                await here.phone.scripted.wire.aclose(1000, "")
            else:
                await here.session.aclose()
        assert trio.current_time() == pytest.approx(2)


async def test_stop_ends_the_wait(autojump_clock: MockClock) -> None:
    """After the provider's stop nothing is played any more: drain does not wait for a mark, before or after it."""
    async with call() as here:
        here.phone.scripted.tells_marks = False
        await here.phone.open()
        await here.play(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.session.output.drain)
            await trio.sleep(2)
            await here.phone.scripted.stop()
        assert trio.current_time() == pytest.approx(2)
        await here.session.output.drain()
        assert trio.current_time() == pytest.approx(2)


# The session's own end


@lines
async def test_the_goodbye_is_heard(autojump_clock: MockClock, line: ScriptedLine) -> None:
    """A handler that says goodbye and returns is heard to the end before the connection closes."""
    async with call(line, serializer=DetectingFrameSerializer()) as here:
        here.phone.scripted.lag_s = 0.5
        await here.phone.open()
        await here.play(3)
    assert trio.current_time() == pytest.approx(played_at_s(here.phone) + 0.5)
    assert here.phone.close_code == 1000


async def test_a_goodbye_sent_ahead_is_heard(autojump_clock: MockClock) -> None:
    """What the provider already has, because of audio_out_lead_ms, is played before the connection closes too."""
    async with call(audio_out_lead_ms=20_000) as here:
        await here.phone.open()
        await here.play(15)
        await wait_all_tasks_blocked()
        assert len(here.phone.pcm) >= 14.9 * 16000
        assert trio.current_time() == 0
    assert trio.current_time() == pytest.approx(15, abs=0.1)


async def test_draining_audio_sent_ahead(autojump_clock: MockClock) -> None:
    """A mark is waited for as long as what was sent ahead can take to play."""
    async with call(audio_out_lead_ms=20_000) as here:
        await here.phone.open()
        await here.play(15)
        await here.session.output.drain()
        assert trio.current_time() == pytest.approx(15, abs=0.1)


@pytest.mark.parametrize(("setting", "value_s", "limit_s"), [("drain_timeout", 1.2, 1.2), ("close_timeout", 0.5, 1.5)])
async def test_the_wait_for_the_goodbye_is_bounded(
    autojump_clock: MockClock, setting: str, value_s: float, limit_s: float
) -> None:
    """A provider that never says what it played holds the end up for drain_timeout, or for close_timeout more."""
    async with call(**{setting: value_s}) as here:  # type: ignore[arg-type]
        here.phone.scripted.tells_marks = False
        await here.phone.open()
        await here.play(1)
    assert trio.current_time() == pytest.approx(limit_s, abs=0.03)
    assert here.phone.close_code == 1000


async def test_a_call_in_which_nothing_was_said_ends_at_once(autojump_clock: MockClock) -> None:
    """A handler that only listened has nothing to wait for, whatever the provider says or does not."""
    async with call() as here:
        here.phone.scripted.tells_marks = False
        await here.phone.open()
        await trio.sleep(1)
    assert trio.current_time() == pytest.approx(1)
    assert here.phone.marks == []


async def test_nothing_is_waited_for_after_stop(autojump_clock: MockClock) -> None:
    """A handler that returns when the call was stopped ends at once: nobody plays anything any more."""
    async with call() as here:
        here.phone.scripted.tells_marks = False
        await here.phone.open()
        await here.play(0.5)
        await trio.sleep(1)
        await here.phone.scripted.stop()
        await here.recorder.wait_for(EndFrame)
    assert trio.current_time() == pytest.approx(1, abs=0.03)  # what the resampler held back takes a packet
    assert here.phone.marks == []


# Hanging up


async def test_a_call_whose_start_was_read_elsewhere_is_hung_up(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A serializer that was given its stream's id has a call to end too; a hang-up that lacks the call's id is told."""
    ended: list[StartFrame | None] = []

    async def hang_up(session: Session) -> None:
        ended.append(session.start)

    serializer = TwilioFrameSerializer(stream_id=caller("twilio").stream_id)
    async with call(serializer=serializer, hang_up=hang_up) as here:
        await here.play(0.1)
    assert ended == [None]
    assert here.phone.packets
    async with call(serializer=serializer, hang_up=TwilioHangUp("AC1", "token")):
        pass
    assert "no Twilio call to end" in caplog.text
    assert "read elsewhere" in caplog.text


async def test_a_caller_without_a_start_has_no_call(autojump_clock: MockClock) -> None:
    """Nobody is asked to end the call of a caller that never said start."""

    async def hang_up(_session: Session) -> None:
        pytest.fail("there was no call")

    async with call(hang_up=hang_up) as here:
        await here.phone.scripted.hang_up()


# Malformed messages


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: str(conversation.provider))
async def test_malformed_messages_during_a_call(autojump_clock: MockClock, conversation: Conversation) -> None:
    """Every malformed message of a provider is skipped and counted; the call around it goes on, both ways."""
    name, _, kind = conversation.provider.partition("-")
    line = next(line for line in LINES if line.name == name and kind in ("", line.code, str(line.rate)))
    async with call(line, serializer=conversation.make) as here:
        await here.phone.open()
        await here.play(1)
        for count, (message, _) in enumerate(conversation.malformed, 1):
            await here.phone.say(message)
            await here.phone.speak(tone(800, 0.02, line.rate))
            await wait_all_tasks_blocked()
            assert here.session.statistics().malformed_messages == count, message
        await here.phone.say(line.key("7"))
        await here.session.output.drain()
        assert DTMFFrame(digit="7") in await here.heard()
        assert here.session.is_connected
    assert pitch(here.recorder.audio, 16000) == pytest.approx(800, rel=0.02)
    assert pitch(here.phone.pcm, line.rate) == pytest.approx(440, rel=0.02)
    assert here.phone.close_code == 1000
