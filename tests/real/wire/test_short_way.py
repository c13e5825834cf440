"""The way past the default engine: whatever a peer sends, it ends as on the engine's own way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tests.real.wire.engines import everybody, stream_pair
from tests.real.wire.test_direct import REQUEST
from trio_transports import ConnectionClosed
from trio_transports.wire.engines import engine_named
from trio_transports.wire.rfc6455 import MAX_EMPTY_FRAGMENTS, Close, Opcode, Parser, Pong, encode_close, encode_frame
from trio_transports.wire.settings import WireSettings
from trio_transports.wire.stream import TCPStream
from trio_transports.wire.trio_websocket import TrioWebsocketWire
from trio_transports.wire.wakes import shared_wakes

QUIET = WireSettings(max_message_bytes=4096, ping_interval_s=None)


def framed(opcode: Opcode, payload: bytes, *, first: int | None = None) -> bytes:
    """A client's frame; ``first`` is its first byte, where that is to be another."""
    frame = encode_frame(opcode, payload, masked=True)
    return frame if first is None else bytes((first,)) + frame[1:]


WHOLE = framed(Opcode.TEXT, "first ä".encode()) + framed(Opcode.BINARY, bytes(300))
CLOSE = encode_close(4321, "bye", masked=True)
SAID = {
    "whole messages": WHOLE + framed(Opcode.TEXT, b"") + CLOSE,
    "pings between": WHOLE + framed(Opcode.PING, b"there?") + WHOLE + framed(Opcode.PONG, b"unasked") + WHOLE + CLOSE,
    "large ones": framed(Opcode.BINARY, bytes(4096)) * 5 + CLOSE,
    "fragments": WHOLE
    + framed(Opcode.TEXT, b"in ", first=0x01)
    + framed(Opcode.PING, b"amid")
    + framed(Opcode.CONTINUATION, b"parts")
    + WHOLE
    + CLOSE,
    "empty fragments": WHOLE
    + framed(Opcode.TEXT, b"", first=0x01)
    + framed(Opcode.CONTINUATION, b"", first=0x00) * (MAX_EMPTY_FRAGMENTS + 10),
    "too large": WHOLE + framed(Opcode.BINARY, bytes(4097)) + WHOLE,
    "no text": WHOLE + framed(Opcode.TEXT, b"\xff\xfe") + WHOLE,
    "a reserved bit": WHOLE + framed(Opcode.TEXT, b"x", first=0xC1) + WHOLE,
    "an unknown opcode": WHOLE + framed(Opcode.TEXT, b"x", first=0x83) + WHOLE,
    "unmasked": WHOLE + encode_frame(Opcode.TEXT, b"x", masked=False) + WHOLE,
    "a length written too long": WHOLE + b"\x82\xfe\x00\x01" + bytes(4) + b"x" + WHOLE,
    "a close without a code": WHOLE + framed(Opcode.CLOSE, b"") + WHOLE,
    "a close that may not be sent": WHOLE + framed(Opcode.CLOSE, (1005).to_bytes(2, "big")),
    "a long ping": WHOLE + framed(Opcode.PING, bytes(126)) + WHOLE,
    "cut off": WHOLE + framed(Opcode.BINARY, bytes(1000))[:500],
}


@asynccontextmanager
async def server_wire(is_short: bool) -> AsyncIterator[tuple[TrioWebsocketWire, TCPStream]]:
    async with (
        shared_wakes(is_short) as wakes,
        stream_pair() as (near, far),
        trio.open_nursery() as nursery,
    ):
        done = trio.Event()
        wires: list[TrioWebsocketWire] = []

        async def serve(task_status: trio.TaskStatus[None]) -> None:
            async with engine_named("trio-websocket").accept(far, admit=everybody, settings=QUIET, wakes=wakes) as wire:
                assert isinstance(wire, TrioWebsocketWire)
                wires.append(wire)
                task_status.started()
                await done.wait()

        async with trio.open_nursery() as opening:
            opening.start_soon(nursery.start, serve)
            await near.send_all(REQUEST)
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                answer += await near.receive_some(1)
        yield wires[0], near
        done.set()


async def outcome(said: bytes, piece: int, is_short: bool) -> tuple[list[str | bytes], int, str, list[object]]:
    """What is received, how it ends, and what the peer is told of it."""
    answers: list[object] = []
    async with server_wire(is_short) as (wire, peer):
        messages: list[str | bytes] = []

        async def say() -> None:
            parser = Parser(from_client=False, max_message_bytes=1 << 20)
            try:
                for start in range(0, len(said), piece):
                    await peer.send_all(said[start : start + piece])
                await peer.send_eof()
                while data := await peer.receive_some():
                    answers.extend(parser.feed(bytes(data)))
            except trio.BrokenResourceError:
                pass

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(say)
                try:
                    while True:
                        messages.append(await wire.receive())
                except ConnectionClosed as closed:
                    ending = closed
                wire.abort()
    return messages, ending.code, ending.initiator, answers


