"""A telephone call in virtual time: what leaves when, before the start message too, and what an interruption does."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.real.telephony.phone import packet_bytes, packet_s, packets
from tests.real.telephony.sounds import ALAW, ULAW, coded, decoded, hum, loudest_difference, pitch, tone, vowel
from tests.serializers.conversations import CONVERSATIONS, Conversation
from tests.session.calls import LINES, call, lines, speech
from trio_transports import (
    AudioFrame,
    ConnectionClosed,
    DTMFFrame,
    EndFrame,
    InterruptionFrame,
    MarkFrame,
    StartFrame,
    UserStartedSpeakingFrame,
)
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.testing.phones import PlayOrder, ScriptedLine


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
