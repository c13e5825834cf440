"""The provider's end of a call: says what a test has it say, plays what it hears, and writes everything down.

Rules
1. Audio is played in real time, one piece after the other, from when it came.
2. A mark is told back when all audio before it was played, or at once when that was cleared, as the providers do.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias
from urllib.parse import urlsplit

import trio
from attrs import define, field, frozen
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from tests.real.telephony.lines import Clear, Line, Mark, Message, Order, Packet

Condition: TypeAlias = Callable[["Phone"], object]


class GoneError(Exception):
    """The connection has ended, with this code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


@frozen
class Heard:
    at_s: float
    order: Order


@define(eq=False)
class Phone:
    """``tells_marks`` False: this provider never says what it has played. ``lag_s`` is how long it takes to say so."""

    line: Line
    _send: Callable[[Message], Awaitable[None]]
    _receive: Callable[[], Awaitable[Message]]
    close: Callable[[], Awaitable[None]]
    tells_marks: bool = True
    lag_s: float = 0.0
    heard: list[Heard] = field(factory=list, init=False)
    close_code: int | None = field(default=None, init=False)
    ended: trio.Event = field(factory=trio.Event, init=False)
    _plays_until_s: float = field(default=0.0, init=False)
    _cleared: trio.Event = field(factory=trio.Event, init=False)
    _more: trio.Condition = field(factory=trio.Condition, init=False)

    async def run(self) -> None:
        """Listen until the connection ends."""
        async with trio.open_nursery() as nursery:
            try:
                while True:
                    order = self.line.understand(await self._receive())
                    self.heard.append(Heard(trio.current_time(), order))
                    self._play(order, nursery)
                    async with self._more:
                        self._more.notify_all()
            except GoneError as gone:
                self.close_code = gone.code
            nursery.cancel_scope.cancel()
        self.ended.set()

    def _play(self, order: Order, nursery: trio.Nursery) -> None:
        now_s = trio.current_time()
        match order:
            case Packet(pcm=pcm):
                self._plays_until_s = max(now_s, self._plays_until_s) + len(pcm) / 2 / self.line.rate
            case Mark(name=name) if self.tells_marks:
                nursery.start_soon(self._tell_mark, name, self._plays_until_s, self._cleared)
            case Clear():
                self._plays_until_s = now_s
                self._cleared.set()
                self._cleared = trio.Event()

    async def _tell_mark(self, name: str, at_s: float, cleared: trio.Event) -> None:
        with trio.move_on_at(max(at_s, trio.current_time())):
            await cleared.wait()
        await trio.sleep(self.lag_s)
        with suppress(GoneError):
            await self.say(self.line.played(name))

    # What the caller does

    async def say(self, *messages: Message) -> None:
        for message in messages:
            await self._send(message)

    async def open(self) -> None:
        await self.say(*self.line.opening())

    async def speak(self, pcm: bytes) -> None:
        """Say all of it at once, in packets of 20 ms."""
        step = self.line.rate // 50 * 2
        for start in range(0, len(pcm), step):
            await self.say(self.line.voice(pcm[start : start + step]))

    async def stop(self) -> None:
        """Say that the call has ended, where the provider has words for that."""
        last_words = self.line.stop()
        if last_words is not None:
            await self.say(last_words)

    async def hang_up(self) -> None:
        await self.stop()
        await self.close()

    # What it heard

    async def until(self, condition: Condition) -> None:
        async with self._more:
            while not condition(self):
                await self._more.wait()

    def of(self, kind: type[Order]) -> list[Heard]:
        return [heard for heard in self.heard if isinstance(heard.order, kind)]

    @property
    def packets(self) -> list[Packet]:
        return [heard.order for heard in self.heard if isinstance(heard.order, Packet)]

    @property
    def pcm(self) -> bytes:
        return b"".join(packet.pcm for packet in self.packets)

    @property
    def packet_times_s(self) -> list[float]:
        return [heard.at_s for heard in self.of(Packet)]

    @property
    def marks(self) -> list[str]:
        """Those that the bot or a draining asked for, not those by which a session follows this phone's player."""
        names = [heard.order.name for heard in self.heard if isinstance(heard.order, Mark)]
        return [name for name in names if not name.startswith("trio-transports-at-")]

    @property
    def clears(self) -> list[Heard]:
        return self.of(Clear)

    def since(self, heard: Heard) -> list[Order]:
        """What came after that."""
        return [later.order for later in self.heard[self.heard.index(heard) + 1 :]]


def packets(count: int) -> Condition:
    return lambda phone: len(phone.packets) >= count


def cleared(phone: Phone) -> bool:
    return bool(phone.clears)


@asynccontextmanager
async def calling(
    url: str, line: Line, *, headers: Sequence[tuple[bytes, bytes]] = (), tells_marks: bool = True
) -> AsyncIterator[Phone]:
    """Call a server on loopback by a WebSocket client of somebody else's; nothing has been said yet.

    Leaving drops the connection without a word, unless ``hang_up`` was there first.
    """
    parts = urlsplit(url)
    assert parts.port is not None
    async with await trio.open_tcp_stream("127.0.0.1", parts.port) as stream, trio.open_nursery() as nursery:
        resource = parts.path + (f"?{parts.query}" if parts.query else "")
        websocket = await wrap_client_stream(nursery, stream, parts.netloc, resource, extra_headers=list(headers))
        phone = _phone(websocket, line, tells_marks=tells_marks)
        nursery.start_soon(phone.run)
        yield phone
        nursery.cancel_scope.cancel()


def _phone(websocket: WebSocketConnection, line: Line, *, tells_marks: bool) -> Phone:
    async def send(message: Message) -> None:
        try:
            await websocket.send_message(message)
        except ConnectionClosed as closed:
            raise GoneError(_code(closed)) from closed

    async def receive() -> Message:
        try:
            message: Message = await websocket.get_message()
        except ConnectionClosed as closed:
            raise GoneError(_code(closed)) from closed
        return message

    return Phone(line, send, receive, websocket.aclose, tells_marks)


def _code(closed: ConnectionClosed) -> int:
    return 1006 if closed.reason is None else closed.reason.code