@pytest.mark.parametrize("piece", [7, 1000, 1 << 20])
@pytest.mark.parametrize("kind", SAID)
async def test_it_ends_as_on_the_engines_own_way(kind: str, piece: int) -> None:
    """Messages, their order, the code, who ended it and what the peer hears are the same on both ways."""
    short, long = [await outcome(SAID[kind], piece, is_short) for is_short in (True, False)]
    assert short[:3] == long[:3]
    assert kind != "empty fragments" or short[1:3] == (1008, "error")
    assert pongs_in(short[3]) == pongs_in(long[3])


def pongs_in(answers: list[object]) -> int:
    return sum(isinstance(answer, Pong) for answer in answers)


def goes_past(wire: TrioWebsocketWire) -> bool:
    return wire._short is not None and wire._short.is_open


async def test_fragments_leave_the_short_way() -> None:
    """Ordinary messages go past the engine, with pings between; from the first fragment on it has all."""
    async with server_wire(True) as (wire, peer):
        await peer.send_all(WHOLE + framed(Opcode.PING, b"there?"))
        with trio.fail_after(30):
            assert [await wire.receive() for _ in range(2)] == ["first ä", bytes(300)]
            assert await peer.receive_some() == encode_frame(Opcode.PONG, b"there?", masked=False)
        assert goes_past(wire)
        await peer.send_all(framed(Opcode.TEXT, b"in ", first=0x01) + framed(Opcode.CONTINUATION, b"parts") + WHOLE)
        with trio.fail_after(30):
            assert [await wire.receive() for _ in range(3)] == ["in parts", "first ä", bytes(300)]
        assert not goes_past(wire)
        assert wire.send_now("still at once") is True
        with trio.fail_after(30):
            assert await peer.receive_some() == encode_frame(Opcode.TEXT, b"still at once", masked=False)


async def test_pings_are_answered_once_no_message_waits() -> None:
    """Who has received all that came need not receive again for its peer's pings to be answered."""
    async with server_wire(True) as (wire, peer):
        for _ in range(2):
            await peer.send_all(WHOLE)
            await trio.testing.wait_all_tasks_blocked(0.01)
            with trio.fail_after(30):
                assert [await wire.receive() for _ in range(2)] == ["first ä", bytes(300)]
                await peer.send_all(framed(Opcode.PING, b"there?"))
                assert await peer.receive_some() == encode_frame(Opcode.PONG, b"there?", masked=False)
        assert goes_past(wire)


async def test_what_a_cancelled_receiver_raised_is_not_raised_by_the_next() -> None:
    """A receiver that fails and is cancelled at once takes its error with it."""
    async with server_wire(True) as (wire, peer):

        async def say_once_it_is_read(text: str) -> None:
            await trio.testing.wait_all_tasks_blocked(0.01)
            await peer.send_all(framed(Opcode.TEXT, text.encode()))

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(say_once_it_is_read, "one")
                with trio.CancelScope() as scope:

                    def fail(_message: str | bytes) -> bool:
                        scope.cancel()
                        raise LookupError("of the first")

                    await wire.receive_each(fail)
                assert scope.cancelled_caught
            async with trio.open_nursery() as nursery:
                nursery.start_soon(say_once_it_is_read, "two")
                assert await wire.receive() == "two"


async def test_a_goodbye_that_crosses_a_ping_and_the_beginning_of_a_message_is_answered() -> None:
    """What was read of the next message goes to whoever hears the peer out: the goodbye is over with its answer."""
    frame = framed(Opcode.BINARY, bytes(900))

    async def answer_the_goodbye(peer: TCPStream) -> None:
        parser = Parser(from_client=False, max_message_bytes=4096)
        while data := await peer.receive_some():
            for said in parser.feed(bytes(data)):
                if isinstance(said, Close):
                    await peer.send_all(frame[400:] + encode_close(said.code, "", masked=True))

    for _ in range(12):  # which task goes first is up to trio
        async with server_wire(True) as (wire, peer):
            with trio.fail_after(30):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(answer_the_goodbye, peer)
                    await peer.send_all(framed(Opcode.PING, b"there?") + frame[:400])
                    assert wire._short is not None
                    while not wire._short.incoming._rest:
                        await trio.lowlevel.checkpoint()
                    await wire.aclose(1000, "bye")
