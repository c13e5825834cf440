"""The end of an ASGI wire: closing, aborting, and what is left behind when a server does not let go."""

import pytest
import trio
import trio.testing

from tests.wire.asgi_server import Server, accepted, closed_by, put_away
from trio_transports.errors import ConnectionClosed, LocalProtocolError


async def test_closing_waits_for_the_answer(autojump_clock: trio.testing.MockClock) -> None:
    """A close returns when the peer has answered; what comes before that is dropped, and a second call does nothing."""
    server = Server()
    wire = await accepted(server)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def answer() -> None:
            await trio.sleep(3)
            server.message("late")
            await trio.sleep(4)
            server.disconnect(1000)

        await wire.aclose(4000, "enough")
        assert trio.current_time() == pytest.approx(7)
    await wire.aclose(1000)
    assert server.sent[1:] == [{"type": "websocket.close", "code": 4000, "reason": "enough"}]
    closed = await closed_by(wire.receive)
    assert (closed.code, closed.reason, closed.initiator) == (4000, "enough", "local")


async def test_receive_stays_open_while_closing(autojump_clock: trio.testing.MockClock) -> None:
    """A receive that begins during aclose raises once the close is answered, not before: its caller would abort."""
    server = Server()
    wire = await accepted(server)
    ended_at: list[float] = []
    async with trio.open_nursery() as nursery:
        for receiver_is_first in (True, False):

            @nursery.start_soon
            async def read(delay_s: float = 0 if receiver_is_first else 2) -> None:
                await trio.sleep(delay_s)
                try:
                    await wire.receive()
                except (ConnectionClosed, LocalProtocolError):
                    ended_at.append(trio.current_time())

        await trio.sleep(1)
        nursery.start_soon(wire.aclose)
        await trio.sleep(4)
        server.disconnect(1000)
    assert ended_at == [pytest.approx(5)] * 2


async def test_closing_takes_over_from_a_receiver_that_leaves(autojump_clock: trio.testing.MockClock) -> None:
    """A close goes on reading where the task in receive is cancelled meanwhile."""
    server = Server()
    wire = await accepted(server)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            with trio.move_on_after(2):
                await wire.receive()

        await trio.sleep(1)
        nursery.start_soon(wire.aclose)
        await trio.sleep(4)
        server.message("late")
        server.disconnect(1000)
    assert (await closed_by(wire.receive)).initiator == "local"


async def test_cancelling_the_close_aborts(autojump_clock: trio.testing.MockClock) -> None:
    """A close that is not answered in the caller's time ends the wire."""
    server = Server()
    wire = await accepted(server)
    with trio.move_on_after(2) as limit:
        await wire.aclose(1001)
    assert limit.cancelled_caught
    closed = await closed_by(wire.receive)
    assert (closed.code, closed.initiator) == (1001, "local")
    await put_away(server)


async def test_an_unsendable_close_code_is_a_mistake() -> None:
    """1006 cannot be sent, and trying to leaves the wire as it is."""
    server = Server()
    wire = await accepted(server)
    with pytest.raises(LocalProtocolError, match="1006"):
        await wire.aclose(1006)
    await wire.send("still open")
    server.disconnect()
    await closed_by(wire.receive)


async def test_two_readers_are_a_mistake() -> None:
    """Only one task may receive."""
    server = Server()
    wire = await accepted(server)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(closed_by, wire.receive)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(LocalProtocolError, match="another task"):
            await wire.receive()
        server.disconnect()


async def test_a_write_that_cannot_be_cancelled_is_left_behind(autojump_clock: trio.testing.MockClock) -> None:
    """With a server whose send hangs and cannot be cancelled, the caller is free at its own deadline."""
    server = Server()
    wire = await accepted(server)
    server.stall()
    with trio.move_on_after(3) as limit:
        await wire.send("stuck")
    assert limit.cancelled_caught
    assert trio.current_time() == pytest.approx(3)
    assert (await closed_by(lambda: wire.send("never"))).code == 1006
    server.resume()
    await put_away(server)
    assert server.sent_kinds == ["accept", "send"]


async def test_abort_wakes_everybody(autojump_clock: trio.testing.MockClock) -> None:
    """An abort wakes the task in receive, the one in a stuck send, and the one in aclose behind it."""
    server = Server()
    wire = await accepted(server)
    server.stall()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(closed_by, wire.receive)
        nursery.start_soon(closed_by, lambda: wire.send("stuck"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(wire.aclose)
        await trio.testing.wait_all_tasks_blocked()
        wire.abort()
        wire.abort()
    server.resume()
    await put_away(server)


async def test_an_idle_wire_says_so_when_aborted(autojump_clock: trio.testing.MockClock) -> None:
    """Where no socket can be reached, abort has the server tell the peer, and reads on until the server is done."""
    server = Server()
    wire = await accepted(server)
    wire.abort()
    for _ in range(100):
        server.message("unread")
    await trio.testing.wait_all_tasks_blocked()
    assert server.sent[-1] == {"type": "websocket.close", "code": 1011, "reason": ""}
    assert server._take.statistics().current_buffer_used == 0
    await put_away(server)


async def test_nothing_is_left_behind_for_ever(autojump_clock: trio.testing.MockClock) -> None:
    """A server that never tells the end is given up after a minute."""
    server = Server()
    wire = await accepted(server)
    wire.abort()
    await trio.sleep(61)


@pytest.mark.parametrize("disconnect_is_first", [True, False])
async def test_an_end_that_comes_with_the_abort_is_not_waited_for(*, disconnect_is_first: bool) -> None:
    """Where the task in receive takes the server's last event while the wire is aborted, nothing waits for another."""
    server = Server()
    wire = await accepted(server)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(closed_by, wire.receive)
        await trio.testing.wait_all_tasks_blocked()
        if disconnect_is_first:
            server.disconnect()
            wire.abort()
        else:
            wire.abort()
            server.disconnect()
    await trio.testing.wait_all_tasks_blocked()


async def test_a_request_that_is_given_up_is_not_said_goodbye_to(autojump_clock: trio.testing.MockClock) -> None:
    """There is no connection yet; and where this side has said goodbye already, it says no other."""
    server = Server()
    server.wire().abort()
    await trio.testing.wait_all_tasks_blocked()
    assert server.sent == []
    await put_away(server)
    server = Server()
    wire = await accepted(server)
    with trio.move_on_after(1):
        await wire.aclose(4000)
    await trio.testing.wait_all_tasks_blocked()
    assert [event["code"] for event in server.sent if event["type"] == "websocket.close"] == [4000]
    await put_away(server)
