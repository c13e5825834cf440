"""Opus over real sockets: whole calls in the packed dialect and on a Telnyx line, both ways at once."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
import trio
from trio_websocket import open_websocket_url

from tests.real.session.places import server_params, serving
from tests.real.telephony.sounds import pitch, tone
from tests.serializers.test_lines import media, payload_of, telnyx_start
from trio_transports import AudioFrame, Session
from trio_transports.audio.codecs import make_decoder, make_encoder
from trio_transports.audio.codecs.codec import OPUS
from trio_transports.serializers.packed import PackedFrameSerializer
from trio_transports.serializers.telnyx import TelnyxFrameSerializer
from trio_transports.wire.engines import ENGINES

pytest.importorskip("av")

RATE = 24000
SAID_S = 0.4
PACKETS = round(SAID_S / 0.02)
BOT_HZ, CALLER_HZ = 440, 900


def heard_pitch(frames: Sequence[AudioFrame]) -> float:
    """How high it sounds in its middle: a coder needs a moment to begin, and silence may follow."""
    rates = {frame.sample_rate for frame in frames}
    assert len(rates) == 1
    (rate,) = rates
    pcm = b"".join(frame.audio for frame in frames)[rate // 20 * 2 : round(SAID_S * rate) * 2]
    return pitch(pcm, rate)


async def speak(session: Session, hz: float) -> None:
    """What is queued is said to its end, also when the handler returns meanwhile."""
    await session.output.send(AudioFrame(audio=tone(hz, SAID_S, RATE), sample_rate=RATE))


async def hear(session: Session, heard: list[AudioFrame]) -> None:
    """All of what the other side says, and no more than that."""
    async for frame in session.input:
        if isinstance(frame, AudioFrame):
            heard.append(frame)
            if len(heard) == PACKETS:
                return


@pytest.mark.parametrize("engine", list(ENGINES))
async def test_a_call_in_the_packed_dialect(engine: str) -> None:
    """Both sides speak Opus at once, and each hears the other's tone, packet for packet."""
    at_bot, at_caller = list[AudioFrame](), list[AudioFrame]()

    async def talk(session: Session, hz: float, heard: list[AudioFrame]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak, session, hz)
            nursery.start_soon(hear, session, heard)

    async def bot(session: Session) -> None:
        await talk(session, BOT_HZ, at_bot)

    opus: dict[str, Any] = {
        "serializer": PackedFrameSerializer(encoding="OPUS"),
        "audio_out_sample_rate": None,
        "drain_timeout": 30,
    }
    with trio.fail_after(60):
        async with serving(bot, server_params(**opus), engine=engine) as place:
            async with place.client(audio_in_enabled=True, **opus).session() as session:
                await talk(session, CALLER_HZ, at_caller)
            await place.ended()
    for heard, hz in ((at_bot, CALLER_HZ), (at_caller, BOT_HZ)):
        assert [frame.duration_s for frame in heard] == pytest.approx([0.02] * PACKETS)
        assert heard_pitch(heard) == pytest.approx(hz, abs=5)


@pytest.mark.parametrize("engine", list(ENGINES))
async def test_a_call_on_a_telnyx_line(engine: str) -> None:
    """A line that announces Opus is heard and spoken to in it; its packets carry both tones."""
    at_bot, at_caller = list[AudioFrame](), list[AudioFrame]()

    async def bot(session: Session) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak, session, BOT_HZ)
            nursery.start_soon(hear, session, at_bot)

    line = TelnyxFrameSerializer(send_encoding="OPUS", send_rate=RATE)
    coder, decoder = make_encoder(OPUS, RATE), make_decoder(OPUS, 48000)
    pcm, size = tone(CALLER_HZ, SAID_S, RATE), RATE // 50 * 2
    params = server_params(serializer=line, audio_out_sample_rate=None, drain_timeout=30)
    with trio.fail_after(60):
        async with serving(bot, params, engine=engine) as place:
            async with open_websocket_url(place.url) as caller:
                await caller.send_message(telnyx_start(encoding="OPUS", sample_rate=48000))
                for at in range(0, len(pcm), size):
                    await caller.send_message(media(coder.encode(pcm[at : at + size]), track="inbound"))
                while len(at_caller) < PACKETS:
                    message = await caller.get_message()
                    if json.loads(message)["event"] == "media":
                        at_caller.append(AudioFrame(audio=decoder.decode(payload_of(message)), sample_rate=48000))
            await place.ended()
    assert len(at_bot) == PACKETS
    assert heard_pitch(at_bot) == pytest.approx(CALLER_HZ, abs=5)
    assert heard_pitch(at_caller) == pytest.approx(BOT_HZ, abs=5)
