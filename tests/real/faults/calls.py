"""The near end of a call: it says so many words, with audio between, hears them come back, and leaves.

What it does is the same on every transport; what it is told on the way is written down for the observer.
"""

from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Final, TypeAlias

import numpy as np
import trio

from tests.real.bus.waiting import QUICK
from tests.real.faults.by_dialect import by_dialect
from tests.real.faults.observer import Call, Witness, until
from tests.real.faults.places import PROXY, SHORT, Place, parsed
from trio_transports import (
    AudioFrame,
    ReconnectPolicy,
    Session,
    TextFrame,
    TransportError,
    WebsocketClientParams,
    WebsocketClientTransport,
)
from trio_transports.agent import AgentOutcome, AudioChunk, TurnRules, WebSocketAgentAdapter
from trio_transports.agent.protocols import TwilioMediaStreamProtocol
from trio_transports.agent.protocols.pipecat import PipecatProtocol
from trio_transports.bus import BusFrameMessage, BusMessage, LocalBus, ProxyDisconnected, WebSocketProxyClient
from trio_transports.serializers import FrameSerializer, JSONFrameSerializer
from trio_transports.serializers.packed import PackedFrameSerializer
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.session.events import Reconnecting
from trio_transports.wire.engines import ENGINES

WORDS: Final = 12
GOOD_END: Final = (1000, "local")
PAUSE_S: Final = 0.02
PATIENCE_S: Final = 2.0
DIALECTS: Final[tuple[Callable[[], FrameSerializer], ...]] = (
    JSONFrameSerializer,
    ProtobufFrameSerializer,
    PackedFrameSerializer,
)
AUDIO: Final = AudioFrame(audio=bytes(640), sample_rate=16000)
TONE: Final = AudioChunk((np.sin(np.arange(4800) / 6) * 9000).astype("<i2").tobytes())
RULES: Final = TurnRules(first_audio_timeout_s=PATIENCE_S, tail_silence_s=0.3, cap_s=3, in_real_time=False)
POLICY: Final = ReconnectPolicy(initial_delay=0.02, max_delay=0.2, max_attempts=20)

MakeCall: TypeAlias = Callable[[Place, int, Call, Witness, Random], Awaitable[None]]


async def by_client(
    place: Place, port: int, call: Call, witness: Witness, random: Random, *, policy: ReconnectPolicy | None
) -> None:
    engine = random.choice(list(ENGINES))
    params = WebsocketClientParams(serializer=random.choice(DIALECTS)(), reconnect=policy, **SHORT)
    transport = WebsocketClientTransport(place.url(port, call.name), params, engine=engine)
    events = transport.events()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def listen() -> None:
            async for event in events:
                witness.hear(event)
                if isinstance(event, Reconnecting):
                    call.told_lost.append(f"{event.cause!r}")
                del event

        try:
            async with transport.session() as session:
                await _talk(session, call)
                call.said_goodbye = session.is_connected
            if session.statistics().reconnects:
                call.told_lost.append("it reconnected")
        except (TransportError, OSError) as exc:
            call.explained.append(repr(exc))
    call.explained += [f"it ended as {end}" for ends in witness.ended.values() for end in ends if end != GOOD_END]


async def _talk(session: Session, call: Call) -> None:
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def listen() -> None:
            async for frame in session.input:
                if isinstance(frame, TextFrame) and (said := parsed(frame.text)):
                    call.back.append(said[1])

        try:
            await _say(session, call)
        except TransportError as exc:
            call.explained.append(repr(exc))
        nursery.cancel_scope.cancel()


async def _say(session: Session, call: Call) -> None:
    for number in range(WORDS):
        await session.output.send(TextFrame(text=f"{call.name}:{number}"))
        call.sent.append(number)
        await session.output.send(AUDIO)
        await trio.sleep(PAUSE_S)
    await session.output.drain()
    if not await until(lambda: len(call.back) >= WORDS or not session.is_connected, call.patience_s, call.starved_s):
        call.left = True


