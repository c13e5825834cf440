"""The fault proxy over loopback: each fault does what it says, at its place, the same way again."""

import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from trio_transports.testing.faults import (
    Bandwidth,
    Coalesce,
    Corrupt,
    Delay,
    Fault,
    FaultProxy,
    HalfClose,
    Reset,
    Split,
    Stall,
    open_fault_proxy,
)
from trio_transports.testing.faults.proxy import Faults

DATA = bytes(range(256)) * 40


@asynccontextmanager
async def place(faults: Faults, *, seed: int = 0) -> AsyncIterator[tuple[FaultProxy, list[bytes]]]:
    """An echo server behind a proxy, and every piece that it has read."""
    pieces: list[bytes] = []

    async def echo(stream: trio.SocketStream) -> None:
        try:
            async for data in stream:
                pieces.append(bytes(data))
                await stream.send_all(data)
            await stream.send_eof()
        except trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, echo, 0, host="127.0.0.1"))
        async with open_fault_proxy(listener.socket.getsockname()[1], faults, seed=seed) as proxy:
            with trio.fail_after(30):
                yield proxy, pieces
        nursery.cancel_scope.cancel()


async def said_and_heard(proxy: FaultProxy, data: bytes = DATA) -> bytes:
    """What comes back of ``data``, until the end."""
    stream = await trio.open_tcp_stream("127.0.0.1", proxy.port)
    heard = bytearray()
    async with stream, trio.open_nursery() as nursery:

        async def say() -> None:
            await stream.send_all(data)
            await stream.send_eof()

        nursery.start_soon(say)
        async for piece in stream:
            heard += piece
    return bytes(heard)


@pytest.mark.parametrize(
    "faults",
    [
        (),
        (Delay(delay_s=0.01, jitter_s=0.01),),
        (Split(max_bytes=100),),
        (Coalesce(for_s=0.02),),
        (Bandwidth(bytes_per_s=1e6),),
        (Stall(after_bytes=3000, for_s=0.05),),
        (Delay(delay_s=0.01), Split(max_bytes=999), Stall(after_bytes=1, for_s=0.01, direction="down")),
    ],
)
async def test_what_is_only_slow_arrives_whole(faults: Iterable[Fault]) -> None:
    """Faults that lose nothing give every byte, in order, both ways, and say that they struck."""
    async with place(faults) as (proxy, _):
        for _ in range(2):
            assert await said_and_heard(proxy) == DATA
        assert set(proxy.struck) == {type(fault).__name__ for fault in faults}
        assert proxy.passed_bytes == 4 * len(DATA)


async def test_a_split_cuts_every_byte_apart() -> None:
    """With ``max_bytes=1`` the server reads single bytes, or few where the kernel joins them."""
    async with place([Split(direction="up")]) as (proxy, pieces):
        assert await said_and_heard(proxy, DATA[:300]) == DATA[:300]
        assert proxy.struck == {"Split": 300}
        assert len(pieces) > 30


async def test_a_delay_delays_and_keeps_order() -> None:
    async with place([Delay(delay_s=0.1)]) as (proxy, _):
        begun_s = trio.current_time()
        assert await said_and_heard(proxy) == DATA
        assert trio.current_time() - begun_s >= 0.2


async def test_bandwidth_is_bounded() -> None:
    async with place([Bandwidth(bytes_per_s=50_000, direction="down")]) as (proxy, _):
        begun_s = trio.current_time()
        assert await said_and_heard(proxy) == DATA
        assert trio.current_time() - begun_s >= len(DATA) / 50_000 * 0.9


async def test_a_stall_is_one_way() -> None:
    """Upwards all arrives; downwards nothing does, for as long as it is watched."""
    async with place([Stall(after_bytes=10, direction="down")]) as (proxy, pieces):
        heard = bytearray()
        stream = await trio.open_tcp_stream("127.0.0.1", proxy.port)
        async with stream:
            await stream.send_all(DATA)
            while len(heard) < 10:
                heard += await stream.receive_some()
            while sum(map(len, pieces)) < len(DATA):  # noqa: ASYNC110 - the server tells nobody
                await trio.sleep(0.01)
            with trio.move_on_after(0.3):
                heard += await stream.receive_some()
        assert bytes(heard) == DATA[:10]
        assert b"".join(pieces) == DATA


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_reset_strikes_at_its_byte(direction: str) -> None:
    """The client sees a reset, on the first connection and on the second."""
    async with place([Reset(after_bytes=1000, direction=direction)]) as (proxy, _):  # type: ignore[arg-type]
        for number in (1, 2):
            with pytest.RaisesGroup(trio.BrokenResourceError, allow_unwrapped=True, flatten_subgroups=True):
                await said_and_heard(proxy)
            assert proxy.struck == {"Reset": number}


async def test_a_half_close_leaves_the_other_way_open() -> None:
    """The server hears the end after 1000 bytes, and its answer still arrives."""
    async with place([HalfClose(after_bytes=1000, direction="up")]) as (proxy, pieces):
        assert await said_and_heard(proxy) == DATA[:1000]
        assert b"".join(pieces) == DATA[:1000]


