"""``is_closing`` is true from the first step of any closing: looked at after each step that any task takes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock

from tests.session.helpers import params, seconds
from tests.session.test_failures import BrokenMixer
from trio_transports import (
    CancelFrame,
    EndFrame,
    IdleTimeout,
    Session,
    SessionTimeout,
    TextFrame,
    WebsocketServerParams,
    WebsocketServerTransport,
)
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.session.statistics import Counters
from trio_transports.testing import ScriptedPeer, memory_session, memory_wire_pair, scripted
from trio_transports.wire.accepting.leaving import Leaving
from trio_transports.wire.memory import MemoryWire


def _never(_counters: Counters) -> bool:
    return False


@define(eq=False)
class Watch(trio.abc.Instrument):
    """Counts the steps of a closing session, and those after which it does not say that it closes."""

    session: Session | None = None
    has_begun: bool = False
    begins_when: Callable[[Counters], bool] = _never
    """What the session has counted when it has to close."""
    farewell: str | None = None
    """The name of the task that closes it."""
    steps: int = field(default=0, init=False)
    missed: int = field(default=0, init=False)

    def note(self, event: Event) -> int:
        """Take an event that is just being told, as the size of it is asked for."""
        self.has_begun |= isinstance(event, IdleTimeout | SessionTimeout)
        return 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.has_begun |= task.name == self.farewell

    def after_task_step(self, _task: trio.lowlevel.Task) -> None:
        session = self.session
        if session is None:
            return
        self.has_begun |= self.begins_when(session._parts.counters)
        if self.has_begun and not session._parts.life.state.is_over:
            self.steps += 1
            self.missed += not session.is_closing

    @contextmanager
    def looking(self) -> Iterator[None]:
        trio.lowlevel.add_instrument(self)
        try:
            yield
        finally:
            trio.lowlevel.remove_instrument(self)


WAYS: dict[str, dict[str, object]] = {
    "body": {},
    "aclose": {},
    "EndFrame": {},
    "CancelFrame": {},
    "raises": {},
    "cancelled": {},
    "crash": {"audio_out_mixer": BrokenMixer},
    "session timeout": {"session_timeout": 1, "session_timeout_action": "close"},
    "idle timeout": {"idle_timeout": 1},
    "unread": {"max_unread_bytes": 10_000},
    "malformed": {"max_malformed": 3},
}


async def close(way: str, session: Session, peer: ScriptedPeer, watch: Watch) -> None:
    """Have the session close, and say when that begins."""
    assert not session.is_closing
    match way:
        case "unread":
            watch.begins_when = lambda counters: counters.messages_received == 2
            for _ in range(2):
                await peer.send(TextFrame(text="x" * 6000))
            await trio.sleep(5)
        case "malformed":
            watch.begins_when = lambda counters: counters.malformed_messages == 3
            for _ in range(3):
                await peer.send_raw("no JSON")
            await trio.sleep(5)
        case "cancelled" | "crash":
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                watch.has_begun = True
                raise
        case "session timeout" | "idle timeout":
            await trio.sleep(5)
        case _:
            await session.output.send(seconds(0.5))
            watch.has_begun = True
            match way:
                case "aclose":
                    await session.aclose()
                case "EndFrame":
                    await session.output.send(EndFrame())
                case "CancelFrame":
                    await session.output.send(CancelFrame())
                case "raises":
                    raise RuntimeError("a handler's own")


@pytest.mark.parametrize("way", WAYS)
async def test_a_session_says_so_from_the_first_step(autojump_clock: MockClock, way: str) -> None:
    """However this side ends a session, and twice: by the end of the step in which that begins, until it is over."""
    for _ in range(2):
        watch = Watch()
        events: Broadcast[Event] = Broadcast(inf, watch.note)
        events.subscribe()
        settings = params(close_timeout=2, ping_interval=None, **WAYS[way])
        with (
            watch.looking(),
            suppress(RuntimeError, ZeroDivisionError),
            trio.move_on_after(1 if way == "cancelled" else inf),
        ):
            async with memory_session(settings, events=events) as (session, peer):
                watch.session = session
                peer.wire.unresponsive = True  # type: ignore[attr-defined]
                await close(way, session, peer, watch)
        assert watch.steps > 1
        assert watch.missed == 0
        assert not session.is_closing


@pytest.mark.parametrize("seconds_left", [0, 3])
async def test_a_server_that_leaves_says_so_from_the_first_step(autojump_clock: MockClock, seconds_left: float) -> None:
    """Shut down or drained, twice: not while calls may finish by themselves, then from the farewell's first step on."""
    settings = WebsocketServerParams(serializer=JSONFrameSerializer(), close_timeout=2, ping_interval=None)
    for _ in range(2):
        transport, leaving = WebsocketServerTransport(settings), Leaving()
        watch = Watch(farewell="trio_transports.wire.accepting.leaving._say")
        near, far = memory_wire_pair(sends_now=scripted.SENDS_NOW)
        far.unresponsive = True
        await leave_while_one_calls(transport, leaving, watch, near, far, seconds_left)
        assert watch.steps > 1
        assert watch.missed == 0


async def leave_while_one_calls(
    transport: WebsocketServerTransport,
    leaving: Leaving,
    watch: Watch,
    near: MemoryWire,
    far: MemoryWire,
    seconds_left: float,
) -> None:
    """Serve one caller, whose handler stays, and have the server leave."""
    has_come = trio.Event()

    async def stays(session: Session) -> None:
        watch.session = session
        has_come.set()
        await trio.sleep_forever()

    async def serve() -> None:
        async with trio.open_nursery() as visits:
            visits.start_soon(transport._serve_session, stays, leaving, near)
            await leaving.serve(trio.sleep_forever, close_timeout_s=2)
            visits.cancel_scope.cancel()

    with watch.looking():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ScriptedPeer(far).run)
            nursery.start_soon(serve)
            await has_come.wait()
            began_s = trio.current_time()
            leaving.begin(seconds_left)
            if seconds_left:
                await trio.sleep(seconds_left - 0.1)
                assert not watch.has_begun
                assert watch.session is not None
                assert not watch.session.is_closing
    assert trio.current_time() - began_s >= seconds_left + 2 - 1e-6
