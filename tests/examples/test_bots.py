"""The five example bots, each interrupted at every step of its conversation, in virtual time."""

import json
from base64 import b64encode
from contextlib import suppress

import numpy as np
import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from tests.agent.memory import MemoryAdapter
from trio_transports import (
    AudioFrame,
    ConnectionClosed,
    Frame,
    TextFrame,
    TransportParams,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from trio_transports.agent.protocols.openai_realtime import OpenAIRealtimeProtocol
from trio_transports.examples import bridge, echo, ivr, realtime, voice_bot
from trio_transports.examples._speech import say
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.testing import ScriptedPhone, phone_call, speech_like
from trio_transports.testing.phones import ClearOrder, OtherOrder, PlayOrder
from trio_transports.wire.memory import MemoryWire

RATE = 16000


def plain(params: TransportParams) -> TransportParams:
    """The example's own parameters, for a page that says itself when its user speaks, heard sample by sample."""
    return TransportParams(
        serializer=JSONFrameSerializer(),
        audio_in_enabled=params.audio_in_enabled,
        audio_out_enabled=params.audio_out_enabled,
        audio_out_sample_rate=RATE,
        audio_out_10ms_chunks=2,
        audio_out_auto_silence=False,
        audio_out_end_silence_secs=0,
    )


async def says(phone: ScriptedPhone, frame: Frame) -> None:
    for message in JSONFrameSerializer().encode(frame):
        await phone.wire.send(message)


def tone(value: int, duration_s: float = 0.6) -> AudioFrame:
    return AudioFrame(audio=value.to_bytes(2, "little") * round(duration_s * RATE), sample_rate=RATE)


async def turn(phone: ScriptedPhone, audio: AudioFrame) -> None:
    """Speak: the page tells that it begins and that it has ended."""
    await says(phone, UserStartedSpeakingFrame())
    await phone.speak(audio)
    await says(phone, UserStoppedSpeakingFrame())


def after_last_clear(phone: ScriptedPhone) -> tuple[bytes, list[str]]:
    """The audio and the texts that came after the last order to drop what was not played."""
    last = max((n for n, (_, order) in enumerate(phone.orders) if isinstance(order, ClearOrder)), default=-1)
    rest = [order for _, order in phone.orders[last + 1 :]]
    pcm = b"".join(order.pcm for order in rest if isinstance(order, PlayOrder))
    texts = [order.frame.text for order in rest if isinstance(order, OtherOrder) and isinstance(order.frame, TextFrame)]
    return pcm, texts


def values(pcm: bytes) -> list[int]:
    """The different sample values, in the order in which they come."""
    samples = np.frombuffer(pcm, "<i2")
    return [int(samples[at]) for at in np.flatnonzero(np.diff(samples, prepend=samples[:1] - 1))]


STEPS_S = [round(0.02 + 0.046 * n, 3) for n in range(40)]


@pytest.mark.parametrize("barge_ins", [1, 2])
async def test_the_echo_interrupted_at_every_step(barge_ins: int, autojump_clock: MockClock) -> None:
    """Nothing of what was said before the interruption is heard after it, and all of what is said then."""
    for at_s in STEPS_S:
        async with phone_call(echo.bot, "browser", params=plain(echo.PARAMS)) as phone, trio.open_nursery() as nursery:
            for n in range(barge_ins):
                nursery.start_soon(phone.speak, tone(0x1111 + n, 1.5))
                await trio.sleep(at_s)
                await says(phone, UserStartedSpeakingFrame())
                await trio.sleep(2)
            await phone.speak(tone(0x2222))
            await trio.sleep(1)
        pcm, _ = after_last_clear(phone)
        assert len(phone.clears_s) == barge_ins
        assert pcm.count(b"\x22\x22") == round(0.6 * RATE), at_s
        told = {order.pcm[:2] for _, order in phone.orders if isinstance(order, PlayOrder)}
        assert told <= {b"\x11\x11", b"\x12\x11", b"\x22\x22"}
        assert phone.has_ended.is_set()


@pytest.mark.parametrize("digit", ["1", "9"])
async def test_the_menu_interrupted_at_every_step(digit: str, autojump_clock: MockClock) -> None:
    """A key at any moment: what follows is its announcement, whole, and nothing of the one before; and 0 ends it."""
    wanted = (ivr.HOURS if digit == "1" else ivr.MENU).audio
    for at_s in STEPS_S:
        async with phone_call(ivr.bot, "browser", params=plain(ivr.PARAMS)) as phone:
            await trio.sleep(at_s)
            await phone.press("1")
            await trio.sleep(at_s)
            await phone.press(digit)
            await trio.sleep(len(wanted) / 2 / RATE + 1)
            pcm, _ = after_last_clear(phone)
            assert pcm.rstrip(b"\0") == wanted.rstrip(b"\0"), at_s
            await phone.press("0")
            with trio.fail_after(5):
                await phone.has_ended.wait()
            pcm, _ = after_last_clear(phone)
            assert pcm.rstrip(b"\0") == ivr.GOODBYE.audio.rstrip(b"\0")
        assert phone.closed is not None
        assert (phone.closed.code, phone.closed.initiator) == (1000, "remote")


@pytest.mark.parametrize("line", ["twilio", "telnyx", "plivo", "exotel", "vonage"])
async def test_a_message_is_recorded_and_played_back(line: str, autojump_clock: MockClock) -> None:
    """By telephone: 2, the beep, a message, a key, and the message is heard; twice in one call."""
    async with phone_call(ivr.bot, line) as phone:
        for _ in range(2):
            await trio.sleep(0.5)
            await phone.press("2")
            phone.listen_from_now()
            beep = await phone.listen(quiet_s=0.2)
            assert beep.duration_s == pytest.approx(0.25, abs=0.15)
            await phone.speak(speech_like(1.2))
            await phone.press("#")
            played = await phone.listen()
            assert played.duration_s > 1.2 + ivr.MENU.duration_s - 0.5
        await phone.press("0")
        with trio.fail_after(5):
            await phone.has_ended.wait()


@pytest.mark.parametrize("barge_ins", [1, 2])
async def test_the_voice_bot_interrupted_at_every_step(barge_ins: int, autojump_clock: MockClock) -> None:
    """Whenever the user speaks again: not one sentence or sound of the old answer, and the whole new one."""
    new = ["You said 3 words.", "That is interesting.", "Please go on."]
    wanted = b"".join(say(sentence).audio for sentence in new)
    for at_s in [*STEPS_S, 2.5, 4.0, 6.0]:
        async with phone_call(voice_bot.bot, "browser", params=plain(voice_bot.PARAMS)) as phone:
            for _ in range(barge_ins):
                await turn(phone, tone(0x1111, 0.5))
                await trio.sleep(at_s)
            await turn(phone, tone(0x2222, 0.75))
            await trio.sleep(15)
        pcm, texts = after_last_clear(phone)
        assert texts == new, at_s
        assert pcm.replace(b"\0\0", b"") == wanted.replace(b"\0\0", b""), at_s


async def test_the_voice_bots_model_knows_what_was_heard(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it keeps of its own answer is what the caller heard of it, and no more."""
    whole, memories = voice_bot.model, list[list[str]]()

    async def model(context: list[str], frame: Frame, output: trio.abc.SendChannel[Frame]) -> None:
        memories.append(context)
        await whole(context, frame, output)

    monkeypatch.setattr(voice_bot, "model", model)
    async with phone_call(voice_bot.bot, "browser", params=plain(voice_bot.PARAMS)) as phone:
        await turn(phone, tone(0x1111, 0.5))
        await trio.sleep(1.6)  # in the second sentence
        await turn(phone, tone(0x2222, 0.75))
        await trio.sleep(15)
    assert memories[-1] == [
        "user: word word",
        "bot: You said 2 words. That is interesting....",
        "user: word word word",
    ]


async def test_two_callers_and_a_hang_up_at_every_step(autojump_clock: MockClock) -> None:
    """Whoever hangs up, and whenever: what was said before is heard, the other is told goodbye, and both calls end."""
    for at_s in STEPS_S[::2]:
        for first_leaves in (True, False):
            hall = bridge.Bridge()
            async with (
                phone_call(hall.bot, "browser", params=plain(bridge.PARAMS)) as first,
                phone_call(hall.bot, "browser", params=plain(bridge.PARAMS)) as second,
            ):
                await trio.sleep(0.1)
                leaves, stays = (first, second) if first_leaves else (second, first)
                with trio.move_on_after(at_s):
                    await leaves.speak(tone(0x3333, 3))
                await leaves.hang_up()
                with trio.fail_after(5):
                    await stays.has_ended.wait()
                assert stays.closed is not None
                assert (stays.closed.code, stays.closed.initiator) == (1000, "remote")
                heard = stays.heard.audio.count(b"\x33\x33") / RATE
                assert heard == pytest.approx(at_s, abs=0.03)


async def test_a_caller_who_waits_and_leaves_is_not_put_through(autojump_clock: MockClock) -> None:
    """The next one waits in turn, and is joined with the one after that; two pairs do not hear each other."""
    hall = bridge.Bridge()
    async with phone_call(hall.bot, "browser", params=plain(bridge.PARAMS)) as early:
        await trio.sleep(0.5)
        await early.hang_up()
        await trio.sleep(0.1)
        async with (
            phone_call(hall.bot, "browser", params=plain(bridge.PARAMS)) as one,
            phone_call(hall.bot, "twilio") as two,
            phone_call(hall.bot, "browser", params=plain(bridge.PARAMS)) as three,
            phone_call(hall.bot, "vonage") as four,
        ):
            await trio.sleep(1)
            await two.speak(speech_like(0.5))
            await trio.sleep(1)
            assert len(values(one.heard.audio)) > 100
            assert three.played_s() == four.played_s() == 0 or b"\x33" not in three.heard.audio
            await three.speak(tone(0x3333))
            await trio.sleep(1)
            assert b"\x33\x33" not in one.heard.audio
            assert b"\x33\x33" in four.heard.audio


async def agent_of_two_answers(wire: MemoryWire, interrupts_at_s: float, told: list[dict[str, object]]) -> None:
    """Answers at once and faster than it is spoken, hears the caller at a moment of its own, answers again, leaves."""

    async def listen() -> None:
        with suppress(ConnectionClosed):
            while True:
                event = json.loads(await wire.receive())
                if event["type"] != "input_audio_buffer.append":
                    told.append(event)

    async def answer(item: str, value: int, pieces: int) -> None:
        pcm = b64encode(value.to_bytes(2, "little") * 2400).decode()
        for n in range(pieces):
            text = {"type": "response.output_audio_transcript.delta", "item_id": item, "delta": f"{item}{n} "}
            await wire.send(json.dumps(text))
            await wire.send(json.dumps({"type": "response.output_audio.delta", "item_id": item, "delta": pcm}))
            await trio.sleep(0.02)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        started_s = trio.current_time()
        await answer("old", 0x1111, min(30, 1 + int(interrupts_at_s / 0.02)))
        await trio.sleep_until(started_s + interrupts_at_s)
        await wire.send(json.dumps({"type": "input_audio_buffer.speech_started"}))
        await answer("new", 0x2222, 10)
        await trio.sleep(2)
        await wire.aclose(1000, "done")
        nursery.cancel_scope.cancel()


async def test_the_realtime_bridge_interrupted_at_every_step(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the old answer after the interruption, all of the new one, and the model is told what was heard."""
    params = evolve(plain(realtime.PARAMS), audio_out_sample_rate=24000)
    for at_s in STEPS_S:
        told: list[dict[str, object]] = []
        adapter = MemoryAdapter(OpenAIRealtimeProtocol())
        monkeypatch.setattr(realtime, "agent", lambda adapter=adapter: adapter)
        async with phone_call(realtime.bot, "browser", params=params) as phone, trio.open_nursery() as nursery:
            await trio.sleep(0.01)
            nursery.start_soon(agent_of_two_answers, adapter.agent, at_s, told)
            with trio.fail_after(30):
                await phone.has_ended.wait()
        assert phone.closed is not None
        assert (phone.closed.code, phone.closed.initiator) == (1000, "remote")
        pcm, texts = after_last_clear(phone)
        assert b"\x11\x11" not in pcm, at_s
        assert pcm.count(b"\x22\x22") == 24000
        assert texts == [f"new{n} " for n in range(10)]
        (truncated,) = [event for event in told if event["type"] == "conversation.item.truncate"]
        assert truncated["item_id"] == "old"
        assert truncated["audio_end_ms"] == pytest.approx(1000 * min(at_s, 3.0), abs=45)


@pytest.mark.parametrize("name", ["echo", "ivr", "voice_bot", "bridge", "realtime"])
def test_an_example_is_short(name: str) -> None:
    """Under sixty lines each: what people write first is not more than that."""
    module = {"echo": echo, "ivr": ivr, "voice_bot": voice_bot, "bridge": bridge, "realtime": realtime}[name]
    assert module.__file__ is not None
    with open(module.__file__, encoding="utf-8") as file:
        assert len(file.readlines()) < 60
