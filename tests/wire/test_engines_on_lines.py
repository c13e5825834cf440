"""Both engines in virtual time, on lines in memory."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trio.testing

from tests.wire.lines import ADDRESS, REQUEST, called, everybody, lines, wires_on_lines
from trio_transports.errors import ConnectionClosed, HandshakeRejected, LocalProtocolError
from trio_transports.testing import check_wire
from trio_transports.wire import Peer, Wire
from trio_transports.wire.closing import LINGER_S
from trio_transports.wire.engines import engine_named
from trio_transports.wire.refusal import Refusal
from trio_transports.wire.rfc6455 import MAX_EMPTY_FRAGMENTS, Close, Opcode, Ping, encode_close, encode_frame
from trio_transports.wire.settings import WireSettings

ENGINES = ["direct", "trio-websocket"]


@pytest.mark.parametrize("engine", ENGINES)
async def test_the_contract(engine: str, autojump_clock: trio.testing.MockClock) -> None:

    @asynccontextmanager
    async def pair(*, max_message_bytes: int) -> AsyncIterator[tuple[Wire, Wire]]:
        settings = WireSettings(max_message_bytes=max_message_bytes)
        async with wires_on_lines(engine, client=settings, server=settings) as (client, server, *_):
            yield client, server

    await check_wire(pair)


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_has_arrived_is_had_though_the_deadline_passes_meanwhile(
    engine: str, autojump_clock: trio.testing.MockClock
) -> None:
    """In the turn of the loop that this takes, twice: who looks whether something is there finds it."""
    async with wires_on_lines(engine, client=WireSettings(), server=WireSettings()) as (client, server, *_):
        for text in ("first", "second", "third"):
            await client.send(text)
        await trio.testing.wait_all_tasks_blocked()
        assert await server.receive() == "first"
        for text in ("second", "third"):
            with trio.move_on_after(0.001) as scope:
                autojump_clock.jump(0.01)
                assert await server.receive() == text
            assert not scope.cancelled_caught


async def end_of(wire: Wire) -> ConnectionClosed:
    """How it ends; what arrives before that is dropped."""
    while True:
        try:
            await wire.receive()
        except ConnectionClosed as closed:
            return closed


@pytest.mark.parametrize("engine", ENGINES)
async def test_who_answers_pings_may_be_silent(engine: str, autojump_clock: trio.testing.MockClock) -> None:
    """For as long as it likes: it is asked each interval, and never let go."""
    asked_s: list[float] = []
    async with called(engine, WireSettings(ping_interval_s=20.0, ping_timeout_s=5.0)) as (wire, caller):
        began_s = trio.current_time()
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def answer() -> None:
                while heard := await caller.next():
                    for each in heard:
                        assert isinstance(each, Ping)
                        asked_s.append(trio.current_time() - began_s)
                        await trio.sleep(1)
                        await caller.say(Opcode.PONG, each.payload)

            with trio.move_on_after(610) as limit:
                await wire.receive()
            assert limit.cancelled_caught
            nursery.cancel_scope.cancel()
        assert asked_s == [pytest.approx(20 + 21 * number) for number in range(len(asked_s))]
        assert len(asked_s) == 29
        wire.abort()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("answers", [0, 2])
async def test_who_misses_a_ping_is_let_go(engine: str, answers: int, autojump_clock: trio.testing.MockClock) -> None:
    """When its time is over, not before; also one that has answered others."""
    async with called(engine, WireSettings(ping_interval_s=20.0, ping_timeout_s=5.0)) as (wire, caller):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def answer() -> None:
                for _ in range(answers):
                    for each in await caller.next():
                        assert isinstance(each, Ping)
                        await caller.say(Opcode.PONG, each.payload)

            closed = await end_of(wire)
        assert (closed.code, closed.reason, closed.initiator) == (1006, "no pong within 5 s of a ping", "error")
        assert trio.current_time() == pytest.approx(20 * answers + 25)
        assert len(await caller.rest()) == 1


@pytest.mark.parametrize("engine", ENGINES)
async def test_without_an_interval_nobody_is_asked(engine: str, autojump_clock: trio.testing.MockClock) -> None:
    async with called(engine, WireSettings(ping_interval_s=None)) as (wire, caller):
        with trio.move_on_after(1000):
            await wire.receive()
        wire.abort()
        assert await caller.rest() == []


def fragment(opcode: Opcode, payload: bytes = b"", *, ends: bool = False, masked: bool = True) -> bytes:
    """A frame that ends its message or does not."""
    first, *rest = encode_frame(opcode, payload, masked=masked)
    return bytes((first if ends else first & 0x7F, *rest))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
@pytest.mark.parametrize("by_server", [False, True])
@pytest.mark.parametrize("content", [0, 100])
async def test_empty_fragments_without_end_are_ended(
    engine: str, opcode: Opcode, by_server: bool, content: int, autojump_clock: trio.testing.MockClock
) -> None:
    """Behind some content too, and on both sides: past a bound it is 1008, and the peer is told."""
    settings = WireSettings(ping_interval_s=None)
    async with wires_on_lines(engine, client=settings, server=settings) as (client, server, near, far):
        sender, wire = (far, client) if by_server else (near, server)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def say() -> None:
                await sender.send_all(fragment(opcode, b"a", masked=not by_server))
                await sender.send_all(fragment(Opcode.CONTINUATION, b"b", masked=not by_server) * content)
                more = fragment(Opcode.CONTINUATION, masked=not by_server) * 100
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    for _ in range(MAX_EMPTY_FRAGMENTS):
                        await sender.send_all(more)

            with trio.fail_after(60):
                closed = await end_of(wire)
        assert (closed.code, closed.initiator) == (1008, "error")
        assert closed.reason == f"a message of more than {MAX_EMPTY_FRAGMENTS} empty fragments"
        with pytest.raises(ConnectionClosed) as told:
            await (server if by_server else client).receive()
        assert (told.value.code, told.value.reason, told.value.initiator) == (1008, closed.reason, "remote")


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_message_may_have_many_fragments(engine: str, autojump_clock: trio.testing.MockClock) -> None:
    """As many empty ones as may be, twice; and any number of single bytes, of text whose characters are cut by them."""
    text = "\U0001f600" * MAX_EMPTY_FRAGMENTS
    async with called(engine) as (wire, caller):
        for _ in range(2):
            await caller.line.send_all(fragment(Opcode.BINARY, b"a"))
            await caller.line.send_all(fragment(Opcode.CONTINUATION) * (MAX_EMPTY_FRAGMENTS - 1))
            await caller.line.send_all(fragment(Opcode.CONTINUATION, b"b", ends=True))
            assert await wire.receive() == b"ab"
            first, *rest = text.encode()
            cut = [fragment(Opcode.CONTINUATION, bytes((byte,))) for byte in rest]
            await caller.line.send_all(fragment(Opcode.TEXT, bytes((first,))) + b"".join(cut))
            await caller.line.send_all(fragment(Opcode.CONTINUATION, ends=True))
            assert await wire.receive() == text
        wire.abort()


UNMASKED = b"\x82\x01x"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("said", "code", "initiator"),
    [(UNMASKED, 1002, "error"), (encode_frame(Opcode.BINARY, bytes(101), masked=True), 1009, "local")],
    ids=["not masked", "too long"],  # the masks of frames differ each time
)
@pytest.mark.parametrize("leaves", [True, False])
async def test_a_violation_is_answered(
    said: bytes, code: int, initiator: str, engine: str, leaves: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """By a Close that says so, once; then the peer has a moment to read it and to go, and no more than that."""
    async with called(engine, WireSettings(max_message_bytes=100)) as (wire, caller):
        await caller.line.send_all(said)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def read() -> None:
                heard = await caller.next()
                assert [each.code for each in heard if isinstance(each, Close)] == [code]
                if leaves:
                    await trio.sleep(LINGER_S / 4)
                    await caller.line.aclose()
                else:
                    assert await caller.rest() == []
                    assert code != 1002 or trio.current_time() == 0  # it hears at once that no more will come

            began_s = trio.current_time()
            closed = await end_of(wire)
            assert (closed.code, closed.initiator) == (code, initiator)
            assert trio.current_time() - began_s == pytest.approx(LINGER_S / 4 if leaves else LINGER_S)
        began_s = trio.current_time()
        for _ in range(2):
            assert (await end_of(wire)).code == code
            with pytest.raises(ConnectionClosed) as again:
                await wire.send("late")
            assert again.value.code == code
        assert trio.current_time() == began_s


@pytest.mark.parametrize("engine", ENGINES)
async def test_whoever_reads_is_told_when_the_goodbye_is_over(
    engine: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Not when it is begun: the peer goes on talking until it has read it, and none of that is received."""
    received_s = list[float]()
    async with called(engine) as (wire, caller), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            with pytest.raises(ConnectionClosed) as closed:
                await wire.receive()
            assert (closed.value.code, closed.value.reason, closed.value.initiator) == (4001, "enough", "local")
            received_s.append(trio.current_time())

        @nursery.start_soon
        async def talk() -> None:
            assert await caller.next() == [Close(4001, "enough")]
            for _ in range(3):
                await caller.say(Opcode.BINARY, b"late")
                await trio.sleep(1)
            await caller.line.send_all(encode_close(4001, "", masked=True))

        await trio.testing.wait_all_tasks_blocked()
        await wire.aclose(4001, "enough")
        assert trio.current_time() == 3
        await trio.testing.wait_all_tasks_blocked()
        assert received_s == [3]


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_goodbye_is_said_once(engine: str, autojump_clock: trio.testing.MockClock) -> None:
    """However often; and by the default engine, whose stream a second one would close, each is over with the first."""
    async with called(engine) as (wire, caller), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def answer() -> None:
            await trio.sleep(3)
            assert await caller.next() == [Close(4001, "first")]
            await caller.line.send_all(encode_close(4001, "", masked=True))
            assert await caller.rest() == []

        nursery.start_soon(wire.aclose, 4001, "first")
        await trio.testing.wait_all_tasks_blocked()
        await wire.aclose(4002, "second")
        assert trio.current_time() == (0 if engine == "direct" else 3)
        assert (await end_of(wire)).code == 4001


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("code", [999, 1005, 1015, 2999])
async def test_a_code_that_may_not_be_sent_is_a_mistake(engine: str, code: int) -> None:
    """The connection is as it was."""
    async with called(engine) as (wire, caller):
        with pytest.raises(LocalProtocolError, match=f"close code {code} cannot be sent"):
            await wire.aclose(code)
        await wire.send("still here")
        assert await caller.next() == ["still here"]
        wire.abort()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("reason", ["", "bye"])
