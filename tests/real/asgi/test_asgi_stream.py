"""The guarded stream: what a write that is not taken does to it."""

import pytest
import trio

from trio_transports.hosting.stream import GuardedStream


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
    guarded = GuardedStream(near, 0.3)
    size = 8 * 1024 * 1024
    async with far, guarded, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def write() -> None:
            await guarded.send_all(memoryview(bytes(size)))
            await guarded.send_eof()

        got = 0
        began = trio.current_time()
        while data := await far.receive_some(65536):
            got += len(data)
            await trio.sleep(0.005)
    assert got == size
    assert trio.current_time() - began > 0.3


async def test_a_stalled_write_resets_the_connection() -> None:
    """A peer that reads nothing for the write timeout is reset: its own reads fail, and the socket is gone."""
    near, far = await sockets()
    guarded = GuardedStream(near, 0.2)
    async with far:
        with pytest.raises(trio.BrokenResourceError, match=r"did not read for 0\.2 s"):
            await guarded.send_all(bytes(64 * 1024 * 1024))
        assert guarded.socket.fileno() == -1
        with pytest.raises(trio.BrokenResourceError):
            await read_to_end(far)


async def test_a_cancelled_write_resets_the_connection() -> None:
    """A write that is cancelled midway resets the connection at once."""
    near, far = await sockets()
    guarded = GuardedStream(near, 60)
    async with far:
        with trio.move_on_after(0.2) as limit:
            await guarded.send_all(bytes(64 * 1024 * 1024))
        assert limit.cancelled_caught
        assert guarded.socket.fileno() == -1


async def test_an_abort_wakes_reader_and_writer() -> None:
    """Aborting wakes the tasks inside a read and a write; a second abort does nothing."""
    near, far = await sockets()
    guarded = GuardedStream(near, 60)
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
    guarded = GuardedStream(near, 60)
    async with far:
        await guarded.send_all(b"last words")
        guarded.abort()
        assert await far.receive_some() == b"last words"
        assert await far.receive_some() == b""
