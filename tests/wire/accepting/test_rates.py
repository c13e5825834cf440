"""How fast a caller may send, in virtual time."""

from typing import Any

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock

from tests.wire.asgi_server import Server
from trio_transports import AsgiWebsocketParams, AsgiWebsocketTransport
from trio_transports.errors import ConnectionClosed
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.wire import Peer, Wire
from trio_transports.wire.accepting.callers import EXTENSION, CallerCounts
from trio_transports.wire.accepting.rates import BURST_S, GOODBYE_S, rated
from trio_transports.wire.memory import memory_wire_pair
from trio_transports.wire.protocol import Batches, SendsNow


async def received(wire: Wire) -> tuple[int, ConnectionClosed]:
    count = 0
    while True:
        try:
            await wire.receive()
        except ConnectionClosed as closed:
            return count, closed
        count += 1


async def send_until_closed(wire: Wire, size: int, every_s: float) -> ConnectionClosed:
    while True:
        try:
            await wire.send(bytes(size))
        except ConnectionClosed as closed:
            return closed
        await trio.sleep(every_s)


@pytest.mark.parametrize(
    ("limits", "size", "every_s", "most"),
    [
        ({"max_messages_per_second": 50.0}, 10, 0.001, 50 * BURST_S),
        ({"max_bytes_per_second": 1000.0}, 100, 0.001, 10 * BURST_S),
        ({"max_messages_per_second": 1000.0, "max_bytes_per_second": 1000.0}, 100, 0.001, 10 * BURST_S),
    ],
)
async def test_who_sends_too_fast_is_told(
    limits: dict[str, float], size: int, every_s: float, most: float, autojump_clock: MockClock
) -> None:
    """1008 and why, on both sides, after a burst of a few seconds' worth; the end is told again and again."""
    near, far = memory_wire_pair()
    counts = CallerCounts()
    wire = rated(near, **limits, on_too_fast=lambda: counts.refuse("rate"))
    told: list[ConnectionClosed] = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def send() -> None:
            told.append(await send_until_closed(far, size, every_s))

        @nursery.start_soon
        async def read() -> None:
            await received(far)

        count, closed = await received(wire)
        assert most - 1 <= count <= most * 1.1
        for _ in range(2):
            assert (closed.code, closed.initiator) == (1008, "local")
            _, closed = await received(wire)
    assert counts.callers().turned_away == {"rate": 1}
    assert told[0].code == 1008
    assert "a second" in told[0].reason


async def test_who_keeps_to_the_rate_is_never_told(autojump_clock: MockClock) -> None:
    """An hour of voice at fifty messages a second, with a stall of three seconds each minute."""
    near, far = memory_wire_pair(buffer_messages=10_000)
    wire = rated(near, max_messages_per_second=50, max_bytes_per_second=50 * 640)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def send() -> None:
            for _ in range(60):
                for _ in range(57):
                    for _ in range(50):
                        await far.send(bytes(640))
                    await trio.sleep(1)
                await trio.sleep(3)
                for _ in range(150):
                    await far.send(bytes(640))
            await far.aclose(1000)

        count, closed = await received(wire)
    assert count == 60 * 60 * 50
    assert closed.code == 1000


async def test_without_limits_a_wire_is_itself() -> None:
    """Nothing stands between, and nothing is paid."""
    near, _ = memory_wire_pair()
    assert rated(near) is near


@pytest.mark.parametrize("message", ["text", b"bytes"])
async def test_what_is_written_at_once_is_told_as_the_wire_tells_it(message: str | bytes) -> None:
    """A wire that can write at once still can; what it says of it is handed on, until it is closed. Twice."""
    near, far = memory_wire_pair(sends_now=True, buffer_messages=2)
    wire = rated(near, max_messages_per_second=5.0)
    assert isinstance(wire, SendsNow)
    assert isinstance(near, SendsNow)
    assert [wire.send_now(message) for _ in range(4)] == [True, True, None, False]
    assert [await far.receive() for _ in range(2)] == [message] * 2


async def test_each_end_of_a_memory_wire_sees_its_own_peer() -> None:
    """The one it is given, or one that is called memory."""
    for near, far in ((None, None), (Peer(address="a"), None), (None, Peer(address="b"))):
        first, second = memory_wire_pair(near=near, far=far)
        assert first.peer.address == ("memory" if near is None else "a")
        assert second.peer.address == ("memory" if far is None else "b")


async def call_an_app(params: AsgiWebsocketParams, extensions: dict[str, object], messages: int) -> tuple[int, int]:
    """How many of so many messages the session heard, and the code that its caller was told."""
    server = Server({"type": "websocket", "extensions": extensions})
    for _ in range(messages):
        server.message('{"type": "text", "text": "more"}')
    server.disconnect(1000)
    transport = AsgiWebsocketTransport((server.scope, server.receive, server.send), params)
    async with transport.session() as session:
        heard = [frame async for frame in session.input]
    ends = [event["code"] for event in server.sent if event["type"] == "websocket.close"]
    return len(heard), ends[0] if ends else 0


