"""The contract of ``wire.Wire``, shown on any pair of connected wires."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

import trio
import trio.testing

from ..errors import ConnectionClosed
from ..wire.protocol import Batches, HandsOver, SendsNow, Wire

_LIMIT_S: Final = 10.0
_MAX_BYTES: Final = 4096


class MakePair(Protocol):
    """Open two connected wires; leaving the context closes both."""

    def __call__(self, *, max_message_bytes: int) -> AbstractAsyncContextManager[tuple[Wire, Wire]]: ...


async def check_wire(make_pair: MakePair) -> None:
    """Check both ends; an AssertionError names the rule of ``wire.protocol`` that does not hold."""
    for check in _CHECKS:
        for flipped in (False, True):
            with trio.fail_after(_LIMIT_S):
                async with make_pair(max_message_bytes=_MAX_BYTES) as (first, second):
                    near, far = (second, first) if flipped else (first, second)
                    await check(near, far)


async def _closed(action: Callable[[], Awaitable[object]], rule: str) -> ConnectionClosed:
    try:
        await action()
    except ConnectionClosed as closed:
        return closed
    raise AssertionError(rule)


async def _read_to_the_end(wire: Wire) -> tuple[list[str | bytes], ConnectionClosed]:
    messages: list[str | bytes] = []
    while True:
        try:
            messages.append(await wire.receive())
        except ConnectionClosed as closed:
            return messages, closed


async def _messages_arrive_whole_and_in_order(near: Wire, far: Wire) -> None:
    sent: list[str | bytes] = ["text", b"\x00\xff", "", b"", "äöü 🎧", bytes(range(256)) * 4]
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def write() -> None:
            for message in sent:
                await near.send(message)
            await near.send(bytearray(b"bytearray"))
            await near.send(memoryview(b"a memoryview"))

        got = [await far.receive() for _ in range(len(sent) + 2)]
    assert got == [*sent, b"bytearray", b"a memoryview"], (
        "rule 1 and 2: messages arrive whole, in order, with their type"
    )


async def _cancelled_receive_loses_nothing(near: Wire, far: Wire) -> None:
    got: list[str | bytes] = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def write() -> None:
            for number in range(50):
                await near.send(str(number))
                await trio.sleep(0.001)

        while len(got) < 50:
            with trio.move_on_after(0.0005):
                got.append(await far.receive())
    assert got == [str(number) for number in range(50)], "rule 1: cancelling receive loses nothing"


async def _closing_is_told_with_its_author(near: Wire, far: Wire) -> None:
    await near.send("last words")
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read_far() -> None:
            messages, closed = await _read_to_the_end(far)
            assert messages == ["last words"], "rule 1: what arrived before the end is read before the end is told"
            assert (closed.code, closed.reason, closed.initiator) == (4321, "bye", "remote"), f"rule 3: {closed!r}"

        @nursery.start_soon
        async def read_near() -> None:
            closed = await _closed(near.receive, "rule 3: a task in receive wakes when this side closes")
            assert (closed.code, closed.reason, closed.initiator) == (4321, "bye", "local"), f"rule 3: {closed!r}"

        await near.aclose(4321, "bye")
    await near.aclose(1000, "again")
    for wire in (near, far):
        again = await _closed(wire.receive, "rule 1: receive raises on every call after the end")
        assert again.code == 4321, "rule 3: a second aclose changes nothing"
        await _closed(lambda wire=wire: wire.send("too late"), "rule 2: send raises after the end")  # type: ignore[misc]


async def _abort_is_immediate(near: Wire, far: Wire) -> None:
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read_near() -> None:
            closed = await _closed(near.receive, "rule 4: a task in receive wakes on abort")
            assert closed.code == 1006, f"rule 4: {closed!r}"

        await trio.testing.wait_all_tasks_blocked(0.01)
        near.abort()
        near.abort()
    _, closed = await _read_to_the_end(far)
    assert (closed.code, closed.initiator) == (1006, "error"), f"rule 4: the peer sees a lost connection: {closed!r}"
    await _closed(lambda: near.send("too late"), "rule 2: send raises after abort")


async def _cancelled_send_aborts(near: Wire, far: Wire) -> None:
    with trio.move_on_after(0.5) as limit:
        while True:
            await near.send(bytes(_MAX_BYTES))
    assert limit.cancelled_caught, "rule 2: a peer that does not read holds the sender"
    closed = await _closed(lambda: near.send("never"), "rule 2: nothing may follow a cancelled send")
    assert closed.code == 1006
    messages, closed = await _read_to_the_end(far)
    assert all(message == bytes(_MAX_BYTES) for message in messages), "rule 2: half a message must not arrive"
    assert closed.code == 1006, f"rule 2: a cancelled send aborts: {closed!r}"


async def _too_big_is_1009(near: Wire, far: Wire) -> None:
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read_near() -> None:
            _, closed = await _read_to_the_end(near)
            assert (closed.code, closed.initiator) == (1009, "remote"), f"rule 6, sender: {closed!r}"

        await near.send(bytes(_MAX_BYTES))
        assert await far.receive() == bytes(_MAX_BYTES), "rule 6: a message of exactly the limit passes"
        try:
            await near.send(bytes(_MAX_BYTES + 1))
        except ConnectionClosed as exc:
            assert exc.code == 1009, f"rule 6, sender: {exc!r}"  # noqa: PT017
        messages, closed = await _read_to_the_end(far)
        assert messages == [], "rule 6: a message over the limit does not arrive"
        assert (closed.code, closed.initiator) == (1009, "local"), f"rule 6, receiver: {closed!r}"


def _fill(wire: SendsNow) -> tuple[int, bool | None]:
    """Write until the wire takes no more; return how many it took in whole, and what it said of the next."""
    for count in range(100_000):
        written = wire.send_now(bytes(_MAX_BYTES))
        if written is not True:
            return count, written
    raise AssertionError("send_now: a peer that does not read is felt")


async def _what_is_sent_now_arrives(near: Wire, far: Wire) -> None:
    if not isinstance(near, SendsNow) or near.send_now("first") is False:
        return  # over TLS nothing is written without waiting
    await near.send("second")
    assert near.send_now(b"third") is True, "send_now: it follows a send"
    count, last = _fill(near)
    begun = last is None
    assert near.send_now("never begun") is False or not begun, "send_now: nothing is written behind what was begun"
    got: list[str | bytes] = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            while len(got) < 3 + count + begun:
                got.append(await far.receive())

        await near.flushed()
    assert got[:3] == ["first", "second", b"third"], "send_now: in order with what is sent otherwise"
    assert got[3:] == [bytes(_MAX_BYTES)] * (count + begun), "flushed: all that was begun has arrived, whole and once"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_read_to_the_end, far)
        await near.aclose()
    await _closed(_sending_now(near), "send_now: it raises after the end")


async def _cancelled_flush_aborts(near: Wire, far: Wire) -> None:
    if not isinstance(near, SendsNow) or _fill(near)[1] is not None:
        return
    with trio.move_on_after(0.3) as limit:
        await near.flushed()
    assert limit.cancelled_caught, "flushed: it waits for a peer that does not read"
    closed = await _closed(lambda: near.send("never"), "flushed: cancelling it aborts")
    assert closed.code == 1006
    messages, _ = await _read_to_the_end(far)
    assert all(message == bytes(_MAX_BYTES) for message in messages), "flushed: half a message must not arrive"


async def _each_is_handed_over(near: Wire, far: Wire) -> None:
    if not isinstance(far, HandsOver):
        return
    got: list[str | bytes] = []
    wanted = [str(number) for number in range(60)]

    def take(message: str | bytes) -> bool:
        got.append(message)
        return len(got) % 7 == 0

    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def write() -> None:
            for number, message in enumerate(wanted):
                await near.send(message)
                if number % 3 == 0:
                    await trio.sleep(0.001)

        while len(got) < len(wanted):
            before = len(got)
            with trio.move_on_after(0.0005) as limit:
                await far.receive_each(take)
            if not limit.cancelled_caught:
                assert len(got) > before, "receive_each: it returns when take answers True"
                assert len(got) % 7 == 0, "receive_each: nothing is handed over after take has answered True"
    assert got == wanted, "receive_each: in order, and cancelling it loses nothing"

    def refuse(_message: str | bytes) -> bool:
        raise LookupError("of take")

    await near.send("refused")
    try:
        await far.receive_each(refuse)
    except LookupError:
        pass
    else:
        raise AssertionError("receive_each: what take raises is raised where it was called")
    await near.send("last words")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.aclose, 4321, "bye")
        got.clear()
        closed = await _closed(lambda: far.receive_each(take), "receive_each: it raises at the end")
    assert got == ["last words"], "receive_each: what arrived before the end is handed over before the end is told"
    assert (closed.code, closed.initiator) == (4321, "remote"), f"receive_each: {closed!r}"


async def _several_arrive_in_order(near: Wire, far: Wire) -> None:
    if not isinstance(near, Batches) or not isinstance(far, Batches):
        return
    said: list[str | bytes] = ["first", b"second", "third"]
    taken = near.send_several_now(said)
    assert 0 <= taken <= len(said), f"send_several_now: it says how many it took: {taken}"
    for message in said[taken:]:
        await near.send(message)
    got: list[str | bytes] = []
    while len(got) < len(said):
        several = await far.receive_several()
        assert several, "receive_several: it waits for one at least"
        got += several
    assert got == said, f"send_several_now: in order, whole and once: {got!r}"
    with trio.move_on_after(0.1) as limit:
        await far.receive_several()
    assert limit.cancelled_caught, "receive_several: it waits for what has not come"
    if taken == len(said):
        await _several_to_a_peer_that_does_not_read(near, far)
    near.abort()
    _, closed = await _read_to_the_end(far)
    again = await _closed(far.receive_several, "receive_several: it raises after the end")
    assert again.code == closed.code
    await _closed(_sending_several(near), "send_several_now: it raises after the end")


async def _several_to_a_peer_that_does_not_read(near: Batches, far: Batches) -> None:
    batch = [bytes((number,)) * _MAX_BYTES for number in range(16)]
    taken = total = 0
    for _ in range(100_000):
        taken = near.send_several_now(batch)
        total += taken
        if taken < len(batch):
            break
    assert taken < len(batch), "send_several_now: a peer that does not read is felt"
    assert near.send_several_now(batch) == 0, "send_several_now: nothing is written behind what was begun"
    got: list[str | bytes] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.flushed)
        while len(got) < total:
            got += await far.receive_several()
    assert got == [batch[number % 16] for number in range(total)], "send_several_now: what was taken arrives, once"


async def _several_with_one_too_big(near: Wire, far: Wire) -> None:
    """Rule 6 within a batch: what is before it comes, and none of what was taken is reported as not taken."""
    if not isinstance(near, Batches):
        return
    said: list[str | bytes] = ["before", bytes(_MAX_BYTES + 1), "behind"]
    taken = near.send_several_now(said)
    assert taken in (0, 2, 3), f"send_several_now: what is too big is taken too, and {taken} says that it is not"
    if taken:
        messages, closed = await _read_to_the_end(far)
        assert messages == ["before"], f"send_several_now: what is before one too big comes, and only that: {messages}"
        assert closed.code == 1009, f"rule 6, receiver: {closed!r}"


def _sending_several(wire: Batches) -> Callable[[], Awaitable[object]]:
    async def send() -> None:
        await trio.lowlevel.checkpoint()
        wire.send_several_now(["too", "late"])

    return send


def _sending_now(wire: SendsNow) -> Callable[[], Awaitable[object]]:
    async def send() -> None:
        await trio.lowlevel.checkpoint()
        wire.send_now("too late")

    return send


_CHECKS: Final = (
    _messages_arrive_whole_and_in_order,
    _cancelled_receive_loses_nothing,
    _closing_is_told_with_its_author,
    _abort_is_immediate,
    _cancelled_send_aborts,
    _too_big_is_1009,
    _several_with_one_too_big,
    _what_is_sent_now_arrives,
    _cancelled_flush_aborts,
    _each_is_handed_over,
    _several_arrive_in_order,
)
