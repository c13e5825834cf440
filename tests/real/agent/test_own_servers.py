"""The adapter calls this library's own servers: standalone and ASGI, protobuf and Twilio."""

from collections.abc import AsyncIterator, Callable
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

DEADLINE_S = 20
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


ANSWER = AudioFrame(audio=tone(0.5, 700.0), sample_rate=24000)


async def agent(session: Session) -> None:
    """Answers with half a second of 700 Hz when it has heard 200 ms of sound and then some silence."""
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
                    await session.output.send(ANSWER)
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
async def standalone(serializer: object) -> AsyncIterator[str]:
    params = WebsocketServerParams(serializer=serializer, **PARAMS)  # type: ignore[arg-type]
    transport = WebsocketServerTransport(params, host="127.0.0.1", port=0)
    async with trio.open_nursery() as nursery:
        ready = await nursery.start(transport.serve, agent)
        yield f"ws://127.0.0.1:{ready.port}"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def asgi(serializer: object) -> AsyncIterator[str]:
    params = AsgiWebsocketParams(serializer=serializer, **PARAMS)  # type: ignore[arg-type]

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's own shape
        if scope["type"] == "websocket":
            await AsgiWebsocketTransport((scope, receive, send), params).serve(agent)
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
    rules = TurnRules(first_audio_timeout_s=5, tail_silence_s=0.25)
    with trio.fail_after(DEADLINE_S):
        async with serve(serializer()) as url:
            adapter = WebSocketAgentAdapter(url, protocol(), record=True)
            async with adapter:
                for _ in range(2):
                    answer = await adapter.call(AudioChunk(tone(0.3, 300.0)), rules=rules)
                    assert answer.ended_by == "tail_silence"
                    assert answer.first_voice_s is not None
                    assert 0.05 < answer.first_voice_s < 1.5
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
                await adapter.recv_audio(timeout=5)
            assert finished.value.close_code == 1000
            assert heard == []


@pytest.mark.parametrize("serve", [standalone, asgi])
async def test_an_interruption_of_our_own_agent(serve: Callable[[object], AbstractAsyncContextManager[str]]) -> None:
    """By message, in protobuf: what the agent still had queued is not sent."""
    with trio.fail_after(DEADLINE_S):
        async with serve(ProtobufFrameSerializer()) as url, WebSocketAgentAdapter(url, PipecatProtocol()) as adapter:
            await adapter.send_audio(AudioChunk(tone(0.4, 300.0)))
            heard = (await adapter.recv_audio(timeout=5)).duration_seconds
            await adapter.interrupt()
            with trio.move_on_after(0.7):
                async for chunk in adapter.chunks():
                    if np.abs(np.frombuffer(chunk.data, "<i2").astype(int)).max(initial=0) > 500:
                        heard += chunk.duration_seconds
            assert heard < 0.45


async def test_many_callers_at_once() -> None:
    """Twenty adapters in one process each hear their own answer."""
    rules = TurnRules(first_audio_timeout_s=10, tail_silence_s=0.4)

    async def call_once(url: str) -> None:
        async with WebSocketAgentAdapter(url, PipecatProtocol()) as adapter:
            answer = await adapter.call(AudioChunk(tone(0.3, 300.0)), rules=rules)
            assert loudest_hz(answer.audio) == pytest.approx(700.0, abs=5.0)

    with trio.fail_after(DEADLINE_S):
        async with standalone(ProtobufFrameSerializer()) as url, trio.open_nursery() as callers:
            for _ in range(20):
                callers.start_soon(call_once, url)
