"""A session without sockets, and the peer at its other end for a test to play."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import final

import trio
from attrs import define, field

from .._documented import documented
from .._nursery import open_services
from ..errors import ConnectionClosed
from ..frames import Frame
from ..params import TransportParams
from ..serializers.json import JSONFrameSerializer
from ..serializers.protocol import FrameSerializer, Message, per_session
from ..session.broadcast import Broadcast
from ..session.events import Event
from ..session.run import open_session
from ..session.session import Session
from ..wire.memory import memory_wire_pair
from ..wire.protocol import Wire
from ..wire.running import MAIN_WAYS_OUT, require_trio
from .recorder import FrameRecorder

SENDS_NOW = False
"""What ``memory_session`` does unless told."""


@documented
@final
@define(eq=False)
class ScriptedPeer:
    """Reads all the time, unless told to stall, and writes down what it got."""

    wire: Wire
    """Its end of the connection."""
    serializer: FrameSerializer = field(factory=JSONFrameSerializer)
    """The dialect it speaks; the session's own unless you say otherwise."""
    recorder: FrameRecorder = field(factory=FrameRecorder, init=False)
    """The frames it got."""
    messages: list[tuple[float, Message]] = field(factory=list, init=False)
    """The raw messages it got, each with its time in seconds of trio's clock."""
    closed: ConnectionClosed | None = field(default=None, init=False)
    """How the connection ended, once it has."""
    _reading: trio.Event = field(init=False)
    _gone: trio.Event = field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._reading = trio.Event()
        self._reading.set()

    async def run(self) -> None:
        """Read until the connection ends."""
        while True:
            await self._reading.wait()
            try:
                message = await self.wire.receive()
            except ConnectionClosed as closed:
                self.closed = closed
                self._gone.set()
                return
            self.messages.append((trio.current_time(), message))
            for frame in self.serializer.decode(message):
                await self.recorder.add(frame)

    async def send(self, frame: Frame) -> None:
        """Send a frame, at once."""
        for message in self.serializer.encode(frame):
            await self.wire.send(message)

    async def send_raw(self, message: Message) -> None:
        """Send a message as it is: to see what a malformed one does."""
        await self.wire.send(message)

    def stall(self) -> None:
        """Read nothing after the message that is being waited for."""
        if self._reading.is_set():
            self._reading = trio.Event()

    def resume(self) -> None:
        """Read again after ``stall``."""
        self._reading.set()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close in good order.

        ``code`` and ``reason`` are what the session is told in the close frame.
        """
        await self.wire.aclose(code, reason)

    def drop(self) -> None:
        """Vanish without a word."""
        self.wire.abort()

    async def wait_closed(self) -> ConnectionClosed:
        """Wait until the connection has ended, and learn how."""
        await self._gone.wait()
        assert self.closed is not None
        return self.closed


@asynccontextmanager
async def memory_session(
    params: TransportParams,
    *,
    events: Broadcast[Event] | None = None,
    buffer_messages: int = 64,
    sends_now: bool | None = None,
) -> AsyncIterator[tuple[Session, ScriptedPeer]]:
    """Run a session in memory; the peer reads and records until the connection ends.

    ``sends_now``: the session writes as on the lean engine, without waking its send task.

    ``events`` is where the session's events go, if you want to read them. ``buffer_messages`` may be under way each
    way before a sender waits.
    """
    require_trio("memory_session", MAIN_WAYS_OUT)
    near, far = memory_wire_pair(
        buffer_messages=buffer_messages,
        max_message_bytes=params.max_message_bytes,
        sends_now=SENDS_NOW if sends_now is None else sends_now,
    )
    serializer = JSONFrameSerializer() if params.serializer is None else per_session(params.serializer)
    peer = ScriptedPeer(far, serializer)
    hub: Broadcast[Event] = Broadcast() if events is None else events
    async with open_services() as services:
        services.start_soon(peer.run, name="scripted peer")
        try:
            with hub.activity():
                async with open_session(near, params, events=hub) as session:
                    yield session, peer
        finally:
            # The wire is closed by now: the peer reads what is left, and how it ended.
            peer.resume()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await peer.wait_closed()