@pytest.mark.parametrize("limits", [{"max_messages_per_second": 2.0}, {"max_bytes_per_second": 64.0}])
async def test_an_app_is_kept_from_who_sends_too_fast(limits: dict[str, float], autojump_clock: MockClock) -> None:
    """A session of an ASGI app ends by 1008 after the burst, and its server counts it: twice; a slower one not."""
    params = AsgiWebsocketParams(serializer=JSONFrameSerializer(), **limits)  # type: ignore[arg-type]
    counts = CallerCounts()
    for turn in (1, 2):
        assert await call_an_app(params, {EXTENSION: counts}, 40) == (10, 1008)
        assert counts.callers().turned_away == {"rate": turn}
        assert await call_an_app(params, {EXTENSION: counts}, 10) == (10, 0)
        assert counts.callers().turned_away == {"rate": turn}
        assert await call_an_app(params, {}, 40) == (10, 1008)  # under another server


async def test_what_was_begun_is_waited_for(autojump_clock: MockClock) -> None:
    """Until the peer has read, or has gone; twice."""
    near, far = memory_wire_pair(sends_now=True, buffer_messages=1)
    wire = rated(near, max_messages_per_second=5.0)
    assert isinstance(wire, SendsNow)
    for _ in range(2):
        assert [wire.send_now("text") for _ in range(2)] == [True, None]
        with trio.move_on_after(1) as limit:
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def read() -> None:
                    await trio.sleep(0.5)
                    await far.receive()

                began_s = trio.current_time()
                await wire.flushed()
                assert trio.current_time() == began_s + 0.5
        assert not limit.cancelled_caught
        assert await far.receive() == "text"
    assert [wire.send_now("text") for _ in range(2)] == [True, None]
    far.abort()
    with pytest.raises(ConnectionClosed):
        await wire.flushed()


async def test_several_at_once_are_each_counted(autojump_clock: MockClock) -> None:
    """What the wire writes at once it still does; what arrived at once is taken one by one, at its own time."""
    near, far = memory_wire_pair(sends_now=True, buffer_messages=100)
    wire = rated(near, max_messages_per_second=1.0)
    assert isinstance(wire, Batches)
    assert wire.send_several_now(["a", b"b", "c"]) == 3
    assert [await far.receive() for _ in range(3)] == ["a", b"b", "c"]
    for number in range(20):
        await far.send(str(number))
    for number in range(int(BURST_S)):
        assert await wire.receive_several() == [str(number)]
    with pytest.raises(ConnectionClosed) as closed:
        await wire.receive_several()
    assert closed.value.code == 1008


async def test_all_else_is_the_wires_own(autojump_clock: MockClock) -> None:
    """What is sent, in both forms, and how it ends, is as without a limit."""
    peer = Peer(address="10.0.0.7")
    for ends in ("closes", "aborts"):
        near, far = memory_wire_pair(near=peer)
        wire = rated(near, max_bytes_per_second=5.0)
        assert wire.peer is peer
        for message in ("text", b"bytes"):
            await wire.send(message)
            assert await far.receive() == message
        if ends == "closes":
            await wire.aclose(4000, "bye")
        else:
            wire.abort()
        _, closed = await received(far)
        assert (closed.code, closed.reason) == ((4000, "bye") if ends == "closes" else (1006, "connection lost"))


async def test_a_bucket_fills_at_its_rate(autojump_clock: MockClock) -> None:
    """Two a second: after the burst two more a second later, and a third is too much."""
    near, far = memory_wire_pair(buffer_messages=100)
    wire = rated(near, max_messages_per_second=2.0)
    for count, pause_s in ((10, 1.0), (2, 0.5), (1, 0.0)):
        for _ in range(count):
            await far.send("text")
            assert await wire.receive() == "text"
        await trio.sleep(pause_s)
    await far.send("too much")
    with pytest.raises(ConnectionClosed) as closed:
        await wire.receive()
    assert closed.value.reason == "more than 2 messages a second"


async def test_one_message_may_come_however_slow_they_must_be(autojump_clock: MockClock) -> None:
    near, far = memory_wire_pair()
    wire = rated(near, max_messages_per_second=0.1)
    await far.send("first")
    assert await wire.receive() == "first"
    await far.send("second")
    with pytest.raises(ConnectionClosed):
        await wire.receive()


@define(eq=False)
class Hanging:
    """A wire whose goodbye nobody answers, and that goes on until it is aborted."""

    done: list[object] = field(factory=list)

    async def receive(self) -> str:
        await trio.lowlevel.checkpoint()
        return "text"

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        self.done.append(code)
        await trio.sleep_forever()

    def abort(self) -> None:
        self.done.append("abort")


async def test_who_answers_no_goodbye_is_cut_off(autojump_clock: MockClock) -> None:
    hanging: Any = Hanging()
    wire = rated(hanging, max_messages_per_second=0.1)
    assert await wire.receive() == "text"
    for _ in range(2):
        with pytest.raises(ConnectionClosed):
            await wire.receive()
    assert hanging.done == [1008, "abort"]
    assert trio.current_time() == GOODBYE_S
