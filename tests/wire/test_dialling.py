"""The dialling room: how a lost connection is dialled again, and when that is given up."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock

from trio_transports import ConnectionClosed, HandshakeRejected, ReconnectPolicy, TransportError
from trio_transports.testing import memory_wire_pair
from trio_transports.wire import Wire
from trio_transports.wire.dialling import Attempts, Redialler, is_final

POLICY = ReconnectPolicy(max_attempts=3, initial_delay=1, multiplier=2, jitter=0)


@define(eq=False)
class Server:
    """Answers each dial as planned: None is a connection, an error is raised."""

    plan: Iterator[TransportError | None]
    told: list[tuple[int, float, str]] = field(factory=list)
    opened: int = 0
    closed: int = 0

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Wire]:
        await trio.lowlevel.checkpoint()
        answer = next(self.plan)
        if answer is not None:
            raise answer
        self.opened += 1
        near, _ = memory_wire_pair()
        try:
            yield near
        finally:
            self.closed += 1

    def tell(self, attempt: int, delay_s: float, cause: Exception) -> None:
        self.told.append((attempt, delay_s, str(cause)))

    def redialler(self, policy: ReconnectPolicy = POLICY) -> Redialler:
        return Redialler(self.connect, Attempts(policy, "ws://host/"), self.tell)


def lost(number: int) -> ConnectionClosed:
    return ConnectionClosed(1012, f"loss {number}")


@pytest.mark.parametrize("losses", [1, 2, 3, 5])
async def test_each_loss_has_a_connection_of_its_own(autojump_clock: MockClock, losses: int) -> None:
    """One object dials again after every loss; each connection is closed when its body ends."""
    server = Server(iter([None] * losses))
    redialler = server.redialler()
    for number in range(losses):
        async with redialler.redial(lost(number)):
            assert (server.opened, server.closed) == (number + 1, number)
            await trio.sleep(5)
    assert server.closed == losses
    assert [(attempt, delay_s) for attempt, delay_s, _ in server.told] == [(1, 1)] * losses
    assert "loss 0" in server.told[0][2]


async def test_failures_and_short_connections_count_alike(autojump_clock: MockClock) -> None:
    """Neither a refusal nor a connection that dropped at once starts the attempts anew."""
    busy = HandshakeRejected(503)
    server = Server(iter([busy, None, None]))
    redialler = server.redialler()
    async with redialler.redial(lost(0)):
        pass
    async with redialler.redial(lost(1)):
        await trio.sleep(4.9)
    with pytest.raises(TransportError, match=r"gave up after 3 attempts to connect to ws://host/: .*loss 2"):
        async with redialler.redial(lost(2)):
            pytest.fail("must not connect")
    assert [(attempt, delay_s) for attempt, delay_s, _ in server.told] == [(1, 1), (2, 2), (3, 4)]
    assert trio.current_time() == pytest.approx(1 + 2 + 4 + 4.9)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 499])
async def test_a_refusal_for_good_is_not_asked_again(autojump_clock: MockClock, status: int) -> None:
    """The server's no is the error, after one attempt, twice the same."""
    for _ in range(2):
        server = Server(iter([HandshakeRejected(status)]))
        with pytest.raises(HandshakeRejected):
            async with server.redialler().redial(lost(0)):
                pytest.fail("must not connect")
        assert len(server.told) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_what_is_not_final(status: int) -> None:
    """A status that asks to come again, and a server in trouble, are tried again."""
    assert not is_final(HandshakeRejected(status))
    assert not is_final(TransportError("cannot connect"))


async def test_what_goes_wrong_in_the_body_is_not_dialled_again(autojump_clock: MockClock) -> None:
    """An error while there was a connection comes out as it is."""
    server = Server(iter([None]))
    with pytest.raises(TransportError, match="mine"):
        async with server.redialler().redial(lost(0)):
            raise TransportError("mine")
    assert (server.opened, server.closed) == (1, 1)


async def test_cancelled_while_waiting(autojump_clock: MockClock) -> None:
    """A cancellation during the delay opens nothing, and the next call counts on."""
    server = Server(iter([None]))
    redialler = server.redialler()
    with trio.move_on_after(0.5):
        async with redialler.redial(lost(0)):
            pytest.fail("must not connect")
    assert server.opened == 0
    async with redialler.redial(lost(1)):
        assert server.told[-1][0] == 2
