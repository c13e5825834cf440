"""The adapter calls this library's own servers: standalone and ASGI, protobuf and Twilio."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
import trio
from hypercorn.config import Config

from trio_transports import (
    AsgiWebsocketParams,
    AsgiWebsocketTransport,
    AudioFrame,
    DTMFFrame,
    InterruptionFrame,
    Session,
    StartFrame,
    TranscriptionFrame,
    WebsocketServerParams,
    WebsocketServerTransport,
)
from trio_transports.agent import (
    AgentFinished,
    AudioChunk,
    PlaybackCleared,
    Transcript,
    TurnRules,
    WebSocketAgentAdapter,
    WebSocketProtocol,
)
from trio_transports.agent.protocols import TwilioMediaStreamProtocol
from trio_transports.agent.protocols.pipecat import PipecatProtocol
from trio_transports.hosting import serve_asgi
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.serializers.twilio import TwilioFrameSerializer

DEADLINE_S = 60
PARAMS: dict[str, Any] = {"audio_in_enabled": True, "audio_in_sample_rate": 16000, "audio_out_enabled": True}
DIALECTS: dict[str, tuple[Callable[[], Any], Callable[[], WebSocketProtocol]]] = {
    "protobuf": (ProtobufFrameSerializer, PipecatProtocol),
    "twilio": (TwilioFrameSerializer, TwilioMediaStreamProtocol),
}


def tone(seconds: float, hz: float) -> bytes:
    time = np.arange(round(24000 * seconds)) / 24000
    return (np.sin(2 * np.pi * hz * time) * 9000).astype("<i2").tobytes()


def loudest_hz(chunk: AudioChunk) -> float:
    samples = np.frombuffer(chunk.data, "<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax()) * chunk.sample_rate / len(samples)


def has_voice(chunk: AudioChunk) -> bool:
    return bool(np.abs(np.frombuffer(chunk.data, "<i2").astype(int)).max(initial=0) > 500)


ANSWER = AudioFrame(audio=tone(0.5, 700.0), sample_rate=24000)
Handler = Callable[[Session], Awaitable[None]]


async def agent(session: Session, answer: AudioFrame = ANSWER) -> None:
    """Answers, with half a second of 700 Hz, when it has heard 200 ms of sound and then some silence."""
    loud_s = quiet_s = 0.0
    async for frame in session.input:
        match frame:
            case AudioFrame():
                is_loud = np.abs(np.frombuffer(frame.audio, "<i2").astype(int)).max(initial=0) > 1000
                loud_s += frame.duration_s if is_loud else 0.0
                quiet_s = 0.0 if is_loud else quiet_s + frame.duration_s
                if loud_s > 0.2 and quiet_s > 0.15:
                    loud_s = 0.0
                    await session.output.send(TranscriptionFrame(text="a tone"))
                    await session.output.send(answer)
            case DTMFFrame(digit="9"):
                return
            case DTMFFrame(digit="0"):
                await session.output.interrupt()
            case InterruptionFrame():
                await session.output.interrupt()
            case StartFrame():
                assert frame.call_id is not None
            case _:
                pass


@asynccontextmanager
async def standalone(serializer: object, handler: Handler = agent) -> AsyncIterator[str]:
    params = WebsocketServerParams(serializer=serializer, **PARAMS)  # type: ignore[arg-type]
    transport = WebsocketServerTransport(params, host="127.0.0.1", port=0)
    async with trio.open_nursery() as nursery:
        ready = await nursery.start(transport.serve, handler)
        yield f"ws://127.0.0.1:{ready.port}"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def asgi(serializer: object, handler: Handler = agent) -> AsyncIterator[str]:
    params = AsgiWebsocketParams(serializer=serializer, **PARAMS)  # type: ignore[arg-type]

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's own shape
        if scope["type"] == "websocket":
            await AsgiWebsocketTransport((scope, receive, send), params).serve(handler)
        elif scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return

    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.accesslog = config.errorlog = None
    over = trio.Event()
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(partial(serve_asgi, app, config, shutdown_trigger=over.wait))
        yield address.replace("http", "ws")
        over.set()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("serve", [standalone, asgi])
async def test_turns_with_our_own_servers(
    serve: Callable[[object], AbstractAsyncContextManager[str]], dialect: str
) -> None:
    """Two turns each: the answer's tone at the right pitch and length, and both sides on the recording."""
    serializer, protocol = DIALECTS[dialect]
    rules = TurnRules(first_audio_timeout_s=30, tail_silence_s=3)
    with trio.fail_after(DEADLINE_S):
        async with serve(serializer()) as url:
            adapter = WebSocketAgentAdapter(url, protocol(), record=True)
            async with adapter:
                for _ in range(2):
                    began_at = trio.current_time()
                    answer = await adapter.call(AudioChunk(tone(0.3, 300.0)), rules=rules)
                    took_s = trio.current_time() - began_at
                    assert answer.ended_by == "tail_silence"
                    assert answer.first_voice_s is not None
                    assert 0.05 < answer.first_voice_s < took_s - rules.tail_silence_s
                    assert loudest_hz(answer.audio) == pytest.approx(700.0, abs=5.0)
                    voiced = np.count_nonzero(np.abs(np.frombuffer(answer.audio.data, "<i2").astype(int)) > 500)
                    assert voiced / 24000 == pytest.approx(0.5, abs=0.06)
                    if dialect == "protobuf":
                        assert Transcript("a tone", "caller") in answer.events
            assert adapter.recording.duration_s > 1.5


