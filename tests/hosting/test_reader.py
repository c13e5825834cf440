"""The one task of a connection that reads, with what it reads played by the test, in virtual time."""

from types import SimpleNamespace
from typing import Any, Final

import pytest
import trio
import trio.testing
from attrs import define, field
from hypercorn.events import Closed, Event, RawData

from trio_transports.hosting.phase import Phase
from trio_transports.hosting.reader import Reader
from trio_transports.hosting.short_way import PIECE_BYTES

_HEADER_S: Final = 10.0
_KEEP_ALIVE_S: Final = 7.0
_BODY_S: Final = 4.0


@define(eq=False)
class Reading:
    """A reader, and the bytes that come: each after so many seconds, and then none, for ever."""

    pieces: list[tuple[float, bytes]]
    read_timeout_s: float | None = None
    is_reading_body: bool = False
    refuses: bool = False
    """The app refuses whatever comes."""
    heard: list[bytes | None] = field(factory=list)
    """By the protocol; None is the end."""
    steps: list[str] = field(factory=list)
    refused: list[str] = field(factory=list)
    phase: Phase = field(init=False)
    reader: Reader = field(init=False)

    def __attrs_post_init__(self) -> None:
        host: Any = SimpleNamespace(
            config=SimpleNamespace(read_timeout=self.read_timeout_s, keep_alive_timeout=_KEEP_ALIVE_S),
            limits=SimpleNamespace(body_timeout_s=_BODY_S, header_timeout_s=_HEADER_S),
            counting=SimpleNamespace(refuse=self.refused.append),
        )
        self.phase = Phase(host)
        run = SimpleNamespace(peer_left=lambda why: self.steps.append(why))
        runs: Any = SimpleNamespace(refused=[run] if self.refuses else [])
        given: Any = self
        closing: Any = SimpleNamespace(begin=self._begin_closing)
        self.reader = Reader(host, given, given, given, self.phase, runs, closing)

    # The protocol

    async def initiate(self) -> None:
        self.steps.append("initiated")

    async def handle(self, event: Event) -> None:
        self.heard.append(bytes(event.data) if isinstance(event, RawData) else None)
        assert isinstance(event, RawData | Closed)

    # The stream

    async def receive_some(self, max_bytes: int) -> bytes:
        if not self.pieces:
            await trio.sleep_forever()
        after_s, data = self.pieces.pop(0)
        await trio.sleep(after_s)
        return data

    async def _begin_closing(self) -> None:
        self.steps.append("closing")
        self.phase.is_closing = True

    async def read(self, since_s: float = 0.0) -> float:
        """Read to the end, the first head being due since that long; returns how long it took."""
        began_s = trio.current_time()
        with trio.fail_after(1000):
            await self.reader.read(began_s - since_s)
        return trio.current_time() - began_s


@pytest.mark.parametrize(
    ("since_s", "took_s"), [(0, _KEEP_ALIVE_S), (_HEADER_S - _KEEP_ALIVE_S + 1, _KEEP_ALIVE_S - 1), (9.5, 0.5)]
)
@pytest.mark.parametrize("pieces", [[], [(0.0, b"G")], [(0.0, b"G"), (0.2, b"E")]])
async def test_the_first_head_is_due_since_the_connection_came(
    pieces: list[tuple[float, bytes]], since_s: float, took_s: float, autojump_clock: trio.testing.MockClock
) -> None:
    """However much of it has come: who is late is counted, once, and the protocol is told of the end."""
    reading = Reading(list(pieces))
    assert await reading.read(since_s) == pytest.approx(took_s)
    assert reading.heard == [*(data for _, data in pieces), None]
    assert reading.refused == ["time"]
    assert reading.steps == ["initiated"]


async def test_a_later_head_is_due_since_its_first_byte(autojump_clock: trio.testing.MockClock) -> None:
    """Nothing is due while something is served; between two requests it is the next one's first byte."""
    reading = Reading([(1.0, b"first"), (100.0, b"more of it"), (3.0, b"s"), (0.5, b"e")])
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve() -> None:
            await trio.sleep(1.5)
            reading.phase.set_idle(False)
            await trio.sleep(100)
            reading.phase.set_idle(True)

        took_s = await reading.read()
    # The third piece comes at 104 s, as the first byte of a head that has until 114 s, or the end of being kept alive.
    assert took_s == pytest.approx(101.5 + _KEEP_ALIVE_S)
    assert reading.refused == ["time"]
    assert reading.heard == [b"first", b"more of it", b"s", b"e", None]


