"""What a bus over Redis counts and tells, without a server: its parts are given what one would send."""

from collections.abc import Awaitable
from typing import Any, cast

import trio
from attrs import define, field
from trio.testing import MockClock

from tests.tools import requires_module
from trio_transports.bus import BusDataMessage, JSONMessageSerializer
from trio_transports.bus.outbox import Waiting
from trio_transports.session.broadcast import EventsLost
from trio_transports.session.sizes import MAX_EVENT_BYTES

requires_module("coredis", extra="redis")

from trio_transports.bus.redis import RedisBus, StoringPaused  # noqa: E402
from trio_transports.bus.redis.connection import RedisConnection, RedisError  # noqa: E402


@define(eq=False)
class Choosy:
    """A server that refuses each second command."""

    commands: int = field(default=0, init=False)

    def request(self, *_command: object) -> Awaitable[Any]:
        self.commands += 1
        return self._reply(is_refused=not self.commands % 2)

    async def _reply(self, *, is_refused: bool) -> int:
        await trio.lowlevel.checkpoint()
        if is_refused:
            raise RedisError("NOPERM this user has no permissions to run the 'publish' command")
        return 1


async def test_what_a_server_refuses_is_counted(autojump_clock: MockClock) -> None:
    """One by one, and what is published beside them too: a refusal costs its own message only."""
    bus, server = RedisBus(), Choosy()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus._writer.use, cast(RedisConnection, server))
        for turn in (1, 2, 3):
            for _ in range(4):
                bus._writer.publish(Waiting(b"{}", False, 0.0, trio.current_time()))
            await trio.testing.wait_all_tasks_blocked()
            counted = bus.statistics()
            assert (counted.published, counted.refused, counted.waiting) == (2 * turn, 2 * turn, 0)
        nursery.cancel_scope.cancel()


def test_what_others_say_is_counted_once_read() -> None:
    """A message that can be read was received; one that cannot, or is of no known kind, was not."""
    bus = RedisBus()
    good = JSONMessageSerializer().encode(BusDataMessage(source="s", id=1))
    for turn in (1, 2):
        for data in (good, b"no JSON", good, b'{"__type__":"os.system","__data__":{}}'):
            bus._incoming.decode(data)
        counted = bus.statistics()
        assert (counted.received, counted.malformed, counted.unknown) == (2 * turn, turn, turn)


async def test_what_it_tells_is_bounded_in_bytes() -> None:
    """A server's words may be long: a subscriber that does not read keeps a megabyte of them, and is told the rest."""
    bus = RedisBus()
    events = bus.events()
    for _ in range(2):
        for number in range(100):
            bus._tell_pause(f"{number} {'x' * 50_000}")
        lost = await events.receive()
        assert isinstance(lost, EventsLost)
        kept = 100 - lost.count
        assert 0.9 * MAX_EVENT_BYTES < kept * 50_000 <= MAX_EVENT_BYTES
        for number in range(lost.count, 100):
            event = await events.receive()
            assert isinstance(event, StoringPaused)
            assert event.reason.startswith(f"{number} ")
