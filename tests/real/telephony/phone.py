"""A scripted phone as these tests look at it: by the orders it was given, each with its time."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

from attrs import define, frozen

from trio_transports import AudioFrame
from trio_transports.serializers import Message
from trio_transports.testing import ScriptedPhone, phone_at
from trio_transports.testing.phones import ClearOrder, Order, PlayOrder, ScriptedLine, line_named
from trio_transports.wire.protocol import Wire

Condition: TypeAlias = Callable[["Phone"], object]
PACKET_S = {"exotel": 0.1, "genesys": 0.2}
"""How long the packets are that a bot sends on a line; 20 ms where nothing is said."""


def caller(name: str, **changes: object) -> ScriptedLine:
    """One caller of one provider."""
    line = line_named(name, **changes)
    assert isinstance(line, ScriptedLine)
    return line


def packet_s(line: ScriptedLine) -> float:
    return PACKET_S.get(line.name, 0.02)


def packet_bytes(line: ScriptedLine) -> int:
    """How many bytes a packet of the bot's carries."""
    return round((2 if line.code == "L16" else 1) * line.rate * packet_s(line))


@frozen
class Given:
    """An order, and when it came."""

    at_s: float
    order: Order


@define(eq=False)
class Phone:
    """What it does is the scripted phone's; here are only the questions."""

    scripted: ScriptedPhone

    @classmethod
    def on(cls, wire: Wire, line: ScriptedLine) -> "Phone":
        return cls(ScriptedPhone(line.fresh(), wire))

    @property
    def line(self) -> ScriptedLine:
        assert isinstance(self.scripted.line, ScriptedLine)
        return self.scripted.line

    async def open(self) -> None:
        await self.scripted.call()

    async def speak(self, pcm: bytes) -> None:
        """Say all of it at once, in packets of 20 ms."""
        await self.scripted.speak(AudioFrame(audio=pcm, sample_rate=self.line.rate), at_once=True)

    async def say(self, *messages: Message | None) -> None:
        for message in messages:
            assert message is not None
            await self.scripted.send(message)

    async def until(self, condition: Condition) -> None:
        await self.scripted.until(lambda _: condition(self))

    @property
    def heard(self) -> list[Given]:
        return [Given(at_s, order) for at_s, order in self.scripted.orders]

    def of(self, kind: type[Order]) -> list[Given]:
        return [given for given in self.heard if isinstance(given.order, kind)]

    @property
    def packets(self) -> list[PlayOrder]:
        return self.scripted.packets

    @property
    def pcm(self) -> bytes:
        return b"".join(packet.pcm for packet in self.packets)

    @property
    def packet_times_s(self) -> list[float]:
        return [given.at_s for given in self.of(PlayOrder)]

    @property
    def marks(self) -> list[str]:
        return self.scripted.marks

    @property
    def clears(self) -> list[Given]:
        return self.of(ClearOrder)

    @property
    def close_code(self) -> int | None:
        return None if self.scripted.closed is None else self.scripted.closed.code

    def since(self, given: Given) -> list[Order]:
        """What came after that."""
        return [later.order for later in self.heard[self.heard.index(given) + 1 :]]


def packets(count: int) -> Condition:
    return lambda phone: len(phone.packets) >= count


def cleared(phone: Phone) -> bool:
    return bool(phone.clears)


@asynccontextmanager
async def calling(
    url: str,
    line: ScriptedLine,
    *,
    headers: Sequence[tuple[bytes, bytes]] = (),
    tells_marks: bool = True,
) -> AsyncIterator[Phone]:
    """Call a server on loopback; nothing has been said yet, and leaving drops the connection without a word."""
    shown: Mapping[str, str] = {name.decode(): value.decode() for name, value in headers}
    async with phone_at(url, line.fresh(), headers=shown, tells_marks=tells_marks) as scripted:
        yield Phone(scripted)
