"""What waits for one run of the app."""

from typing import Any

import trio
import trio.testing

from trio_transports.hosting.app_queue import AppQueue


def event(number: int) -> dict[str, Any]:
    return {"type": "websocket.receive", "text": str(number)}


GONE = {"type": "websocket.disconnect", "code": 1006}


async def test_events_keep_their_order(autojump_clock: trio.testing.MockClock) -> None:
    """Events come out as they went in, however often receiving them is cancelled."""
    queue = AppQueue(3)
    got: list[str] = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def put() -> None:
            for number in range(100):
                await queue.put(event(number))
                await trio.sleep(0.01)
            queue.disconnect(GONE)

        while len(got) < 100:
            with trio.move_on_after(0.003):
                got.append((await queue.receive())["text"])
    assert got == [str(number) for number in range(100)]


async def test_a_full_queue_holds_its_writer(autojump_clock: trio.testing.MockClock) -> None:
    """Putting into a full queue waits for room."""
    queue = AppQueue(2)
    for number in range(2):
        await queue.put(event(number))
    with trio.move_on_after(1) as limit:
        await queue.put(event(2))
    assert limit.cancelled_caught
    await queue.receive()
    await queue.put(event(3))


async def test_each_goes_on_when_there_is_something_for_it(autojump_clock: trio.testing.MockClock) -> None:
    """Who waits for an event when one is put, and who waits for room when one is received: twice, one at a time."""
    queue = AppQueue(1)
    did: list[str] = []

    async def receive() -> None:
        did.append((await queue.receive())["text"])

    async def put(number: int) -> None:
        await queue.put(event(number))
        did.append(f"put {number}")

    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.deadline = 1
        for _ in range(2):
            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
        for number in range(2):
            await queue.put(event(number))
            await trio.testing.wait_all_tasks_blocked()
            assert did == ["0", "1"][: number + 1]
        did.clear()
        for number in range(3):
            nursery.start_soon(put, number)
            await trio.testing.wait_all_tasks_blocked()
        assert did == ["put 0"]
        for number in range(3):
            await receive()
            await trio.testing.wait_all_tasks_blocked()
            assert sorted(did) == sorted([*"012"[: number + 1], *["put 0", "put 1", "put 2"][: number + 2]])
    assert trio.current_time() == 0


async def test_the_end_needs_no_room(autojump_clock: trio.testing.MockClock) -> None:
    """The disconnect is put at once, comes after what was queued, is given for ever, and frees a waiting writer."""
    queue = AppQueue(1)
    await queue.put(event(0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.put, event(1))
        await trio.testing.wait_all_tasks_blocked()
        queue.disconnect(GONE)
        queue.disconnect({"type": "websocket.disconnect", "code": 1000})
    assert [await queue.receive() for _ in range(3)] == [event(0), GONE, GONE]


async def test_an_app_that_has_returned_holds_nobody(autojump_clock: trio.testing.MockClock) -> None:
    """Once the app has returned, putting never waits."""
    queue = AppQueue(1)
    await queue.put(event(0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.put, event(1))
        await trio.testing.wait_all_tasks_blocked()
        queue.app_returned()
    for number in range(10):
        await queue.put(event(number))


async def test_receiving_is_a_checkpoint() -> None:
    """A receive that need not wait lets others run, and can be cancelled."""
    queue = AppQueue(1)
    queue.disconnect(GONE)
    with trio.testing.assert_checkpoints():
        await queue.receive()
    with trio.CancelScope() as scope:
        scope.cancel()
        await queue.receive()
    assert scope.cancelled_caught


async def test_a_message_of_the_short_way_is_an_event_too() -> None:
    """Text and bytes are given as ASGI's events where the app asks for them in ASGI's way."""
    queue = AppQueue(1)
    queue.put_messages(["text", b"bytes"])
    assert await queue.receive() == {"type": "websocket.receive", "bytes": None, "text": "text"}
    assert await queue.receive() == {"type": "websocket.receive", "bytes": b"bytes", "text": None}


async def test_what_was_read_itself_is_taken_in_order() -> None:
    """A message of ASGI's way as well, unless it may be too long; all else is left to ``receive``."""
    queue = AppQueue(9)
    queue.max_message_bytes = 12
    assert (queue.has_something, queue.take_message()) == (False, None)
    queue.put_messages(["far too long for the limit", b"b"])
    for text in ("abc", "abcd"):
        await queue.put({"type": "websocket.receive", "bytes": None, "text": text})
    for size in (12, 13):
        await queue.put({"type": "websocket.receive", "bytes": bytes(size), "text": None})
        if size == 12:
            assert [queue.take_message() for _ in range(3)] == ["far too long for the limit", b"b", "abc"]
            assert queue.take_message() is None  # four characters may be sixteen bytes
            assert (await queue.receive())["text"] == "abcd"
    assert queue.take_message() == bytes(12)
    for _ in range(2):
        assert (queue.take_message(), queue.has_something) == (None, True)
    assert len((await queue.receive())["bytes"]) == 13
    queue.disconnect(GONE)
    assert (queue.take_message(), queue.has_something) == (None, True)
    queue.put_messages(["late"])
    assert await queue.receive() == GONE


async def test_taking_a_message_makes_room(autojump_clock: trio.testing.MockClock) -> None:
    queue = AppQueue(1)
    await queue.put(event(0) | {"bytes": None})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.put, event(1) | {"bytes": None})
        await trio.testing.wait_all_tasks_blocked()
        assert queue.take_message() == "0"
    assert queue.take_message() == "1"


async def test_who_waits_is_woken(autojump_clock: trio.testing.MockClock) -> None:
    """By as many messages as come, each once, by being woken, and by the end; who asks is known meanwhile."""
    queue = AppQueue(9)
    asked: list[bool] = []
    queue.on_receive = lambda: asked.append(queue.is_asked)
    got: list[object] = []

    async def receive() -> None:
        got.append((await queue.receive())["text"])

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        assert queue.is_asked
        queue.put_messages(["a", "b"])
        await trio.testing.wait_all_tasks_blocked()
        assert (sorted(map(str, got)), queue.is_asked) == (["a", "b"], True)
        queue.put_messages(["c"])
    assert (len(got), queue.is_asked) == (3, False)
    assert asked[0] is False
    for wake in (queue.wake, lambda: queue.disconnect(GONE)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(queue.wait)
            await trio.testing.wait_all_tasks_blocked()
            wake()