async def test_the_end_of_the_stream_is_the_end(autojump_clock: trio.testing.MockClock) -> None:
    """Who has not asked for anything until then was cut off; the protocol hears of it too."""
    reading = Reading([(1.0, b"G"), (2.0, b"")])
    assert await reading.read() == 3
    assert (reading.heard, reading.refused) == ([b"G", b"", None], ["cut off"])


@pytest.mark.parametrize(("is_reading_body", "took_s", "refused"), [(True, _BODY_S, ["time"]), (False, 6.0, [])])
async def test_who_is_too_slow_with_a_body_is_counted(
    is_reading_body: bool, took_s: float, refused: list[str], autojump_clock: trio.testing.MockClock
) -> None:
    """Silence past ``read_timeout`` ends a connection as well, and is nobody's refusal."""
    reading = Reading([], read_timeout_s=6.0, is_reading_body=is_reading_body)
    assert await reading.read() == pytest.approx(took_s)
    assert (reading.refused, reading.heard) == (refused, [None])


async def test_a_body_gains_time_as_it_comes(autojump_clock: trio.testing.MockClock) -> None:
    """A second for each kB; only what was waited for counts against it."""
    reading = Reading([(3.0, bytes(1024)), (1.0, bytes(2048))], is_reading_body=True)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve() -> None:
            await trio.lowlevel.checkpoint()
            reading.phase.set_idle(False)

        took_s = await reading.read()
    assert took_s == pytest.approx(_BODY_S + 3)
    assert reading.refused == ["time"]


async def test_much_at_once_is_taken_in_pieces(autojump_clock: trio.testing.MockClock) -> None:
    """Others have their turn between them, and nothing is lost or changed."""
    much = bytes(range(256)) * (PIECE_BYTES // 256 * 2) + b"rest"
    reading = Reading([(0.0, much), (0.0, bytes(PIECE_BYTES)), (0.0, b"")])
    await reading.read()
    assert reading.heard == [
        much[:PIECE_BYTES],
        much[PIECE_BYTES : 2 * PIECE_BYTES],
        b"rest",
        bytes(PIECE_BYTES),
        b"",
        None,
    ]


@pytest.mark.parametrize("size", [4, 3 * PIECE_BYTES])
async def test_who_sends_before_its_upgrade_is_answered_is_let_go(
    size: int, autojump_clock: trio.testing.MockClock
) -> None:
    """The run is told why, the connection begins to close, and what comes behind is not handed on."""
    reading = Reading([(0.0, bytes(size)), (0.0, b"late"), (0.0, bytes(2 * PIECE_BYTES)), (0.0, b"")], refuses=True)
    await reading.read()
    assert reading.heard == [bytes(min(size, PIECE_BYTES)), None]
    assert reading.steps == ["initiated", "it sent data before its upgrade was answered", "closing"]


async def test_what_comes_while_something_is_served_begins_no_head(autojump_clock: trio.testing.MockClock) -> None:
    """The app has as long as it likes, whatever its peer says meanwhile."""
    reading = Reading([(1.0, b"first"), (1.0, b"more of it")])
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve() -> None:
            await trio.sleep(1.5)
            reading.phase.set_idle(False)
            await trio.sleep(100)
            reading.phase.set_idle(True)

        assert await reading.read() == pytest.approx(101.5 + _KEEP_ALIVE_S)


async def test_others_have_their_turn_between_two_pieces_of_a_read(autojump_clock: trio.testing.MockClock) -> None:
    """A read of several is heard whole, a piece at a time."""
    reading = Reading([(0.0, bytes(5 * PIECE_BYTES))])
    turns = 0

    async def count() -> None:
        nonlocal turns
        while len(reading.heard) < 5:
            await trio.lowlevel.checkpoint()
            turns += bool(reading.heard)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await reading.read()
    assert turns >= 3
    assert b"".join(piece for piece in reading.heard if piece) == bytes(5 * PIECE_BYTES)