async def by_bus(place: Place, port: int, call: Call, witness: Witness, random: Random) -> None:
    del place, witness
    bus = LocalBus()
    proxy = WebSocketProxyClient(
        "proxy",
        url=f"ws://127.0.0.1:{port}/{call.name}",
        remote_worker_name="far",
        local_worker_name=call.name,
        settings=PROXY,
        reconnect=QUICK,
        engine=random.choice(list(ENGINES)),
    )
    events, ends = proxy.events(), list[ProxyDisconnected]()
    replies = bus.subscribe(call.name, accepts=lambda message: is_reply(message, call.name))
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def tell() -> None:
            async for event in events:
                if isinstance(event, Reconnecting):
                    call.told_lost.append(repr(event.cause))
                elif isinstance(event, ProxyDisconnected):
                    ends.append(event)

        @nursery.start_soon
        async def listen() -> None:
            async for message in replies:
                if isinstance(message, BusFrameMessage) and isinstance(message.frame, TextFrame):
                    said = parsed(message.frame.text)
                    call.back += [said[1]] if said else []

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            try:
                await proxy.run(bus, task_status=task_status)
            except TransportError as exc:  # the server has refused it for good
                call.explained.append(repr(exc))

        await nursery.start(run)

        for number in range(WORDS):
            frame = TextFrame(text=f"{call.name}:{number}")
            await bus.send(BusFrameMessage(source=call.name, target="far", frame=frame))
            call.sent.append(number)
            await trio.sleep(PAUSE_S)
        if not await until(lambda: len(call.back) >= WORDS, call.patience_s, call.starved_s):
            call.left = True
        counted = proxy.statistics()
        if counted.dropped or counted.waiting or counted.malformed:
            call.told_lost.append(repr(counted))
        call.said_goodbye = True
        proxy.stop()
        await until(lambda: len(ends) == proxy.statistics().connections, PATIENCE_S, call.starved_s)
        if len(ends) != proxy.statistics().connections:
            call.mistakes.append(f"{proxy.statistics().connections} connections, and {len(ends)} ends were told")
        nursery.cancel_scope.cancel()


def is_reply(message: BusMessage, name: str) -> bool:
    return isinstance(message, BusFrameMessage) and message.target == name


async def by_agent(place: Place, port: int, call: Call, witness: Witness, random: Random) -> None:
    """It asks twice; each time there is an answer, or one of the ways in which there is none."""
    del witness
    protocol = random.choice((TwilioMediaStreamProtocol, PipecatProtocol))()
    params = WebsocketClientParams(
        connect_timeout=1.5, send_timeout=10, close_timeout=0.5, ping_interval=0.5, ping_timeout=15
    )
    adapter = WebSocketAgentAdapter(place.url(port, call.name), protocol, params=params, paced=False)
    try:
        async with adapter:
            for number in range(2):
                answer = await adapter.call(TONE, rules=RULES)
                call.sent.append(number)
                call.heard.append(number)
                call.back.append(number)
                if answer.ended_by is None or not answer.chunks:
                    call.mistakes.append(f"no outcome was raised, and there is no answer: {answer!r}")
            call.said_goodbye = True
    except AgentOutcome as exc:
        call.explained.append(repr(exc))
    except TransportError as exc:
        call.explained.append(repr(exc))


async def _client(place: Place, port: int, call: Call, witness: Witness, random: Random) -> None:
    await by_client(place, port, call, witness, random, policy=POLICY)


async def _once(place: Place, port: int, call: Call, witness: Witness, random: Random) -> None:
    await by_client(place, port, call, witness, random, policy=None)


CALLS: Final[Mapping[str, MakeCall]] = {
    "client": _client,
    "server": _once,
    "server, direct": _once,
    "serve_asgi": _once,
    "serve": _once,
    "bus": by_bus,
    "bus, trio-websocket": by_bus,
    "agent": by_agent,
    "FastAPI": _once,
    "dialects": by_dialect,
    "dialects, trio-websocket": by_dialect,
    "dialects, FastAPI": by_dialect,
}