async def test_a_peers_goodbye_is_answered(engine: str, reason: str, autojump_clock: trio.testing.MockClock) -> None:
    """With its code, or 1000 where it had none; what it said before is received first."""
    async with called(engine) as (wire, caller):
        await caller.say(Opcode.TEXT, b"last words")
        await caller.line.send_all(encode_close(4321, reason, masked=True))
        assert await wire.receive() == "last words"
        closed = await end_of(wire)
        assert (closed.code, closed.reason, closed.initiator) == (4321, reason, "remote")
        assert [each.code for each in await caller.rest() if isinstance(each, Close)] == [4321]


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_peer_that_goes_is_lost(engine: str, autojump_clock: trio.testing.MockClock) -> None:
    """What it said before is received first; then it is told again and again, at once."""
    async with called(engine) as (wire, caller):
        await caller.say(Opcode.TEXT, b"last words")
        await caller.line.aclose()
        assert await wire.receive() == "last words"
        for _ in range(2):
            closed = await end_of(wire)
            assert (closed.code, closed.initiator) == (1006, "error")
        await wire.aclose()
        assert trio.current_time() == 0


@pytest.mark.parametrize("engine", ENGINES)
async def test_whom_it_talks_to_can_be_seen(engine: str) -> None:
    """By its peer, and by what it shows of itself."""
    async with called(engine) as (wire, _):
        assert (wire.peer.address, wire.peer.port, wire.peer.path) == (*ADDRESS, "/")
        assert repr(wire).endswith(f"Wire with {wire.peer}>")
        wire.abort()


