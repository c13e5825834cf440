"""Callers by Twilio over real sockets, played by hand, behind every way in."""

import pytest
import trio
from attrs import define, field

from tests.real.hosting import WAYS_IN, hosted
from tests.real.starved import fail_or_warn, watch_core
from tests.real.telephony.phone import Phone, caller, calling, cleared, packets
from tests.real.telephony.sounds import hum, pitch, tone, vowel
from tests.serializers.conversations import TWILIO
from trio_transports import (
    AudioFrame,
    ConnectionClosed,
    Disconnected,
    DTMFFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    MarkFrame,
    Session,
    StartFrame,
)
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.testing.phones import MarkOrder, Order, PlayOrder, ScriptedLine

GREETING_HZ, ANSWER_HZ, CALLER_HZ = 440, 1000, 700
PACKET_S = 0.02
MOST_DRIFT, TRIES = 2e-3, 3
BOTH_WAYS = {
    "serializer": TwilioFrameSerializer(),
    "audio_in_enabled": True,
    "audio_in_sample_rate": 16000,
    "audio_out_enabled": True,
}

ways_in = pytest.mark.parametrize("way_in", WAYS_IN)


def speech(hz: float, duration_s: float, rate: int = 24000) -> AudioFrame:
    return AudioFrame(audio=tone(hz, duration_s, rate), sample_rate=rate)


def another_line(name: str) -> ScriptedLine:
    return caller("twilio", stream_id=f"MZ-{name}", call_id=f"CA-{name}", parameters={"name": name})


@define(eq=False)
class Bot:
    """Greets for a long time, and answers an interruption, a key or a mark; writes down what it is given."""

    greeting_s: float = 40.0
    interrupts_on_key: bool = False
    frames: dict[str, list[Frame]] = field(factory=dict)
    sessions: dict[str, Session] = field(factory=dict)

    async def __call__(self, session: Session) -> None:
        start = await session.input.receive()
        assert isinstance(start, StartFrame)
        name = str(start.parameters.get("name"))
        self.sessions[name] = session
        frames: list[Frame] = self.frames.setdefault(name, [])
        await session.output.send(speech(GREETING_HZ, self.greeting_s))
        async for frame in session.input:
            frames.append(frame)
            asks = self.interrupts_on_key and frame == DTMFFrame(digit="5")
            if asks:
                await session.output.interrupt()
            if asks or isinstance(frame, InterruptionFrame):
                await session.output.send(speech(ANSWER_HZ, 0.4))
                await session.output.send(MarkFrame(mark="answered"))

    def heard_from(self, name: str) -> bytes:
        return b"".join(frame.audio for frame in self.frames[name] if isinstance(frame, AudioFrame))

    def of(self, name: str, kind: type[Frame]) -> list[Frame]:
        return [frame for frame in self.frames[name] if isinstance(frame, kind)]


def is_greeting(order: Order) -> bool:
    return isinstance(order, PlayOrder) and abs(pitch(order.pcm, 8000) - GREETING_HZ) < 100


def answered(phone: Phone) -> bool:
    return "answered" in phone.marks


@ways_in
@pytest.mark.parametrize("by", ["voice", "key"])
async def test_a_conversation(way_in: str, by: str) -> None:
    """A caller is greeted, barges in and hears the clear, then nothing but the answer; another one hears no change.

    The bot is interrupted by the caller's voice, or interrupts itself when a key is pressed.
    """
    bot = Bot(interrupts_on_key=by == "key")
    settings = {**BOTH_WAYS, "vad_enabled": True, "allow_interruptions": True}
    async with (
        hosted(way_in, bot, **settings) as host,
        calling(host.url, another_line("ann")) as ann,
        calling(host.url, another_line("ben")) as ben,
    ):
        with trio.fail_after(60):
            for phone in (ann, ben):
                await phone.open()
            await ben.speak(hum(0.5, 8000))
            await ann.speak(hum(1, 8000))
            for phone in (ann, ben):
                await phone.until(packets(10))
            assert not ann.clears

            if by == "voice":
                await ann.speak(vowel(0.5, 8000))
            else:
                await ann.say(ann.line.key("5"))
            spoke_at_s = trio.current_time()
            await ann.until(cleared)
            await ann.until(answered)
            before = len(ben.packets)
            await ben.until(packets(before + 10))
            await ann.say(ann.line.key("#"))
            await ann.scripted.hang_up()
            await host.until(Disconnected)
            before = len(ben.packets)
            await ben.until(packets(before + 10))
            await ben.scripted.hang_up()
            await host.until(Disconnected, 2)

    (clear,) = ann.clears
    assert clear.at_s - spoke_at_s < 20  # of 40
    assert all(is_greeting(packet) for packet in ann.packets[5:10])
    assert len([order for order in ann.since(clear) if isinstance(order, PlayOrder)]) >= 0.4 / PACKET_S
    assert not [order for order in ann.since(clear) if is_greeting(order)]
    assert DTMFFrame(digit="#") in bot.frames["ann"]
    assert bot.of("ann", EndFrame)

    assert not ben.clears
    assert all(is_greeting(packet) for packet in ben.packets[5:])
    assert not bot.of("ben", InterruptionFrame)
    assert not bot.of("ben", DTMFFrame)
    for name in ("ann", "ben"):
        assert {frame.sample_rate for frame in bot.frames[name] if isinstance(frame, AudioFrame)} == {16000}
    assert [(end.code, end.initiator) for end in host.ends] == [(1000, "remote")] * 2


