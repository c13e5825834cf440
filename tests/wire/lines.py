"""Two streams joined in memory that have a socket, as far as a wire asks for one: engines without the network.

They are no ``trio.SocketStream``, so their bytes go by the stream, as those of TLS do.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast, final

import trio
from attrs import define, field
from trio.lowlevel import ParkingLot

from trio_transports.wire import Peer, Wire
from trio_transports.wire.engines import engine_named
from trio_transports.wire.refusal import Refusal
from trio_transports.wire.rfc6455 import Opcode, Parser, Received, encode_frame
from trio_transports.wire.settings import WireSettings
from trio_transports.wire.stream import TCPStream

ADDRESS: Final = ("192.0.2.7", 4711)
CAPACITY: Final = 64 * 1024


@final
@define(eq=False)
class Line(trio.abc.Stream):
    """One end; ``lines`` makes two. So many bytes may be under way before a sender waits."""

    other: "Line" = field(init=False, repr=False)
    name: object = ADDRESS
    """What ``getpeername`` gives, or raises."""
    number: int = field(default=7, init=False)
    """The descriptor's."""
    options: list[tuple[int, int]] = field(factory=list, init=False)
    """What was set of the socket."""
    is_closed: bool = field(default=False, init=False)
    is_shut: bool = field(default=False, init=False)
    """For writing."""
    might_not_block: int = field(default=0, init=False)
    """How often that was waited for."""
    _arrived: bytearray = field(factory=bytearray, init=False)
    _changed: ParkingLot = field(factory=ParkingLot, init=False)
    _is_reading: bool = field(default=False, init=False)

    @property
    def tcp(self) -> TCPStream:
        return cast(TCPStream, self)

    @property
    def socket(self) -> Any:  # noqa: ANN401 - as much of a socket as is used
        return self

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._is_reading:
            raise trio.BusyResourceError("another task is reading from this line")
        self._is_reading = True
        try:
            while not self._arrived and not self.is_closed and not self.other.is_shut:
                await self._changed.park()
        finally:
            self._is_reading = False
        if self.is_closed:
            raise trio.ClosedResourceError("this end was closed")
        data = bytes(self._arrived[:max_bytes])
        del self._arrived[:max_bytes]
        self.other._changed.unpark_all()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        for start in range(0, len(data), CAPACITY):
            while len(self.other._arrived) >= CAPACITY and not self.is_shut and not self.other.is_closed:
                await self._changed.park()
            if self.is_shut:
                raise trio.ClosedResourceError("this end was closed")
            if self.other.is_closed:
                raise trio.BrokenResourceError("the other end was closed")
            self.other._arrived += data[start : start + CAPACITY]
            self.other._changed.unpark_all()

    async def wait_send_all_might_not_block(self) -> None:
        self.might_not_block += 1
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    # Of the socket

    def getpeername(self) -> object:
        if isinstance(self.name, Exception):
            raise self.name
        return self.name

    def fileno(self) -> int:
        return self.number

    def setsockopt(self, level: int, option: int, _value: object) -> None:
        self.options.append((level, option))

    def shutdown(self, how: int) -> None:
        if how != socket.SHUT_RD:
            self.is_shut = True
            self.other._changed.unpark_all()

    def close(self) -> None:
        self.is_closed = self.is_shut = True
        self._changed.unpark_all()
        self.other._changed.unpark_all()


def lines() -> tuple[Line, Line]:
    """Both ends of a line."""
    near, far = Line(), Line()
    near.other, far.other = far, near
    return near, far


async def everybody(_peer: Peer) -> Refusal | None:
    return None


@asynccontextmanager
async def wires_on_lines(
    engine: str, *, client: WireSettings | None = None, server: WireSettings | None = None
) -> AsyncIterator[tuple[Wire, Wire, Line, Line]]:
    """A client's and a server's wire of one engine, connected; then the lines that they are on."""
    near, far = lines()
    made: dict[str, Wire] = {}
    done = trio.Event()
    chosen = engine_named(engine)
    async with trio.open_nursery() as nursery:

        async def serve(task_status: trio.TaskStatus[None]) -> None:
            async with chosen.accept(far.tcp, admit=everybody, settings=server or WireSettings()) as wire:
                made["server"] = wire
                task_status.started()
                await done.wait()

        async def connect(task_status: trio.TaskStatus[None]) -> None:
            async with chosen.connect(
                near.tcp, url="ws://host/", host="host", resource="/", settings=client or WireSettings()
            ) as wire:
                made["client"] = wire
                task_status.started()
                await done.wait()

        async with trio.open_nursery() as opening:
            opening.start_soon(nursery.start, serve)
            opening.start_soon(nursery.start, connect)
        try:
            yield made["client"], made["server"], near, far
        finally:
            done.set()


REQUEST: Final = (
    b"GET / HTTP/1.1\r\nHost: host\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@final
@define(eq=False)
class Caller:
    """The client of a server's wire, who is the test: it reads frames, and writes what it likes."""

    line: Line
    _parser: Parser = field(factory=lambda: Parser(from_client=False, max_message_bytes=1 << 20), init=False)

    async def ask(self) -> None:
        await self.line.send_all(REQUEST)
        await self.hear_answer()

    async def hear_answer(self) -> None:
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += await self.line.receive_some(1)

    async def say(self, opcode: Opcode, payload: bytes = b"") -> None:
        await self.line.send_all(encode_frame(opcode, payload, masked=True))

    async def next(self) -> list[Received]:
        """What comes next; nothing at the end."""
        while data := await self.line.receive_some():
            if heard := self._parser.feed(data):
                return heard
        return []

    async def rest(self) -> list[Received]:
        """What comes until the end."""
        heard = list[Received]()
        while more := await self.next():
            heard += more
        return heard


@asynccontextmanager
async def called(engine: str, settings: WireSettings | None = None) -> AsyncIterator[tuple[Wire, Caller]]:
    """A server's wire of that engine, and its caller, who has been let in."""
    near, far = lines()
    caller, is_in = Caller(near), trio.Event()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def ask() -> None:
            await caller.ask()
            is_in.set()

        wires = engine_named(engine).accept(far.tcp, admit=everybody, settings=settings or WireSettings())
        async with wires as wire:
            await is_in.wait()
            yield wire, caller