@pytest.mark.parametrize("engine", ENGINES)
async def test_an_abort_is_told_at_once(engine: str, autojump_clock: trio.testing.MockClock) -> None:
    """Nobody is given a moment."""
    async with called(engine) as (wire, _):
        wire.abort()
        closed = await end_of(wire)
        assert (closed.code, closed.reason, closed.initiator) == (1006, "aborted", "local")
        assert trio.current_time() == 0


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("offered", "chosen"), [(("a", "b"), "b"), (("a",), None), ((), None)])
async def test_a_subprotocol_is_agreed_on(engine: str, offered: tuple[str, ...], chosen: str | None) -> None:
    """The server's first that is offered, known at both ends."""
    near, far = lines()
    served: list[str | None] = []
    chosen_engine = engine_named(engine)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve() -> None:
            accepted = chosen_engine.accept(far.tcp, admit=everybody, subprotocols=("c", "b"), settings=WireSettings())
            async with accepted as wire:
                served.append(wire.peer.subprotocol)
                with pytest.raises(ConnectionClosed):
                    await wire.receive()

        connected = chosen_engine.connect(
            near.tcp, url="ws://host/", host="host", resource="/", subprotocols=offered, settings=WireSettings()
        )
        async with connected as wire:
            assert wire.peer.subprotocol == chosen
            await wire.aclose()
    assert served == [chosen]


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_comes_with_the_request_is_heard(engine: str) -> None:
    """At once: whole messages, and the beginning of one."""
    near, far = lines()
    first, second = (encode_frame(Opcode.TEXT, text, masked=True) for text in (b"first", b"second"))
    await near.send_all(REQUEST + first + second[:3])
    async with engine_named(engine).accept(far.tcp, admit=everybody, settings=WireSettings()) as wire:
        assert await wire.receive() == "first"
        await near.send_all(second[3:])
        assert await wire.receive() == "second"
        wire.abort()
    assert far.is_closed


@pytest.mark.parametrize("engine", ENGINES)
async def test_who_is_refused_is_answered_and_left(engine: str) -> None:
    """By the status and words that there are for it; and so is one that goes before it has asked."""

    async def nobody(_peer: Peer) -> Refusal | None:
        await trio.lowlevel.checkpoint()
        return Refusal(status=403, body="not you")

    near, far = lines()
    await near.send_all(REQUEST)
    near.shutdown(socket.SHUT_WR)
    with pytest.raises(HandshakeRejected) as rejected:
        async with engine_named(engine).accept(far.tcp, admit=nobody, settings=WireSettings()):
            pytest.fail("it must not be in use")
    answer = await near.receive_some()
    assert (rejected.value.status, rejected.value.body) == (403, b"not you")
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert answer.endswith(b"not you")
    assert far.is_closed
    near, far = lines()
    await near.send_all(REQUEST[:30])
    await near.aclose()
    with pytest.raises(ConnectionClosed) as closed:
        async with engine_named(engine).accept(far.tcp, admit=everybody, settings=WireSettings()):
            pytest.fail("it must not be in use")
    assert (closed.value.code, closed.value.initiator) == (1006, "error")
    assert far.is_closed
