"""What one connection of a proxy writes: alone or in a turn, in batches, in time, and nothing once it ends."""

from collections.abc import Sequence

import pytest
import trio
import trio.testing

from tests.bus.proxies import client, data
from trio_transports.bus import LocalBus, ProxySettings
from trio_transports.bus.outbox import Outbox, Waiting
from trio_transports.bus.proxy import writing
from trio_transports.bus.proxy.counters import ProxyCounters
from trio_transports.bus.proxy.writing import BATCH_BYTES, BURST_S, LinkWriter
from trio_transports.errors import ConnectionClosed
from trio_transports.wire import Peer


class Slow:
    """A wire that takes a message in ``takes_s``, or not at all."""

    peer = Peer(address="memory")

    def __init__(self, takes_s: float = 0.0) -> None:
        self.takes_s = takes_s
        self.sent: list[bytes] = []
        self.aborted = False

    async def send(self, message: bytes) -> None:
        await trio.sleep(self.takes_s)
        self.sent.append(message)

    async def receive(self) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    async def aclose(self, code: int = 1000, reason: str = "") -> None: ...

    def abort(self) -> None:
        self.aborted = True


class Quick(Slow):
    """It takes at once what it is told to: True, False, None (begun), or an end."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: bool | Exception | None = True
        self.may_flush = trio.Event()

    def send_now(self, message: bytes) -> bool | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not False:
            self.sent.append(message)
        return self.answer

    async def flushed(self) -> None:
        await self.may_flush.wait()


class Batching(Quick):
    """It takes so many of a batch at once."""

    def __init__(self, takes: int) -> None:
        super().__init__()
        self.takes = takes
        self.batches: list[int] = []

    async def receive_several(self) -> Sequence[bytes]:
        raise AssertionError

    def send_several_now(self, messages: Sequence[bytes]) -> int:
        self.batches.append(len(messages))
        self.sent += messages[: self.takes]
        return min(self.takes, len(messages))


def writer(wire: Slow, send_timeout: float = 5.0) -> LinkWriter:
    return LinkWriter(
        wire=wire,  # type: ignore[arg-type]
        outbox=Outbox(),
        counters=ProxyCounters(),
        send_timeout=send_timeout,
    )


def put(to: LinkWriter, *texts: bytes, urgent: bool = False) -> None:
    for text in texts:
        to.outbox.put(Waiting(text, urgent))


async def test_a_message_that_is_alone_leaves_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """One that follows another so soon waits, unless something was read in between."""
    wire = Quick()
    to = writer(wire)
    left = [to.put_now(b"1"), to.put_now(b"2")]
    await trio.sleep(BURST_S)
    left.append(to.put_now(b"3"))
    await trio.sleep(1.5 * BURST_S)
    left.append(to.put_now(b"4"))
    left.append(to.put_now(b"5"))
    to.has_read()
    left.append(to.put_now(b"6"))
    assert left == [True, False, False, True, False, True]
    assert wire.sent == [b"1", b"4", b"6"]
    assert to.counters.sent == 3


@pytest.mark.parametrize("what", ["waits", "begun", "ending", "end", "refused", "cannot"])
async def test_what_cannot_leave_at_once_waits(what: str, autojump_clock: trio.testing.MockClock) -> None:
    """Behind what waits or is begun, where the wire takes nothing or cannot, and where the connection ends."""
    wire = Slow() if what == "cannot" else Quick()
    to = writer(wire)
    if what == "waits":
        put(to, b"0")
    elif what == "begun":
        to.outbox.begun()
    elif what == "ending":
        await to.finish()
    elif isinstance(wire, Quick):
        wire.answer = ConnectionClosed(1000) if what == "end" else False
    assert to.put_now(b"1") is False
    assert (wire.sent, to.counters.sent) == ([], 0)


async def test_what_was_begun_is_counted_and_holds_the_next(autojump_clock: trio.testing.MockClock) -> None:
    """Until the wire has written it; then the rest follows in its order. It is so twice."""
    wire = Quick()
    to = writer(wire)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(to.write)
        for round_ in (1, 2):
            wire.answer, wire.may_flush = None, trio.Event()
            await trio.sleep(1)
            assert to.put_now(b"begun")
            assert to.counters.sent == 2 * round_ - 1
            put(to, b"next")
            await trio.sleep(1)
            assert wire.sent == [b"begun", b"next"] * (round_ - 1) + [b"begun"]
            assert [to.outbox.is_begun] == [True]
            wire.may_flush.set()
            await trio.testing.wait_all_tasks_blocked()
            assert wire.sent == [b"begun", b"next"] * round_
            assert [to.outbox.is_begun] == [False]
            assert to.counters.sent == 2 * round_
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("wire", [Slow(takes_s=5.1), Quick()], ids=["a write", "what was begun"])
async def test_a_peer_that_takes_nothing_in_time_loses_its_connection(
    wire: Slow, autojump_clock: trio.testing.MockClock
) -> None:
    """And the failure says why; one that is in time does not."""
    to = writer(wire)
    if isinstance(wire, Quick):
        wire.answer = None
        assert to.put_now(b"1")
    else:
        put(to, b"1")
    began_s = trio.current_time()
    await to.write()
    assert trio.current_time() - began_s == pytest.approx(5)
    assert wire.aborted
    assert to.failure is not None
    assert (to.failure.code, to.failure.reason) == (
        1006,
        "the peer did not take a message within send_timeout (5 s)",
    )
    with trio.testing.assert_checkpoints():
        await to.finish()


async def test_a_message_that_takes_almost_too_long_does_not(autojump_clock: trio.testing.MockClock) -> None:
    wire = Slow(takes_s=4.9)
    to = writer(wire)
    put(to, b"1", b"2")
    with trio.move_on_after(12):
        await to.write()
    assert (wire.sent, wire.aborted, to.failure, to.counters.sent) == ([b"1", b"2"], False, None, 2)


@pytest.mark.parametrize("takes", [0, 1, 2, 100])
async def test_a_batch_is_written_whole_however_much_of_it_is_taken_at_once(
    takes: int, autojump_clock: trio.testing.MockClock
) -> None:
    """Each message once and in order; what the wire does not take at once is sent message by message."""
    wire = Batching(takes)
    wire.may_flush.set()
    to = writer(wire)
    texts = [b"%d" % number for number in range(5)]
    put(to, *texts)
    with trio.move_on_after(1):
        await to.write()
    assert wire.sent == texts
    assert wire.batches == {0: [5, 4, 3, 2, 1], 1: [5, 4, 3, 2, 1], 2: [5, 3, 1], 100: [5]}[takes]
    assert to.counters.sent == 5
    assert len(to.outbox) == 0


async def test_what_is_urgent_goes_ahead_of_the_rest_of_a_batch(autojump_clock: trio.testing.MockClock) -> None:
    """And what is urgent itself is overtaken by nothing."""
    wire = Slow(takes_s=1.0)
    to = writer(wire)
    async with trio.open_nursery() as nursery:
        put(to, b"1", b"2")
        nursery.start_soon(to.write)
        await trio.sleep(0.5)
        put(to, b"u1", b"u2", urgent=True)
        await trio.sleep(1)
        put(to, b"u3", urgent=True)
        await trio.sleep(5)
        assert wire.sent == [b"1", b"u1", b"u2", b"u3", b"2"]
        nursery.cancel_scope.cancel()


async def test_an_end_waits_for_the_write_under_way_and_begins_no_other(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """What was not written is the outbox's again when the link puts it back."""
    wire = Slow(takes_s=2.0)
    to = writer(wire)
    put(to, b"1", b"2")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(to.write)
        await trio.sleep(1)
        began_s = trio.current_time()
        await to.finish()
        assert trio.current_time() - began_s == pytest.approx(1)
        assert wire.sent == [b"1"]
    to.outbox.put_back()
    assert [waiting.data for waiting in await to.outbox.take(BATCH_BYTES)] == [b"2"]