async def test_the_same_seed_corrupts_the_same_bits() -> None:
    """Two runs with one seed agree bit for bit; another seed differs; nothing is hit before ``after_bytes``."""
    results = []
    for seed in (1, 1, 2):
        async with place([Corrupt(every_bytes=500, after_bytes=2000, direction="up")], seed=seed) as (proxy, _):
            results.append(await said_and_heard(proxy))
            assert proxy.struck["Corrupt"] > 3
    assert results[0] == results[1] != results[2]
    assert all(len(result) == len(DATA) and result[:2000] == DATA[:2000] != result for result in results)


async def test_each_connection_may_have_its_own_faults() -> None:
    """The first is reset, the second is not."""
    async with place(lambda number: [Reset()] if number == 0 else []) as (proxy, _):
        with pytest.RaisesGroup(trio.BrokenResourceError, allow_unwrapped=True, flatten_subgroups=True):
            await said_and_heard(proxy)
        assert await said_and_heard(proxy) == DATA


async def test_down_and_back_twice() -> None:
    """Down: connections break and new ones are refused. Up: the same port answers again."""
    async with place([]) as (proxy, _):
        for _ in range(2):
            stream = await trio.open_tcp_stream("127.0.0.1", proxy.port)
            async with stream:
                await stream.send_all(b"a")
                assert await stream.receive_some() == b"a"
                proxy.down()
                with pytest.raises(trio.BrokenResourceError):
                    await stream.receive_some()
            with pytest.raises(OSError, match="failed"):
                await trio.open_tcp_stream("127.0.0.1", proxy.port)
            await proxy.up()
            assert await said_and_heard(proxy) == DATA


async def test_no_server_behind_it_is_a_reset() -> None:
    async with place([]) as (proxy, _):
        pass
    async with open_fault_proxy(proxy.target_port) as alone:
        with pytest.RaisesGroup(trio.BrokenResourceError, allow_unwrapped=True, flatten_subgroups=True):
            await said_and_heard(alone)


@pytest.mark.parametrize(
    ("kind", "fields", "error", "says"),
    [
        (Delay, {"delay_s": -1}, ValueError, "Delay.delay_s must be a number of at least 0, not -1"),
        (Delay, {"delay_s": "1"}, TypeError, "Delay.delay_s must be a number"),
        (Delay, {"delay_s": float("nan")}, ValueError, "Delay.delay_s must be a number"),
        (Delay, {"delay_s": 0, "jitter_s": -1}, ValueError, "Delay.jitter_s"),
        (Split, {"max_bytes": 0}, ValueError, "Split.max_bytes must be a whole number of at least 1, not 0"),
        (Split, {"max_bytes": 1.5}, TypeError, "Split.max_bytes"),
        (Bandwidth, {"bytes_per_s": 0}, ValueError, "Bandwidth.bytes_per_s must be a number above 0, not 0"),
        (Coalesce, {"for_s": 0}, ValueError, "Coalesce.for_s"),
        (Corrupt, {"every_bytes": 0}, ValueError, "Corrupt.every_bytes"),
        (Corrupt, {"every_bytes": 1, "after_bytes": -1}, ValueError, "Corrupt.after_bytes"),
        (Stall, {"for_s": 0}, ValueError, "Stall.for_s"),
        (Stall, {"after_bytes": 1.5}, TypeError, "Stall.after_bytes must be a whole number of at least 0, not 1.5"),
        (Reset, {"after_bytes": "0"}, TypeError, "Reset.after_bytes"),
        (HalfClose, {"after_bytes": None}, TypeError, "HalfClose.after_bytes"),
        (Reset, {"direction": "left"}, ValueError, "Reset.direction must be one of up, down, both, not 'left'"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(
    kind: Callable[..., Fault], fields: dict[str, object], error: type[Exception], says: str
) -> None:
    """What, where, and what would be right."""
    with pytest.raises(error, match=re.escape(says)):
        kind(**fields)


@pytest.mark.parametrize(
    ("port", "faults", "says"),
    [
        (0, [], "target_port must be the server's port, between 1 and 65535, not 0"),
        (1, Delay(delay_s=1), "faults must be a list of faults, or a function that gives one, not Delay("),
        (1, [Delay], "is no fault: make one of Delay, Bandwidth, Split"),
        (1, "Delay", "faults must be a list of faults"),
    ],
)
async def test_a_proxy_that_cannot_be_is_refused(port: int, faults: Faults, says: str) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(says)):
        async with open_fault_proxy(port, faults):
            pass


async def test_a_plan_that_fails_is_raised_and_leaves_nothing() -> None:
    """A function that gives what is no fault is told to who runs the proxy; the client's connection ends with it."""
    for _ in range(2):
        says = pytest.RaisesExc(TypeError, match="is no fault: make one of Delay")
        with pytest.RaisesGroup(says, flatten_subgroups=True):
            async with (
                open_fault_proxy(1, lambda _number: [Delay]) as proxy,  # type: ignore[list-item]
                await trio.open_tcp_stream("127.0.0.1", proxy.port) as stream,
            ):
                with trio.fail_after(30):
                    await stream.receive_some()
