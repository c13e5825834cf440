"""The bus over Redis: one channel for what may be lost, streams for what may not.

Rules
1. Local subscribers get a message at once, without Redis; other processes get it through Redis. Without a server the
   workers of one process go on talking to each other.
2. ``send`` of a message that may be lost waits no longer than Redis needs to take what was sent before, and not at all
   while there is no server. What waits for one is bounded, the oldest data goes first, and a reader elsewhere is told
   how much it missed.
3. ``durable`` names the message types that may not be lost (True: all). They go through a stream and reach every
   process from there, this one too. ``send`` waits until Redis has stored them, however long that takes: cancel it, or
   not. While Redis stores nothing (no memory, read-only) it is asked again, and ``events()`` tells. What Redis itself
   keeps over its own restart is up to its ``appendonly``.
4. All processes on one bus must agree on ``durable``, and a Pipecat peer sees only what is not.
5. ``running`` fails if there is no server within ``connect_timeout``. After that a lost one is waited for.
6. Every process that is given a ``group`` of its own (its ``name``, by default) reads every stored message; those that
   share one share the messages.
"""

import math
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Unpack, final

import trio

from ..._nursery import open_services
from ...errors import LocalProtocolError
from ...frames import AudioFrame
from ...params import ReconnectPolicy
from ...session.broadcast import Broadcast, Subscription
from ...session.sizes import MAX_EVENT_BYTES, event_size
from ...wire.running import MAIN_WAYS_OUT, require_trio
from ..codec.hops import with_hops
from ..codec.json import MessageSerializer, shared_serializer
from ..messages import BusFrameMessage, BusLocalMessage, BusMessage, BusOpaqueMessage, BusSystemMessage
from ..outbox import Outbox, Waiting
from ..subscription import BusSubscription, Fanout, SubscribeOptions
from .address import ServerAddresses
from .connection import RedisServer
from .connections import Connections
from .events import RedisEvent, StoringPaused, StoringResumed
from .group import Group
from .publishing import Publishing
from .readers import BusIntake, ChannelReader
from .statistics import RedisBusStatistics
from .storing import ToStore
from .streams import Streams
from .writer import RedisWriter

CHANNEL: Final = "pipecat:bus"
FLUSH_S: Final = 2.0
STALE_AUDIO_S: Final = 1.0

_POLICY: Final = ReconnectPolicy(initial_delay=0.1, max_delay=5.0)