@pytest.mark.alone
async def test_eight_seconds_in_pace() -> None:
    """Eight seconds arrive as 400 packets of 160 bytes, at the rate of real time, behind every way in.

    What the resampler holds back at the end, a few milliseconds, may take one packet more. A busy machine delays
    single packets: the rate is taken between the most punctual one of the second second and that of the last. Where it
    is late for a whole second that shows nothing, and is done again.
    """

    async def play(session: Session) -> None:
        await session.output.send(speech(GREETING_HZ, 8, rate=16000))

    phones: dict[str, Phone] = {}
    settings = {**BOTH_WAYS, "drain_timeout": 30}

    async def listen(way_in: str) -> None:
        async with hosted(way_in, play, **settings) as host, calling(host.url, caller("twilio")) as phone:
            await phone.open()
            with trio.fail_after(40):
                await phone.scripted.has_ended.wait()
            phones[way_in] = phone

    drifts: list[dict[str, float]] = []
    waited: list[float] = []
    while not drifts or (max(drifts[-1].values()) >= MOST_DRIFT and len(drifts) < TRIES):
        no_core = watch_core()
        async with trio.open_nursery() as nursery:
            for way_in in WAYS_IN:
                nursery.start_soon(listen, way_in)
        waited.append(no_core())
        drifts.append({})
        for way_in, phone in phones.items():
            assert len(phone.packets) in (400, 401), way_in
            assert {packet.size_bytes for packet in phone.packets} == {160}
            late_s = [at_s - number * PACKET_S for number, at_s in enumerate(phone.packet_times_s)]
            drifts[-1][way_in] = abs(min(late_s[350:400]) - min(late_s[50:100])) / (300 * PACKET_S)
            assert pitch(phone.pcm, 8000) == pytest.approx(GREETING_HZ, rel=0.01)
            assert phone.close_code in (1000, 1006 if way_in == "fastapi" else 1000)
    if max(drifts[-1].values()) >= MOST_DRIFT:
        fail_or_warn(f"how far from the rate of real time: {drifts}", waited)


@ways_in
async def test_a_greeting_waits_for_the_start(way_in: str) -> None:
    """A bot that greets when the socket opens is heard from its first sample on, once the start message has come."""

    async def greet(session: Session) -> None:
        await session.output.send(speech(GREETING_HZ, 0.3))

    settings = {**BOTH_WAYS, "drain_timeout": 30}
    async with hosted(way_in, greet, **settings) as host, calling(host.url, caller("twilio")) as phone:
        connected, start = phone.line.opening()
        await phone.say(connected)
        await trio.sleep(0.2)
        assert phone.heard == []
        await phone.say(start)
        with trio.fail_after(30):
            await phone.scripted.has_ended.wait()
    assert 0.3 <= len(phone.packets) * PACKET_S <= 0.32 + 1e-9
    assert pitch(phone.pcm, 8000) == pytest.approx(GREETING_HZ, rel=0.03)


@ways_in
@pytest.mark.parametrize("leaves", [True, False])
async def test_a_caller_that_never_starts(way_in: str, leaves: bool) -> None:
    """Whether it leaves or stays, its call ends, what waits for the start raises, and the next caller is served."""
    raised: list[ConnectionClosed] = []

    async def greet(session: Session) -> None:
        try:
            await session.output.send(speech(GREETING_HZ, 0.1))
        except ConnectionClosed as closed:
            raised.append(closed)
            raise

    async with hosted(way_in, greet, **BOTH_WAYS, idle_timeout=60 if leaves else 4) as host:
        async with calling(host.url, caller("twilio")) as silent:
            await silent.say(silent.line.opening()[0])
            with trio.fail_after(30):
                if leaves:
                    await silent.scripted.hang_up()
                (end,) = await host.until(Disconnected)
                await silent.scripted.has_ended.wait()
        async with calling(host.url, caller("twilio")) as phone:
            await phone.open()
            with trio.fail_after(30):
                await phone.scripted.has_ended.wait()
    assert isinstance(end, Disconnected)
    assert (end.code, end.initiator) == ((1000, "remote") if leaves else (1001, "local"))
    assert [closed.code for closed in raised] == [end.code]
    assert silent.heard == []
    assert len(phone.packets) >= 5


