"""What a session does for its handler is the same behind every way in."""

import pytest
import trio

from tests.real.hosting import WAYS_IN, hosted
from trio_transports import (
    AudioFrame,
    BotStartedSpeakingFrame,
    ConnectionClosed,
    Disconnected,
    InterruptionFrame,
    Session,
    SessionTimeout,
    TextFrame,
    WebsocketClientParams,
    WebsocketClientTransport,
)
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.testing import FrameRecorder

RATE = 16000
CHUNK = bytes(range(1, 129)) * 5
BOTH_WAYS = {
    "serializer": JSONFrameSerializer(),
    "audio_in_enabled": True,
    "audio_out_enabled": True,
    "audio_out_sample_rate": RATE,
    "audio_out_10ms_chunks": 2,
}

pytestmark = pytest.mark.parametrize("way_in", WAYS_IN)


def client(url: str) -> WebsocketClientTransport:
    return WebsocketClientTransport(url, WebsocketClientParams(**BOTH_WAYS))  # type: ignore[arg-type]


def audio(chunks: int) -> AudioFrame:
    return AudioFrame(audio=CHUNK * chunks, sample_rate=RATE)


async def heard_by(session: Session) -> FrameRecorder:
    """Everything until the other side ends the call."""
    recorder = FrameRecorder()
    await recorder.record(session.input)
    return recorder


async def test_echo(way_in: str) -> None:
    """What the client says comes back, bit for bit."""

    async def echo(session: Session) -> None:
        async for frame in session.input:
            await session.output.send(frame)

    settings = {**BOTH_WAYS, "audio_out_auto_silence": False}  # a caller that is late leaves no gap to fill
    async with hosted(way_in, echo, **settings) as host, client(host.url).session() as session:
        recorder = FrameRecorder()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(recorder.record, session.input)
            await session.output.send(audio(10))
            await session.output.send(TextFrame(text="done"))
            with trio.fail_after(30):
                await recorder.wait_for(TextFrame)
            nursery.cancel_scope.cancel()
    assert recorder.audio[: 10 * len(CHUNK)] == CHUNK * 10


async def test_goodbye_is_heard_before_the_close(way_in: str) -> None:
    """A handler that says goodbye and returns is heard to the last byte, and then comes the close."""

    async def goodbye(session: Session) -> None:
        await session.output.send(audio(20))
        await session.output.send(TextFrame(text="goodbye"))

    async with hosted(way_in, goodbye, **BOTH_WAYS) as host, client(host.url).session() as session:
        with trio.fail_after(30):
            recorder = await heard_by(session)
        with pytest.raises(ConnectionClosed) as caught:
            await session.output.send(TextFrame(text="too late"))
    assert recorder.audio == CHUNK * 20
    assert recorder.of(TextFrame)
    assert (caught.value.code, caught.value.initiator) == (1000, "remote")


@pytest.mark.parametrize("who", ["client", "server", "crash", "reset"])
async def test_the_end_is_told_once(way_in: str, who: str) -> None:
    """Whoever ends the call, and however: one Disconnected, with its initiator."""

    async def handler(session: Session) -> None:
        await session.input.receive()
        if who == "crash":
            raise ZeroDivisionError("a crash on purpose")
        if who != "server":
            async for _ in session.input:
                pass

    async with hosted(way_in, handler, **BOTH_WAYS) as host:
        try:
            async with client(host.url).session() as session:
                await session.output.send(TextFrame(text="begin"))
                if who in ("server", "crash"):
                    await heard_by(session)
                elif who == "reset":
                    await session.output.drain()
                    raise_from = session.output._outbound.outbox._wire
                    assert raise_from is not None
                    raise_from.abort()
        except ConnectionClosed:
            pass
        with trio.fail_after(30):
            await host.until(Disconnected)
        await trio.sleep(0.1)
    (end,) = host.ends
    assert end.initiator == {"client": "remote", "server": "local", "crash": "local", "reset": "error"}[who]
    if who == "server":
        assert end.code == 1000
    if who == "crash":
        assert end.code == 1011


async def test_session_timeout(way_in: str) -> None:
    """The timeout of each session is told; with the action "close" it ends that session."""

    async def wait(session: Session) -> None:
        async for _ in session.input:
            pass

    timeout = {"session_timeout": 0.3, "session_timeout_action": "close"}
    async with hosted(way_in, wait, **BOTH_WAYS, **timeout) as host:
        for _ in range(2):
            async with client(host.url).session() as session:
                with trio.fail_after(30):
                    await heard_by(session)
        with trio.fail_after(30):
            await host.until(Disconnected, 2)
    assert sum(isinstance(event, SessionTimeout) for event in host.told) == 2


async def test_barge_in(way_in: str) -> None:
    """A caller that interrupts hears the clear at once, and nothing that was queued before it."""

    async def talkative(session: Session) -> None:
        await session.output.send(audio(500))
        async for frame in session.input:
            if isinstance(frame, TextFrame):
                await session.output.interrupt()
                await session.output.send(TextFrame(text="yes?"))

    settings = {**BOTH_WAYS, "audio_out_auto_silence": False}
    async with hosted(way_in, talkative, **settings) as host, client(host.url).session() as session:
        recorder = FrameRecorder()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(recorder.record, session.input)
            with trio.fail_after(30):
                await recorder.wait_for(AudioFrame, 10)
                await session.output.send(TextFrame(text="stop"))
                await recorder.wait_for(InterruptionFrame)
                await recorder.wait_for(TextFrame)
            after = len(recorder.heard)
            await trio.sleep(0.3)
            nursery.cancel_scope.cancel()
    kinds = [type(heard.frame) for heard in recorder.heard if not isinstance(heard.frame, BotStartedSpeakingFrame)]
    assert AudioFrame not in kinds[kinds.index(InterruptionFrame) :]
    assert len(recorder.heard) == after
    assert len(recorder.of(AudioFrame)) < 100
