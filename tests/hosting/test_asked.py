"""What hypercorn's protocols ask of a connection, without one, in virtual time."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field
from hypercorn.events import Closed, RawData, Updated

from trio_transports.hosting.asked import Asked


@define(eq=False)
class Hosting:
    """A connection whose writes take a second each; ``breaks`` has them fail."""

    has_h2: bool = False
    breaks: bool = False
    written: list[bytes] = field(factory=list)
    told: list[object] = field(factory=list)
    """What was asked of the rest of the connection, in order."""
    asked: Asked = field(init=False)

    def __attrs_post_init__(self) -> None:
        async def begin() -> None:
            self.told.append("closing")

        async def handle(event: object) -> None:
            self.told.append(type(event).__name__)

        async def reset_stream(stream_id: int) -> None:
            self.told.append(("reset", stream_id))

        def start_soon(task: Any, *args: object) -> None:  # noqa: ANN401
            self.told.append((task.__name__, *args))

        def abort() -> None:
            self.told.append("aborted")

        given: Any = SimpleNamespace(
            host=None,
            socket=SimpleNamespace(abort=abort),
            phase=SimpleNamespace(set_idle=lambda idle: self.told.append(("idle", idle)), is_over=False),
            closing=SimpleNamespace(begin=begin),
        )
        writing: Any = SimpleNamespace(write=self._write)
        self.asked = Asked(given.host, given.socket, False, given.phase, given, writing, given.closing, start_soon)
        h2 = SimpleNamespace(reset_stream=reset_stream) if self.has_h2 else None
        reader: Any = SimpleNamespace(protocol=SimpleNamespace(h2=h2, handle=handle))
        self.asked.reader = reader

    async def _write(self, data: bytes) -> bool:
        await trio.sleep(1)
        self.written.append(data)
        return not self.breaks


@pytest.mark.parametrize(("has_h2", "is_whole"), [(True, True), (False, False)])
async def test_a_write_is_cut_short_where_the_socket_is_not_shared(
    has_h2: bool, is_whole: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """On HTTP/2 other streams' bytes follow, so a cancelled one is written whole; elsewhere it ends at once. Twice."""
    hosting = Hosting(has_h2=has_h2)
    for turn in (1, 2):
        began_s = trio.current_time()
        with trio.move_on_after(0.5):
            await hosting.asked.send(RawData(b"data"))
        assert hosting.written == [b"data"] * turn * is_whole
        assert trio.current_time() - began_s == (1 if is_whole else 0.5)
    assert hosting.told == []


@pytest.mark.parametrize("has_h2", [True, False])
async def test_the_protocol_is_told_that_a_write_has_failed(
    has_h2: bool, autojump_clock: trio.testing.MockClock
) -> None:
    hosting = Hosting(has_h2=has_h2, breaks=True)
    for turn in (1, 2):
        await hosting.asked.send(RawData(b"data"))
        assert hosting.told == ["Closed"] * turn


async def test_who_closes_says_so_before_the_protocol_is_told() -> None:
    hosting = Hosting()
    await hosting.asked.send(Closed())
    assert hosting.told == ["closing", "Closed"]


async def test_what_is_idle_is_told() -> None:
    hosting = Hosting()
    for is_idle in (True, False):
        await hosting.asked.send(Updated(idle=is_idle))
    assert hosting.told == [("idle", True), ("idle", False)]


@pytest.mark.parametrize(("has_h2", "told"), [(True, [("reset_stream", 7)]), (False, ["aborted"])])
async def test_a_stream_that_shares_its_socket_is_reset_alone(has_h2: bool, told: list[object]) -> None:
    """The socket itself goes where nobody shares it, and nothing happens once the connection is over."""
    hosting = Hosting(has_h2=has_h2)
    hosting.asked._abort_stream(7)
    assert hosting.told == told
    hosting.asked._phase.is_over = True
    hosting.asked._abort_stream(7)
    assert hosting.told == told