@ways_in
async def test_what_was_played_is_told(way_in: str) -> None:
    """A mark comes back, drain returns and the call ends when the phone has played what it was sent, and no sooner."""
    told: list[tuple[str, float]] = []

    async def talk(session: Session) -> None:
        await session.input.receive()
        await session.output.send(speech(GREETING_HZ, 0.3))
        await session.output.send(MarkFrame(mark="greeted"))
        async for frame in session.input:
            if frame == MarkFrame(mark="greeted"):
                told.append(("mark", trio.current_time()))
                break
        await session.output.send(speech(GREETING_HZ, 0.2))
        await session.output.drain()
        told.append(("drain", trio.current_time()))
        await session.output.send(speech(ANSWER_HZ, 0.2))

    settings = {**BOTH_WAYS, "audio_out_lead_ms": 1000, "audio_out_auto_silence": False, "drain_timeout": 30}
    async with hosted(way_in, talk, **settings) as host, calling(host.url, caller("twilio")) as phone:
        began_s = trio.current_time()
        await phone.open()
        with trio.fail_after(40):
            await phone.scripted.has_ended.wait()
        ended_s = trio.current_time()
    assert [what for what, _ in told] == ["mark", "drain"]
    # Sent a second ahead, all of it is there long before it was played.
    assert [at_s - began_s for _, at_s in told] >= [0.3, 0.5]
    assert ended_s - began_s >= 0.7
    assert len(phone.pcm) / 2 / 8000 >= 0.7
    assert isinstance([heard.order for heard in phone.heard][-1], MarkOrder)


@ways_in
@pytest.mark.parametrize("how", ["stop", "close", "vanish"])
async def test_hanging_up_ends_the_wait_for_a_mark(way_in: str, how: str) -> None:
    """A bot that waits until its words were played waits no longer when the caller has gone, in whatever way."""
    waited: list[float] = []

    async def talk(session: Session) -> None:
        await session.output.send(speech(GREETING_HZ, 0.1))
        began_s = trio.current_time()
        try:
            await session.output.drain()
        finally:
            waited.append(trio.current_time() - began_s)

    async with hosted(way_in, talk, **BOTH_WAYS) as host:
        async with calling(host.url, caller("twilio"), tells_marks=False) as phone:
            await phone.open()
            with trio.fail_after(30):
                await phone.until(lambda phone: phone.marks)
                if how == "stop":
                    await phone.scripted.stop()
                    await phone.scripted.has_ended.wait()
                elif how == "close":
                    await phone.scripted.hang_up()
        with trio.fail_after(30):
            await host.until(Disconnected)
    assert len(waited) == 1
    assert waited[0] < 8  # of 10


@ways_in
async def test_malformed_messages(way_in: str) -> None:
    """Every malformed message in the middle of a call is skipped and counted, and the call goes on, both ways."""
    bot = Bot()
    line = another_line("ann")
    async with hosted(way_in, bot, **BOTH_WAYS) as host, calling(host.url, line) as phone:
        with trio.fail_after(60):
            await phone.open()
            await phone.until(packets(3))
            await phone.speak(tone(CALLER_HZ, 0.2, 8000))
            for message, _ in TWILIO.malformed:
                await phone.say(message)
            await phone.speak(tone(CALLER_HZ, 0.2, 8000))
            heard = len(phone.packets)
            await phone.until(packets(heard + 5))
            await phone.say(line.key("1"))
            await phone.scripted.hang_up()
            await host.until(Disconnected)
    assert bot.sessions["ann"].statistics().malformed_messages == len(TWILIO.malformed)
    assert DTMFFrame(digit="1") in bot.frames["ann"]
    assert len(bot.heard_from("ann")) / 2 / 16000 == pytest.approx(0.4, abs=0.02)
    assert pitch(bot.heard_from("ann"), 16000) == pytest.approx(CALLER_HZ, rel=0.02)
    assert all(is_greeting(packet) for packet in phone.packets[5:])