@pytest.mark.parametrize("serve", [standalone, asgi])
async def test_a_twilio_call_with_keys(serve: Callable[[object], AbstractAsyncContextManager[str]]) -> None:
    """A key that the agent hangs up at ends the conversation in good order."""
    with trio.fail_after(DEADLINE_S):
        async with (
            serve(TwilioFrameSerializer()) as url,
            WebSocketAgentAdapter(url, TwilioMediaStreamProtocol()) as adapter,
        ):
            await adapter.send_dtmf("19")
            heard = [chunk async for chunk in adapter.chunks()]
            with pytest.raises(AgentFinished) as finished:
                await adapter.recv_audio(timeout=30)
            assert finished.value.close_code == 1000
            assert heard == []


@pytest.mark.parametrize("serve", [standalone, asgi])
async def test_an_interruption_of_our_own_agent(serve: Callable[..., AbstractAsyncContextManager[str]]) -> None:
    """By message, in protobuf: what the agent still had queued is not sent."""
    talks_on = partial(agent, answer=AudioFrame(audio=tone(20.0, 700.0), sample_rate=24000))
    with trio.fail_after(DEADLINE_S):
        async with (
            serve(ProtobufFrameSerializer(), talks_on) as url,
            WebSocketAgentAdapter(url, PipecatProtocol()) as adapter,
        ):
            await adapter.send_audio(AudioChunk(tone(0.4, 300.0)))
            while not has_voice(await adapter.recv_audio(timeout=30)):
                pass
            await adapter.interrupt()
            while await adapter.receive() != PlaybackCleared():
                pass
            with trio.move_on_after(0.7):
                async for chunk in adapter.chunks():
                    assert not has_voice(chunk)


async def test_many_callers_at_once() -> None:
    """Twenty adapters in one process each hear their own answer."""
    rules = TurnRules(first_audio_timeout_s=30, tail_silence_s=2)

    async def call_once(url: str) -> None:
        async with WebSocketAgentAdapter(url, PipecatProtocol()) as adapter:
            answer = await adapter.call(AudioChunk(tone(0.3, 300.0)), rules=rules)
            assert loudest_hz(answer.audio) == pytest.approx(700.0, abs=5.0)

    with trio.fail_after(DEADLINE_S):
        async with standalone(ProtobufFrameSerializer()) as url, trio.open_nursery() as callers:
            for _ in range(20):
                callers.start_soon(call_once, url)