async def test_a_batch_has_so_many_bytes(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "BATCH_BYTES", 4)
    wire = Batching(100)
    wire.may_flush.set()
    to = writer(wire)
    put(to, b"11", b"22", b"33", b"44444", b"5")
    with trio.move_on_after(1):
        await to.write()
    assert wire.batches == [2, 1, 1, 1]


class Noting(Slow):
    """It notes what was sent whole, what was cut off, and the goodbye."""

    def __init__(self, takes_s: float) -> None:
        super().__init__(takes_s)
        self.notes: list[object] = []

    async def send(self, message: bytes) -> None:
        try:
            await super().send(message)
        except trio.Cancelled:
            self.notes.append("cut off")
            raise
        self.notes.append("sent")

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        self.notes.append(code)


@pytest.mark.parametrize(("takes_s", "notes", "took_s"), [(1.5, ["sent", 1001], 1.5), (5.0, ["cut off", 1001], 2.0)])
async def test_a_proxy_that_is_stopped_finishes_the_message_under_way(
    takes_s: float, notes: list[object], took_s: float, autojump_clock: trio.testing.MockClock
) -> None:
    """Within the time for a goodbye; nothing could be said behind half a frame."""
    wire, bus = Noting(takes_s), LocalBus()
    proxy = client(wire, settings=ProxySettings(close_timeout=2))  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.run, bus)
        await trio.testing.wait_all_tasks_blocked()
        await bus.send(data("near", "far"))
        await trio.testing.wait_all_tasks_blocked()
        began_s = trio.current_time()
        proxy.stop()
    assert wire.notes == notes
    assert trio.current_time() - began_s == pytest.approx(took_s)


async def test_who_waits_until_all_is_written_waits_for_what_was_begun(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """And is told when the wire has written it, though nothing else follows; twice."""
    wire = Quick()
    wire.answer = None
    to, done = writer(wire), list[int]()

    async def wait(number: int) -> None:
        await to.outbox.wait_empty()
        done.append(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(to.write)
        for number in range(2):
            await trio.sleep(1)
            assert to.put_now(b"x")
            nursery.start_soon(wait, number)
            await trio.testing.wait_all_tasks_blocked()
            assert done == [*range(number)]
            wire.may_flush.set()
            await trio.testing.wait_all_tasks_blocked()
            assert done == [*range(number + 1)]
            wire.may_flush = trio.Event()
        nursery.cancel_scope.cancel()
