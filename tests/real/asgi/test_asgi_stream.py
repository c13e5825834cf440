"""The guarded stream: what a write that is not taken does to it."""

import os
import select
import socket
import threading
import time

import pytest
import trio
import trio.testing

from trio_transports.wire.sockets import reset_socket
from trio_transports.wire.stream import OwnedStream


def guarding(stream: trio.SocketStream, write_timeout_s: float) -> OwnedStream:
    guarded = OwnedStream(stream, write_timeout_s=write_timeout_s)
    guarded.opened()
    return guarded


async def sockets() -> tuple[trio.SocketStream, trio.SocketStream]:
    async with (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0] as listener:
        near = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        return near, await listener.accept()


async def read_to_end(stream: trio.SocketStream) -> None:
    while await stream.receive_some():
        pass


async def test_a_slow_peer_is_not_a_stalled_one() -> None:
    """A peer that goes on reading gets everything, though all of it takes longer than the write timeout."""
    near, far = await sockets()
    guarded = guarding(near, 3)
    size = 8 * 1024 * 1024
    async with far, guarded, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def write() -> None:
            await guarded.send_all(memoryview(bytes(size)))
            guarded.shut_writing()

        got = 0
        began = trio.current_time()
        while data := await far.receive_some(65536):
            got += len(data)
            await trio.sleep(0.03)
    assert got == size
    assert trio.current_time() - began > 3


async def test_a_stalled_write_resets_the_connection() -> None:
    """A peer that reads nothing for the write timeout is reset: its own reads fail, and the socket is gone."""
    near, far = await sockets()
    guarded = guarding(near, 0.2)
    async with far:
        with pytest.raises(trio.BrokenResourceError, match=r"did not read for 0\.2 s"):
            await guarded.send_all(bytes(64 * 1024 * 1024))
        assert guarded.socket.fileno() == -1
        with pytest.raises(trio.BrokenResourceError):
            await read_to_end(far)


async def test_a_cancelled_write_resets_the_connection() -> None:
    """A write that is cancelled midway resets the connection at once."""
    near, far = await sockets()
    guarded = guarding(near, 60)
    async with far:
        with trio.move_on_after(0.2) as limit:
            await guarded.send_all(bytes(64 * 1024 * 1024))
        assert limit.cancelled_caught
        assert guarded.socket.fileno() == -1


async def test_an_abort_wakes_reader_and_writer() -> None:
    """Aborting wakes the tasks inside a read and a write; a second abort does nothing."""
    near, far = await sockets()
    guarded = guarding(near, 60)
    async with far, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await guarded.receive_some()

        @nursery.start_soon
        async def write() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await guarded.send_all(bytes(64 * 1024 * 1024))

        await trio.sleep(0.1)
        guarded.abort()
        guarded.abort()


async def test_an_abort_without_a_stuck_write_loses_nothing() -> None:
    """What was written whole before an abort still reaches the peer."""
    near, far = await sockets()
    guarded = guarding(near, 60)
    async with far:
        await guarded.send_all(b"last words")
        guarded.abort()
        assert await far.receive_some() == b"last words"
        assert await far.receive_some() == b""


async def test_an_endless_writer_leaves_others_their_turn() -> None:
    """Writing without end to a peer that keeps up stops neither other tasks nor a deadline around it."""
    near, far = await sockets()
    guarded = guarding(near, 60)
    wakes = 0
    kept_up = threading.Thread(target=read_in_a_thread, args=(far.socket.fileno(),))
    kept_up.start()
    async with far, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def others() -> None:
            nonlocal wakes
            while True:
                await trio.sleep(0.01)
                wakes += 1

        worked_s = time.thread_time()  # on a busy machine the others have few turns, and so has this one
        while time.thread_time() - worked_s < 0.4:
            await guarded.send_all(b"x")
        assert wakes > 10
        with trio.move_on_after(0.1) as limit:
            while True:
                await guarded.send_all(b"x")
        await trio.to_thread.run_sync(kept_up.join)
        nursery.cancel_scope.cancel()
    assert limit.cancelled_caught


def read_in_a_thread(descriptor: int) -> None:
    while select.select([descriptor], [], [], 30)[0]:
        try:
            if not os.read(descriptor, 65536):
                return
        except ConnectionResetError:
            return


async def test_a_write_in_a_cancelled_scope_writes_nothing() -> None:
    """A write that begins cancelled puts nothing on the wire and ends the connection, room or not."""
    near, far = await sockets()
    guarded = guarding(near, 60)
    async with far:
        with trio.CancelScope() as scope:
            scope.cancel()
            await guarded.send_all(b"never")
        assert scope.cancelled_caught
        assert guarded.socket.fileno() == -1
        with pytest.raises(trio.BrokenResourceError):
            await read_to_end(far)


async def test_two_writers_are_a_mistake() -> None:
    """A second writer is refused while the first waits for room, and puts nothing between the first's bytes."""
    near, far = await sockets()
    guarded = guarding(near, 60)
    size = 16 * 1024 * 1024
    got = bytearray()
    async with far, guarded, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def first() -> None:
            await guarded.send_all(b"a" * size)
            guarded.shut_writing()

        await trio.sleep(0.1)
        with pytest.raises(trio.BusyResourceError):
            await guarded.send_all(b"b")
        while data := await far.receive_some(65536):
            got += data
    assert got == b"a" * size


async def test_a_closed_stream_says_so() -> None:
    """After closing, reads and writes raise instead of reaching whoever has the descriptor now."""
    near, far = await sockets()
    guarded = guarding(near, 60)
    descriptor = near.socket.fileno()
    async with far:
        await guarded.aclose()
        one, other = socket.socketpair()
        with one, other:
            assert descriptor in (one.fileno(), other.fileno())
            with pytest.raises(trio.ClosedResourceError):
                await guarded.send_all(b"not for them")
            with pytest.raises(trio.ClosedResourceError):
                await guarded.receive_some()
            guarded.abort()
            for each in (one, other):
                each.setblocking(False)
                with pytest.raises(BlockingIOError):
                    each.recv(100)


async def test_a_reader_that_wakes_to_a_closed_socket_reads_nothing() -> None:
    """A reader whose data came is told of a close that ran before it did, though the descriptor is in use again."""
    near, far = await sockets()
    guarded = guarding(near, 60)
    got = bytearray()
    ended = False
    one, other = socket.socketpair()
    with one, other:
        other.sendall(b"somebody else's")
        async with far, trio.open_nursery() as nursery:

            @nursery.start_soon
            async def read() -> None:
                nonlocal ended
                try:
                    while True:
                        got.extend(await guarded.receive_some())
                except trio.ClosedResourceError:
                    ended = True

            sent = 0
            while len(got) == sent:  # trio shuffles who of the two runs first: until it is this task
                await trio.testing.wait_all_tasks_blocked()
                sent += os.write(far.socket.fileno(), b"x")
                await trio.lowlevel.checkpoint()
                if len(got) < sent:
                    break
            descriptor = near.socket.fileno()
            guarded.abort()
            os.dup2(one.fileno(), descriptor)
            await trio.testing.wait_all_tasks_blocked()
            os.close(descriptor)
    assert ended
    assert b"somebody" not in got


async def test_errors_of_the_connection_are_trios() -> None:
    """A connection that the peer has reset is BrokenResourceError, reading and writing."""
    near, far = await sockets()
    guarded = guarding(near, 60)
    async with guarded:
        reset_socket(far)
        with pytest.raises(trio.BrokenResourceError):
            await guarded.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            await guarded.send_all(b"x")
