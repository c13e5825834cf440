"""What one connection of a proxy reads, however much comes at once, and what its end says."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise

import pytest
import trio
import trio.testing

from tests.bus.proxies import JSON, data
from tests.bus.test_local_bus import Steps
from trio_transports.bus import BusMessage
from trio_transports.bus.outbox import Outbox
from trio_transports.bus.proxy.counters import ProxyCounters
from trio_transports.bus.proxy.link import Link, MalformedRow
from trio_transports.bus.proxy.writing import LinkWriter
from trio_transports.errors import ConnectionClosed
from trio_transports.wire import Peer

GOOD = JSON.encode(data("far", "near"))
UNKNOWN = b'{"__type__":"x.Strange","__data__":{}}'


class Bringing:
    """A wire that brings these messages, so many at once, and then has ended."""

    peer = Peer(address="memory")

    def __init__(self, *batches: Sequence[bytes]) -> None:
        self.batches = deque(batches)
        self.closed: list[tuple[int, str]] = []
        self.aborted = False

    async def receive_several(self) -> Sequence[bytes]:
        if not self.batches:
            raise ConnectionClosed(1001, "gone", initiator="remote")
        return self.batches.popleft()

    async def receive(self) -> bytes:
        raise AssertionError

    def send_now(self, message: bytes) -> bool | None:
        return True

    def send_several_now(self, messages: Sequence[bytes]) -> int:
        return len(messages)

    async def send(self, message: bytes) -> None: ...

    async def flushed(self) -> None: ...

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        self.closed.append((code, reason))

    def abort(self) -> None:
        self.aborted = True


async def nobody(message: BusMessage) -> None:
    raise AssertionError


def link(
    wire: Bringing,
    deliver: Callable[[BusMessage], bool],
    deliver_later: Callable[[BusMessage], Awaitable[None]] = nobody,
    most: int = 100,
) -> Link:
    outbox, counters = Outbox(), ProxyCounters()
    return Link(
        name="proxy",
        wire=wire,  # type: ignore[arg-type]
        serializer=JSON,
        outbox=outbox,
        counters=counters,
        deliver=deliver,
        deliver_later=deliver_later,
        close_timeout=2.0,
        malformed=MalformedRow(most),
        writer=LinkWriter(wire=wire, outbox=outbox, counters=counters, send_timeout=5.0),  # type: ignore[arg-type]
    )


async def test_others_have_their_turn_though_one_read_brings_much() -> None:
    """At each sixteenth message, over the reads, and no more often."""
    steps = Steps()
    trio.lowlevel.add_instrument(steps)
    at: list[int] = []

    def deliver(message: BusMessage) -> bool:
        at.append(steps.count)
        return True

    await link(Bringing([GOOD] * 40, [GOOD] * 10), deliver).run()
    went_on = [number for number, (before, now) in enumerate(pairwise(at), start=2) if now > before]
    assert went_on == [16, 32, 48]


async def test_what_cannot_be_delivered_now_is_before_the_next_is() -> None:
    log: list[str] = []

    def deliver(message: BusMessage) -> bool:
        log.append("now")
        return len(log) != 1

    async def deliver_later(message: BusMessage) -> None:
        await trio.lowlevel.checkpoint()
        log.append("later")

    await link(Bringing([GOOD] * 3), deliver, deliver_later).run()
    assert log == ["now", "later", "now", "now"]


async def test_a_link_ends_as_its_connection_did() -> None:
    """It says goodbye all the same, and leaves nothing open."""
    wire = Bringing()
    ended = link(wire, lambda message: True)
    await ended.run()
    assert ended.ending is not None
    assert (ended.ending.code, ended.ending.reason, ended.ending.initiator) == (1001, "gone", "remote")
    assert len(wire.closed) == 1
    assert wire.aborted


async def test_so_many_malformed_messages_in_a_row_end_a_link(caplog: pytest.LogCaptureFixture) -> None:
    """A good one begins the row anew, one that is not known does not, and breaks none; the first is logged."""
    wire = Bringing([b"bad", b"bad", GOOD, b"bad", UNKNOWN, b"bad", UNKNOWN, b"bad", GOOD])
    delivered: list[BusMessage] = []

    def deliver(message: BusMessage) -> bool:
        delivered.append(message)
        return True

    ended = link(wire, deliver, most=3)
    await ended.run()
    assert len(delivered) == 1
    assert (ended.counters.malformed, ended.counters.unknown) == (5, 2)
    assert ended.ending is not None
    assert (ended.ending.code, ended.ending.initiator) == (1008, "local")
    assert wire.closed == [(1008, "3 messages in a row could not be read")]
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage().startswith(f"proxy: {wire.peer} sent what cannot be read; more")


async def test_a_failure_of_its_own_is_raised_and_told_the_peer() -> None:
    def deliver(message: BusMessage) -> bool:
        raise ZeroDivisionError

    wire = Bringing([GOOD])
    ended = link(wire, deliver)
    with pytest.raises(ZeroDivisionError):
        await ended.run()
    assert wire.closed == [(1011, "the proxy failed")]
    assert ended.ending is not None
    assert ended.ending.initiator == "error"
