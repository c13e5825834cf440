"""Sessions whose reads share wakes: what that spares is counted, and what one does costs the others nothing."""

import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import final

import pytest
import trio
from attrs import define, field

from tests.real.session.places import RATE, Place, server_params, serving
from tests.real.wire.steps import steps_of
from trio_transports import AudioFrame, ConnectionClosed, Frame, MessageFrame, Session, TextFrame
from trio_transports.audio.format import AudioFormat
from trio_transports.wire.engines import ENGINES
from trio_transports.wire.rfc6455 import Opcode, Parser, encode_frame

CALLERS, ROUNDS = 20, 30
HANDLER = "trio_transports.wire.accepting.door.Door._serve_connection"
READER = "trio_websocket._impl.WebSocketConnection._reader_task"
NAMES = (HANDLER, READER, "receive", "send", "shared wakes")
QUESTION = encode_frame(Opcode.TEXT, b'{"type":"text","text":"hello"}', masked=True)


@final
@define(eq=False)
class Caller:
    """A bare peer: nothing of it is among the steps that are counted."""

    stream: trio.SocketStream
    _parser: Parser = field(factory=lambda: Parser(from_client=False, max_message_bytes=1 << 20))

    async def answer(self) -> None:
        while not self._parser.feed(await self.stream.receive_some()):
            pass


async def steps_for_a_frame(place: Place) -> dict[str, float]:
    """Of each task, while many ask at a time."""
    async with AsyncExitStack() as streams:
        callers = [Caller(await streams.enter_async_context(await place.upgraded())) for _ in range(CALLERS)]

        async def round_of_all() -> None:
            for caller in callers:
                await caller.stream.socket.send(QUESTION)
            with trio.fail_after(30):
                for caller in callers:
                    await caller.answer()

        await round_of_all()
        with steps_of(*NAMES) as steps:
            for _ in range(ROUNDS):
                await round_of_all()
        return {name: steps[name] / (CALLERS * ROUNDS) for name in NAMES}


MOST = {READER: 0, "receive": 0, "send": 0, "shared wakes": 0.3}


@pytest.mark.usefixtures("held_back")
@pytest.mark.parametrize("engine", list(ENGINES))
async def test_a_wake_is_shared(engine: str) -> None:
    """Under load many messages are read at one wake, and no task but their handlers' wakes for each."""
    async with serving(engine=engine) as place:
        steps = await steps_for_a_frame(place)
        place.transport.shutdown()
    for name, most in MOST.items():
        assert steps[name] <= most, steps


async def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``share_wakes=False`` each socket is waited for by its own task."""
    async with serving(params=server_params(share_wakes=False), engine="direct") as place:
        steps = await steps_for_a_frame(place)
        place.transport.shutdown()
    assert steps["shared wakes"] == 0
    assert steps["receive"] >= 1


@final
@define(eq=False)
class Touchy:
    """A filter that fails at loud audio."""

    slow: bool = False

    def start(self, audio_format: AudioFormat) -> None: ...

    def filter(self, pcm: bytes) -> bytes:
        if any(pcm):
            raise LookupError("too loud")
        return pcm

    def control(self, settings: Mapping[str, object], enabled: bool | None = None) -> None: ...

    def stop(self) -> None: ...

    def fresh(self) -> "Touchy":
        return Touchy()


async def answer_words(session: Session) -> None:
    async for frame in session.input:
        if not isinstance(frame, AudioFrame):
            await session.output.send(frame)


async def next_word(session: Session) -> Frame:
    while not isinstance(frame := await session.input.receive(), TextFrame | MessageFrame):
        pass
    return frame


@pytest.mark.parametrize("is_loaded", [False, True])
async def test_what_fails_in_one_session_ends_that_one(
    is_loaded: bool, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """A user's filter that fails where a shared wake runs it ends its own call with 1011, and no other hears of it."""
    if is_loaded:
        request.getfixturevalue("held_back")
    params = server_params(audio_in_filter=Touchy())
    async with serving(answer_words, params=params, engine="direct") as place:
        async with place.client().session() as first, place.client().session() as second:
            for session in (first, second):
                await session.output.send(
                    AudioFrame(audio=bytes(640), sample_rate=RATE)
                )  # the first prepares the filter
                await session.output.send(TextFrame(text="here"))
                assert await next_word(session) == TextFrame(text="here")
            with caplog.at_level(logging.CRITICAL, logger="trio_transports.server"):
                await first.output.send(AudioFrame(audio=b"\x7f" * 640, sample_rate=RATE))
                with trio.fail_after(30):
                    with pytest.raises(trio.EndOfChannel):
                        await next_word(first)
            with pytest.raises(ConnectionClosed) as closed:
                await first.output.send(TextFrame(text="too late"))
            assert closed.value.code == 1011
            await second.output.send(MessageFrame(message="still here"))
            with trio.fail_after(30):
                assert await next_word(second) == MessageFrame(message="still here")
        place.transport.shutdown()