@final
class RedisBus:
    """A bus over Redis, or what else speaks as it does: Valkey should, but it is Redis that this is tested with.

    The server is at ``url``; or, as in coredis, where ``sentinels`` say that the master of ``service_name`` is, or at a
    node of the cluster that has ``startup_nodes``. With those ``url`` gives the scheme, the name and the password.

    ``channel`` is the bus's name in Redis; processes with the same one hear each other, and all need the same
    ``serializer``. ``durable`` names what may not be lost (True: everything), and needs a ``name`` that the process
    keeps over a restart: what its workers had not begun on when they ended comes again then. Processes that share a
    ``group`` share the stored messages between them; the stream keeps the latest ``stream_max_length``, and one that a
    reader left lying for ``claim_idle_s`` seconds goes to another of its group.

    A server has ``connect_timeout`` seconds to be there at the start, and ``reply_timeout`` for each answer; past
    that the connection is made anew as ``reconnect`` says. Meanwhile ``outbox_messages`` and ``outbox_bytes`` bound
    what waits: the oldest data goes first.
    """

    def __init__(
        self,
        url: str = "redis://127.0.0.1:6379",
        *,
        sentinels: Sequence[tuple[str, int]] = (),
        service_name: str = "mymaster",
        startup_nodes: Sequence[tuple[str, int]] = (),
        channel: str = CHANNEL,
        serializer: MessageSerializer | None = None,
        durable: bool | tuple[type[BusMessage], ...] = False,
        name: str | None = None,
        group: str | None = None,
        connect_timeout: float = 10.0,
        reply_timeout: float = 5.0,
        reconnect: ReconnectPolicy = _POLICY,
        outbox_messages: int = 4096,
        outbox_bytes: int = 16 * 1024 * 1024,
        stream_max_length: int = 10_000,
        claim_idle_s: float = 60.0,
    ) -> None:
        if durable and name is None:
            raise ValueError("RedisBus.name is required with durable: it is where this process resumes after a restart")
        if sentinels and startup_nodes:
            raise ValueError("RedisBus takes sentinels or the startup_nodes of a cluster, not both")
        # In a cluster the braces put all of a bus's keys on one node.
        key = f"{{{channel}}}" if startup_nodes else channel
        name = name if name is not None else f"bus-{secrets.token_hex(4)}"
        publisher = secrets.token_hex(8)
        self._connections = Connections(
            RedisServer(
                url=url,
                connect_timeout=connect_timeout,
                reply_timeout=reply_timeout,
                policy=reconnect,
                addresses=ServerAddresses(tuple(sentinels), service_name, tuple(startup_nodes), f"{key}:stream"),
            )
        )
        self._streams = Streams(
            key=key,
            durable=(BusMessage,) if durable is True else durable or (),
            group=Group(name=group if group is not None else name, consumer=name, claim_idle_s=claim_idle_s),
        )
        self._events: Broadcast[RedisEvent] = Broadcast(MAX_EVENT_BYTES, event_size)
        self._fanout = Fanout()
        self._publishing = Publishing(
            name=name,
            channel=channel,
            publisher=publisher,
            outbox=Outbox(max_messages=outbox_messages, max_bytes=outbox_bytes, max_audio_s=math.inf),
            stale_audio_s=STALE_AUDIO_S,
        )
        self._writer = RedisWriter(
            publisher=publisher,
            group=self._streams.group.name,
            stream_max_length=stream_max_length,
            publishing=self._publishing,
            to_store=ToStore(name=name, on_pause=self._tell_pause),
        )
        self._incoming = BusIntake(
            name=name,
            publisher=publisher,
            serializer=serializer if serializer is not None else shared_serializer(),
            fanout=self._fanout,
        )
        self._was_entered = False
        self._running = False

    def __repr__(self) -> str:
        state = "running" if self._running else "not running"
        where = f"{self._connections.server}, channel {self._publishing.channel!r}"
        return f"<RedisBus {self._publishing.name!r} on {where}, {state}>"

    @property
    def is_running(self) -> bool:
        """Whether it is joined to its server; ``async with bus.running()``."""
        return self._running

    def statistics(self) -> RedisBusStatistics:
        """Take a snapshot of what was counted so far."""
        return RedisBusStatistics(
            published=self._publishing.published,
            stored=self._writer.to_store.stored,
            refused=self._publishing.refused,
            dropped=self._publishing.outbox.dropped,
            received=self._incoming.received,
            malformed=self._incoming.malformed,
            unknown=self._incoming.unknown,
            missed=self._incoming.missed,
            duplicates=self._incoming.duplicates,
            connections_lost=self._connections.lost,
            waiting=len(self._publishing.outbox),
        )

    def events(self, buffer: int = 1024) -> Subscription[RedisEvent]:
        """Subscribe to ``StoringPaused`` and ``StoringResumed``; the channel ends with the bus.

        ``buffer`` is how many wait unread at most: past it the oldest are dropped, and an ``EventsLost`` in their
        place says how many.
        """
        return self._events.subscribe(buffer)

    async def send(self, message: BusMessage) -> None:
        """Send to every subscriber of this bus, here and elsewhere.

        Cancelled, a durable message may have been stored or not; any other was not sent.
        """
        if isinstance(message, BusLocalMessage):
            await trio.lowlevel.checkpoint()
            self._fanout.deliver(message)
            return
        if not self._running:
            raise LocalProtocolError(f"{self!r}: enter running() before sending")
        data = self._incoming.serializer.encode(message)
        if isinstance(message, BusOpaqueMessage):
            data = with_hops(data, message.hops)
        if isinstance(message, self._streams.durable):
            await self._writer.store(self._streams.key_for(message), data)
            return
        if isinstance(message, BusSystemMessage):
            await trio.lowlevel.checkpoint()
        else:
            await self._publishing.wait_for_room()
        self._fanout.deliver(message)
        audio_s = 0.0
        if isinstance(message, BusFrameMessage) and isinstance(message.frame, AudioFrame):
            audio_s = message.frame.duration_s
        self._writer.publish(Waiting(data, isinstance(message, BusSystemMessage), audio_s, trio.current_time()))

    def send_now(self, message: BusMessage) -> bool:
        """Send what stays in this process; the rest waits, be it for a moment."""
        if isinstance(message, BusLocalMessage):
            self._fanout.deliver(message)
            return True
        return False

    def subscribe(self, name: str, **options: Unpack[SubscribeOptions]) -> BusSubscription:
        """Read what is sent from now on."""
        return self._fanout.subscribe(name, **options)

    @asynccontextmanager
    async def running(self, *, hold: bool = False) -> AsyncIterator["RedisBus"]:
        """Connect, and stay connected while the body runs; what waits is written before it ends, within two seconds.

        ``hold`` keeps stored messages back until ``release``: a message that nobody here wants counts as handled, so
        those who will want it must have subscribed.
        """
        require_trio("RedisBus", MAIN_WAYS_OUT)
        if self._was_entered:
            raise LocalProtocolError(f"{self!r} runs once: make another one")
        self._was_entered = True
        if not hold:
            self.release()
        try:
            with self._events.activity():
                async with open_services() as services:
                    await self._connections.first(self._start(services.start_soon))
                    self._running = True
                    try:
                        yield self
                    except Exception:  # what was handled is written: else what the body failed at would come again
                        await self._flush()
                        raise
                    await self._flush()
        finally:
            self._running = False
            self._writer.close()
            self._fanout.end()

    async def _flush(self) -> None:
        self._running = False
        with trio.move_on_after(FLUSH_S):
            await self._writer.drained()

    def release(self) -> None:
        """Let stored messages come; see ``running``."""
        self._streams.release()

    def _start(self, start_soon: Callable[..., None]) -> list[trio.Event]:
        """Start a task for each connection; the events are set when each has its first."""
        ready: list[trio.Event] = []

        def becomes_ready() -> Callable[[], None]:
            ready.append(trio.Event())
            return ready[-1].set

        reply_timeout = self._connections.server.reply_timeout
        channel = ChannelReader(
            channel=self._publishing.channel,
            reply_timeout=reply_timeout,
            incoming=self._incoming,
            on_subscribed=becomes_ready(),
        )
        self._writer.on_ready = becomes_ready()
        users = [("writer", self._writer.use), ("channel", channel.use)]
        for stream in self._streams.readers(self._incoming, self._writer, reply_timeout, becomes_ready):
            users.append((f"stream {stream.key}", stream.use))
        for what, use in users:
            where = f"{self._publishing.name} {what}"
            start_soon(self._connections.keep, use, where, name=where)
        return ready

    def _tell_pause(self, why: str | None) -> None:
        self._events.emit(StoringResumed() if why is None else StoringPaused(why))
