"""Pictures beside audio over real sockets: the rate is kept, and nothing is lost that is not counted."""

import numpy as np
import pytest
import trio

from tests.real.session.places import RATE, server_params, serving
from trio_transports import AudioFrame, ImageFrame, Session
from trio_transports.serializers.packed import PackedFrameSerializer
from trio_transports.wire.engines import ENGINES

PICTURES_PER_S = 30
SHOWN_S = 2.0
COUNT = round(SHOWN_S * PICTURES_PER_S)
CHUNKS = round(SHOWN_S / 0.02)


@pytest.mark.parametrize("engine", list(ENGINES))
async def test_thirty_a_second_are_thirty_a_second(engine: str) -> None:
    """Two seconds of pictures of 160 by 120 and of audio: their rate is 30 within 1 %, and the audio is all there.

    The rate is the middle one of all that two pictures half the time apart show, which single late ones cannot move.
    What a busy machine makes late is dropped and counted; a whole try of that shows nothing, and is done again.
    """
    rates: list[float] = []
    while not rates or (abs(rates[-1] / PICTURES_PER_S - 1) > 0.01 and len(rates) < 4):
        arrivals, audio_s, (sent, dropped) = await watched(engine)
        assert sent == len(arrivals)
        assert sent + dropped == COUNT
        assert audio_s == pytest.approx(SHOWN_S)
        rates.append(rate_of(arrivals))
    assert rates[-1] == pytest.approx(PICTURES_PER_S, rel=0.01), f"the rates: {rates}"


def rate_of(arrivals: dict[int, float]) -> float:
    numbers = sorted(arrivals)
    pairs = [(early, late) for early in numbers for late in numbers if late - early >= COUNT // 2]
    slopes = [(late - early) / (arrivals[late] - arrivals[early]) for early, late in pairs]
    return float(np.median(slopes)) if slopes else 0.0


async def watched(engine: str) -> tuple[dict[int, float], float, tuple[int, int]]:
    """When each picture came, how much audio came, and what the server says of its pictures."""
    told: list[tuple[int, int]] = []

    async def show(session: Session) -> None:
        await session.output.send(AudioFrame(audio=b"\1\0" * round(SHOWN_S * RATE), sample_rate=RATE))
        for number in range(COUNT):
            pixels = bytes((number,)) * (160 * 120 * 3)
            await session.output.send(ImageFrame(image=pixels, size=(160, 120)))
        await session.output.drain()
        statistics = session.statistics()
        told.append((statistics.pictures_sent, statistics.pictures_dropped))

    params = server_params(
        serializer=PackedFrameSerializer(),
        video_out_enabled=True,
        video_out_is_live=True,
        video_out_width=160,
        video_out_height=120,
        audio_out_auto_silence=False,
    )
    arrivals, audio_s = dict[int, float](), 0.0
    async with serving(show, params, engine=engine) as place:
        client = place.client(serializer=PackedFrameSerializer(), audio_in_enabled=True, video_in_enabled=True)
        async with client.session() as session:
            with trio.fail_after(20):
                async for frame in session.input:
                    if isinstance(frame, ImageFrame):
                        arrivals[frame.image[0]] = trio.current_time()
                    elif isinstance(frame, AudioFrame):
                        audio_s += frame.duration_s
    return arrivals, audio_s, told[0]
