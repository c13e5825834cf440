"""What a proxy lets out and in: the rules as a table."""

from collections.abc import Callable

import pytest
import trio
import trio.testing

from tests.bus.proxies import JSON, MAKERS, data, on_the_bus, received, running, server, wire_pair
from trio_transports.bus import (
    BusAddWorkerMessage,
    BusCancelMessage,
    BusFrameMessage,
    BusMessage,
    BusWorkerLocalErrorMessage,
    BusWorkerRegistryMessage,
    Worker,
    WorkerRegistryEntry,
    WorkerRunner,
)
from trio_transports.bus.proxy.base import Proxy
from trio_transports.frames import TextFrame

TEXT = TextFrame(text="x")
REGISTRY = (WorkerRegistryEntry(name="far"),)


def system(source: str, target: str | None) -> BusMessage:
    return BusCancelMessage(source=source, target=target)


def frame(source: str, target: str | None) -> BusMessage:
    return BusFrameMessage(source=source, target=target, frame=TEXT)


def registry(source: str, target: str | None) -> BusMessage:
    return BusWorkerRegistryMessage(source=source, target=target, runner="r", workers=REGISTRY)


def local_error(source: str, target: str | None) -> BusMessage:
    return BusWorkerLocalErrorMessage(source=source, target=target, error="e")


def local_add(source: str, target: str | None) -> BusMessage:
    return BusAddWorkerMessage(source=source, target=target, worker=Worker("w"))


Make = Callable[[str, str | None], BusMessage]
FRAMES = (BusFrameMessage,)
LOCAL = (BusWorkerLocalErrorMessage, BusAddWorkerMessage)
OUT = [
    # make, source, target, forwarded types, goes out
    (data, "near", "far", (), True),
    (data, "near", "other", (), False),
    (data, "near", None, (), False),
    (data, "near", "near", (), False),
    (data, "other", "far", (), False),
    (data, "other", None, (), False),
    (data, "far", "far", (), False),
    (data, "proxy", "far", (), False),
    (system, "near", "far", (), True),
    (system, "near", None, (), False),
    (frame, "near", "far", (), True),
    (frame, "near", None, (), False),
    (frame, "near", None, FRAMES, True),
    (frame, "near", "other", FRAMES, True),
    (frame, "other", None, FRAMES, False),
    (frame, "other", "far", FRAMES, False),
    (frame, "far", None, FRAMES, False),
    (data, "near", None, FRAMES, False),
    (data, "near", "far", FRAMES, True),
    (registry, "near", None, (), False),
    (registry, "near", "far", (), True),
    (registry, "runner", None, (), False),
    (local_error, "near", "far", (), False),
    (local_error, "near", None, LOCAL, False),
    (local_add, "near", "far", (), False),
    (local_add, "near", None, LOCAL, False),
]
IN = [
    # make, source, target, forwarded types, the server lets it in, the client lets it in
    (data, "far", "near", (), True, True),
    (data, "far", "other", (), False, False),
    (data, "far", "far", (), False, False),
    (data, "far", None, (), False, False),
    (data, "elsewhere", "near", (), True, True),
    (data, "near", "near", (), False, False),
    (system, "far", "near", (), False, False),
    (system, "far", None, (), False, False),
    (frame, "far", "near", (), True, True),
    (frame, "far", None, (), False, False),
    (frame, "far", None, FRAMES, True, True),
    (frame, "far", "near", FRAMES, True, True),
    (frame, "far", "other", FRAMES, False, False),
    (frame, "near", None, FRAMES, False, False),
    (data, "far", None, FRAMES, False, False),
    (registry, "proxy", None, (), False, True),
    (registry, "far", "near", (), True, True),
    (registry, "far", "other", (), False, False),
    (registry, "near", None, (), False, False),
]


def _id(value: object) -> str:
    if isinstance(value, tuple):
        return "+".join(cls.__name__ for cls in value)
    return getattr(value, "__name__", str(value))


@MAKERS
@pytest.mark.parametrize(("message", "source", "target", "forwarded", "goes"), OUT, ids=_id)
async def test_what_goes_out(
    make: Callable[..., Proxy],
    message: Make,
    source: str,
    target: str | None,
    forwarded: tuple[type[BusMessage], ...],
    goes: bool,
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Out goes what the local worker addressed to the remote one, and its forwarded types, less what is local-only."""
    near, far = wire_pair()
    sent = message(source, target)
    async with running(make(near, forward_messages=forwarded)) as bus:
        await bus.send(sent)
        assert await received(far) == ([sent] if goes else [])


@MAKERS
@pytest.mark.parametrize(("message", "source", "target", "forwarded", "server_takes", "client_takes"), IN, ids=_id)
async def test_what_comes_in(
    make: Callable[..., Proxy],
    message: Make,
    source: str,
    target: str | None,
    forwarded: tuple[type[BusMessage], ...],
    server_takes: bool,
    client_takes: bool,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In comes what is addressed to the local worker, forwarded types to it or nobody, and, to a client, a registry."""
    near, far = wire_pair()
    sent = message(source, target)
    proxy = make(near, forward_messages=forwarded)
    takes = server_takes if make is server else client_takes
    async with running(proxy) as bus:
        reader = bus.subscribe("reader")
        await far.send(JSON.encode(sent))
        assert await on_the_bus(reader) == ([sent] if takes else [])
        assert await received(far) == []
    statistics = proxy.statistics()
    assert (statistics.received, statistics.refused) == (int(takes), int(not takes))


@MAKERS
async def test_text_messages_are_read_too(make: Callable[..., Proxy], autojump_clock: trio.testing.MockClock) -> None:
    """A peer may send its JSON as text messages."""
    near, far = wire_pair()
    async with running(make(near)) as bus:
        reader = bus.subscribe("reader")
        await far.send(JSON.encode(data("far", "near")).decode())
        assert await on_the_bus(reader) == [data("far", "near")]


@MAKERS
async def test_the_other_side_is_told_when_the_worker_is_ready(
    make: Callable[..., Proxy], autojump_clock: trio.testing.MockClock
) -> None:
    """The remote side learns the local worker once, whether it is ready before the connection or after."""
    for first in ("worker", "proxy"):
        near, far = wire_pair()
        proxy, worker = make(near), Worker("near")
        runner = WorkerRunner("r")
        async with trio.open_nursery() as nursery:
            order = (worker, proxy) if first == "worker" else (proxy, worker)
            await nursery.start(runner.run, *order)
            (told,) = await received(far)
            target = None if make is server else "far"
            assert told == BusWorkerRegistryMessage(
                source="proxy", target=target, runner="r", workers=[WorkerRegistryEntry(name="near")]
            )
            runner.end()
