"""Two workers that are one hop apart: what a proxy on either side of a WebSocket does.

Rules (``local`` and ``remote`` are the two worker names that a proxy joins)
1. Out goes what ``local`` sends to ``remote``, and the ``forward_messages`` types that ``local`` sends, to whomever.
2. In comes what is addressed to ``local``, and the ``forward_messages`` types that are addressed to ``local`` or to
   nobody. One that claims to be from ``local`` itself, or from another worker of this process, is refused: it has gone
   round in a circle. So is a job's message, or the news of a worker, that is from anybody but ``remote``.
3. A ``BusLocalMessage`` neither leaves nor enters.
4. Activation, deactivation, end and cancel come in only where ``accepts_lifecycle`` names their type, and only when
   addressed to ``local``: it may serve other peers too, and one of them must not stop it for all (HAZARDS 45).
5. The other side is told a ``BusWorkerRegistryMessage`` when ``local`` is ready, again on each connection. The server
   addresses it to nobody, as Pipecat does; the client addresses it to ``remote``, which lets it in by rule 2. The
   client lets such a message in when it is addressed to ``local`` or to nobody. The peer is believed about ``remote``
   and nobody else: it could declare the workers of other runners gone, or fill the registry with names.
6. A job that crosses lives no longer than the connection. A peer that dials again may be there a second time before its
   first connection is known to be lost: what crosses by the second one goes on.
7. What waits for the peer is bounded (see ``outbox``); a slow peer loses its oldest data, and nothing else is slowed.
8. When both sides know the subprotocol ``trio-transports.bus.v1``, audio goes in binary. A serializer of the user's own
   is used as it is, on every connection.
"""

import logging
import ssl
from collections.abc import Sequence
from typing import Final, final

from attrs import Attribute, define, evolve, field, frozen

from ..._documented import documented
from ..._moved import moved
from ...errors import ConnectionClosed, Ending, LocalProtocolError
from ...frames import AudioFrame
from ...session.broadcast import Broadcast, Subscription
from ...wire.protocol import Wire
from ...wire.settings import WireSettings
from ..codec.binary import BUS_SUBPROTOCOL, BinaryMessageSerializer
from ..codec.json import JSONMessageSerializer, MessageSerializer, shared_serializer
from ..crossing import Crossing
from ..messages import (
    JOB_MESSAGES,
    LIFECYCLE_MESSAGES,
    BusFrameMessage,
    BusGapMessage,
    BusJobRequestMessage,
    BusJobResponseMessage,
    BusJobResponseUrgentMessage,
    BusLocalMessage,
    BusMessage,
    BusSystemMessage,
    BusWorkerErrorMessage,
    BusWorkerLostMessage,
    BusWorkerReadyMessage,
    BusWorkerRegistryMessage,
    WorkerReadyData,
    WorkerRegistryEntry,
)
from ..names import MAX_NAME
from ..outbox import MAX_AUDIO_S, MAX_BYTES, MAX_MESSAGES, Outbox, Waiting
from ..worker import Worker
from .counters import ProxyCounters, ProxyStatistics
from .events import ProxyConnected, ProxyDisconnected, ProxyEvent, event_source
from .link import Link, MalformedRow
from .writing import LinkWriter

WIRE_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""Larger than what the serializer takes, so that a message between the two is refused and its connection lives."""

logger = logging.getLogger(__name__)

MessageTypes = tuple[type[BusMessage], ...]

_FROM_A_WORKER: Final = (*JOB_MESSAGES, BusWorkerErrorMessage, BusWorkerReadyMessage)
"""What ends or answers a job of others, if somebody else says it in a worker's name."""


def _above_zero(instance: object, attribute: object, value: float) -> None:
    if not value > 0:
        name = getattr(attribute, "name", "?")
        raise ValueError(f"{type(instance).__name__}.{name} must be above 0, not {value!r}")


@documented
@final
@frozen(kw_only=True)
class ProxySettings:
    """Limits of one proxy."""

    send_timeout: float = field(default=10, validator=_above_zero)
    """Seconds that one message may take to be written; past it the connection is aborted."""
    close_timeout: float = field(default=2, validator=_above_zero)
    """Seconds for the goodbye."""
    connect_timeout: float = field(default=10, validator=_above_zero)
    """Seconds for making a connection."""
    ping_interval: float | None = 20
    """Seconds between pings; None sends none, and a peer that vanished is noticed late."""
    ping_timeout: float = field(default=20, validator=_above_zero)
    """Seconds within which a ping has to be answered; else the connection is lost."""
    max_message_bytes: int = field(default=WIRE_LIMIT_BYTES, validator=_above_zero)
    """The longest message, in bytes, that is taken; a longer one closes the connection with 1009."""
    max_malformed: int = field(default=100, validator=_above_zero)
    """How many malformed messages in a row close the connection."""
    outbox_messages: int = field(default=MAX_MESSAGES, validator=_above_zero)
    """How many messages may wait to be sent; past it the oldest audio goes first."""
    outbox_bytes: int = field(default=MAX_BYTES, validator=_above_zero)
    """How many bytes may wait to be sent."""
    outbox_audio_secs: float = field(default=MAX_AUDIO_S, validator=_above_zero)
    """How many seconds of audio may wait to be sent."""
    ssl_context: ssl.SSLContext | None = None
    """TLS: whom a client of ``wss://`` trusts; None trusts what the system trusts."""

    @property
    def wires(self) -> WireSettings:
        """What of it concerns the WebSocket engine."""
        return WireSettings(
            max_message_bytes=self.max_message_bytes,
            ping_interval_s=self.ping_interval,
            ping_timeout_s=self.ping_timeout,
        )


def _settings_or_default(given: ProxySettings | None) -> ProxySettings:
    return given if given is not None else ProxySettings()


def _message_types(given: Sequence[type[BusMessage]]) -> MessageTypes:
    return tuple(given)


def _lifecycle_types(given: Sequence[type[BusMessage]]) -> MessageTypes:
    if not isinstance(given, Sequence) or not all(
        isinstance(kind, type) and issubclass(kind, LIFECYCLE_MESSAGES) for kind in given
    ):
        names = ", ".join(kind.__name__ for kind in LIFECYCLE_MESSAGES)
        raise TypeError(f"accepts_lifecycle is a sequence of message types among {names}, not {given!r}")
    return tuple(given)


def is_worker_name(proxy: object, attribute: "Attribute[str]", value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{type(proxy).__name__}.{attribute.alias} must be the name of a worker, not {value!r}")


@documented
@moved("proxy")
@define(eq=False, repr=False, slots=False)
class Proxy(Worker):
    """What the two proxies share. Make a ``WebSocketProxyServer`` or a ``WebSocketProxyClient``."""

    _local: str = field(alias="worker_name", kw_only=True, validator=is_worker_name)
    """The worker on this side, for which the proxy speaks."""
    _remote: str = field(alias="remote_worker_name", kw_only=True, validator=is_worker_name)
    """The worker on the other side, which can be addressed here by that name."""
    _forward: MessageTypes = field(alias="forward_messages", default=(), kw_only=True, converter=_message_types)
    """Kinds of messages that go out without being addressed to the other worker. None of them by default."""
    _lifecycle: MessageTypes = field(alias="accepts_lifecycle", default=(), kw_only=True, converter=_lifecycle_types)
    """Which messages of ``LIFECYCLE_MESSAGES`` the peer may send. By default none: a peer could end the worker, or
    everything."""
    _custom: MessageSerializer | None = field(alias="serializer", default=None, kw_only=True)
    """What writes the messages, for types of your own; None is Pipecat's JSON, with audio in binary where the peer
    can."""
    _settings: ProxySettings = field(alias="settings", default=None, kw_only=True, converter=_settings_or_default)
    """Limits and timeouts; None is the usual ones."""
    _json: MessageSerializer = field(init=False)
    _binary: BinaryMessageSerializer = field(init=False)
    _serializer: MessageSerializer = field(init=False)
    _outbox: Outbox = field(init=False)
    _events: Broadcast[ProxyEvent] = field(factory=event_source, init=False)
    _counters: ProxyCounters = field(factory=ProxyCounters, init=False)
    _link: Link | None = field(default=None, init=False)
    _told: WorkerReadyData | None = field(default=None, init=False)
    _crossing: Crossing = field(init=False)
    """The jobs of rule 6."""

    def __attrs_post_init__(self) -> None:
        if self._local == self._remote:
            name = type(self).__name__
            raise ValueError(f"{name}: both workers are named {self._local!r}: give each a name of its own")
        json = self._custom if isinstance(self._custom, JSONMessageSerializer) else shared_serializer()
        self._crossing = Crossing(self._local, self._remote)
        self._serializer = self._json = self._custom if self._custom is not None else json
        self._binary = BinaryMessageSerializer(json)
        self._outbox = Outbox(
            max_messages=self._settings.outbox_messages,
            max_bytes=self._settings.outbox_bytes,
            max_audio_s=self._settings.outbox_audio_secs,
        )

    @property
    def is_connected(self) -> bool:
        """Whether it is joined to its peer now."""
        return self._link is not None

    def events(self, buffer: int = 1024) -> "Subscription[ProxyEvent]":
        """Subscribe to ``ProxyConnected``, ``ProxyDisconnected``, ``Reconnecting``; the channel ends with the proxy.

        ``buffer`` is how many wait unread at most: past it the oldest are dropped, and an ``EventsLost`` in their
        place says how many.
        """
        return self._events.subscribe(buffer)

    def statistics(self) -> ProxyStatistics:
        """Take a snapshot of what was counted so far."""
        return self._counters.snapshot(len(self._outbox), self._outbox.dropped)

    # The routing rules: two functions of a message and nothing else.

    def _goes_out(self, message: BusMessage) -> bool:
        """Whether a message of this side crosses to the other."""
        if isinstance(message, BusLocalMessage) or message.source != self._local:
            return False
        return message.target == self._remote or isinstance(message, self._forward)

    def _comes_in(self, message: BusMessage) -> bool:
        """Whether a message of the other side is let in here."""
        if isinstance(message, BusLocalMessage) or message.source == self._local:
            return False
        is_here = self._life is not None and self._life.registry.is_local(message.source)
        if is_here and not isinstance(message, BusWorkerRegistryMessage):
            return False  # news is a proxy's own message, and the proxies of both sides may well have one name
        if isinstance(message, LIFECYCLE_MESSAGES) and not (
            message.target == self._local and isinstance(message, self._lifecycle)
        ):
            return False
        if isinstance(message, _FROM_A_WORKER) and message.source != self._remote:
            return False
        return message.target == self._local or (message.target is None and isinstance(message, self._forward))

    def _believed(self, message: BusMessage) -> BusMessage:
        """What of ``message`` the peer is taken at its word for (rule 5)."""
        if not isinstance(message, BusWorkerRegistryMessage) or isinstance(message, self._forward):
            return message
        workers = tuple(entry for entry in message.workers if entry.name == self._remote)
        if workers and not self._vouch(message.runner):
            workers = ()
        return evolve(message, workers=workers, alive_for_s=None)

    # A worker's hooks.

    def _concerns(self, kind: type[BusMessage], target: str | None) -> bool:
        return target in (None, self.name, self._remote) or issubclass(kind, self._forward)

    def tap(self, message: BusMessage) -> bool:
        """Take what is for the peer; whether this was."""
        # From the sender's task straight into the outbox: nothing waits on the way, and the rules are asked once.
        if not self._goes_out(message):
            return False
        self._put(message)
        return True

    def accepts(self, message: BusMessage) -> bool:
        """Nothing by way of the queue: what is for the peer goes by ``tap``."""
        return False  # its own life reaches a worker all the same

    async def on_bus_message(self, message: BusMessage) -> None:
        if isinstance(message, BusGapMessage):
            self._counters.dropped += message.missed or 0

    async def on_worker_ready(self, data: WorkerReadyData) -> None:
        self._tell_ready(data)

    async def on_end(self, reason: str | None) -> None:
        if self._link is not None:
            await self._link.finish(reason or "the proxy ends")

    # One connection.

    @property
    def _subprotocols(self) -> tuple[str, ...]:
        is_json = self._custom is None or isinstance(self._custom, JSONMessageSerializer)
        return (BUS_SUBPROTOCOL,) if is_json else ()

    async def _serve(self, wire: Wire) -> ConnectionClosed:
        """Run one connection until it ends, and say how it did."""
        self._speak(wire.peer.subprotocol)
        link = self._link = Link(
            name=self.name,
            wire=wire,
            serializer=self._serializer,
            outbox=self._outbox,
            counters=self._counters,
            deliver=self._deliver,
            deliver_later=self._deliver_later,
            close_timeout=self._settings.close_timeout,
            malformed=MalformedRow(self._settings.max_malformed),
            writer=LinkWriter(
                wire=wire,
                outbox=self._outbox,
                counters=self._counters,
                send_timeout=self._settings.send_timeout,
            ),
        )
        self._outbox.limit_audio(self._settings.outbox_audio_secs)
        self._counters.connections += 1
        self._events.emit(ProxyConnected(wire.peer))
        self._told = None
        self.registry._crossing[self.name] = self._crossing
        ready = self.registry.find(self._local)
        if ready is not None:
            self._tell_ready(ready)
        try:
            await link.run()
        finally:
            self._link = None
            self._outbox.drop_requests()
            self.bus.send_now(BusWorkerLostMessage(source=self._remote, local=self._local, jobs=self._lost_jobs()))
            ending = link.ending or Ending()
            self._events.emit(ProxyDisconnected(wire.peer, ending.code, ending.reason, ending.initiator))
        return ending.error()

    def _lost_jobs(self) -> frozenset[str]:
        connected = self.registry._crossing
        del connected[self.name]
        return self._crossing.lost(connected.values())

    def _speak(self, subprotocol: str | None) -> None:
        binary = subprotocol == BUS_SUBPROTOCOL and bool(self._subprotocols)
        before, self._serializer = self._serializer, self._binary if binary else self._json
        if before is self._binary and not binary:
            # What waits was written for a peer that reads binary, and this one does not.
            self._outbox.translate(lambda data: self._json.encode(self._binary.decode(data)))

    def _deliver(self, message: BusMessage) -> bool:
        if self._comes_in(message):
            self._counters.received += 1
            self._crossing.note(message)
            return self._alive("a connection").bus.send_now(self._believed(message))
        self._counters.refused += 1
        if self._counters.refused == 1:
            logger.warning(
                "%s: refused a %s from %r to %r by the routing rules; more are only counted",
                self.name,
                type(message).__name__,
                message.source[:100],
                message.target and message.target[:100],
            )
        return True

    def _vouch(self, runner: str) -> bool:
        """Whatever ends with the connection is told to the registry here; False: it is not to be learned."""
        return True

    async def _deliver_later(self, message: BusMessage) -> None:
        await self.send(self._believed(message))

    def _put(self, message: BusMessage) -> None:
        try:
            data = self._serializer.encode(message)
        except LocalProtocolError as exc:
            if not self._counters.unsendable:
                logger.warning("%s: a message cannot be written; more are only counted: %s", self.name, exc)
            self._counters.unsendable += 1
            self._answer_for(message, str(exc))
            return
        self._crossing.note(message)
        if self._link is not None and self._link.writer.put_now(data):
            return
        audio_s = 0.0
        if isinstance(message, BusFrameMessage) and isinstance(message.frame, AudioFrame):
            audio_s = message.frame.duration_s
        is_request = isinstance(message, BusJobRequestMessage)
        self._outbox.put(Waiting(data, isinstance(message, BusSystemMessage), audio_s, is_request=is_request))

    def _answer_for(self, message: BusMessage, why: str) -> None:
        """Whoever waits for a job that cannot cross is told now, not at the timeout."""
        if isinstance(message, BusJobRequestMessage):
            answer = BusJobResponseMessage(
                source=self._remote,
                target=message.source,
                job_id=message.job_id,
                status="error",
                response={"error": why},
            )
            self.bus.send_now(answer)
        elif isinstance(message, BusJobResponseMessage | BusJobResponseUrgentMessage):
            self._put(evolve(message, status="error", response={"error": why}))

    def _tell_ready(self, data: WorkerReadyData) -> None:
        if self._link is None or data.worker_name != self._local or data == self._told:
            return
        self._told = data
        self._put(
            BusWorkerRegistryMessage(
                source=self.name[:MAX_NAME],  # it may be named after its peer's path, and nobody goes by it
                target=self._registry_target,
                runner=data.runner,
                workers=(WorkerRegistryEntry(name=self._local),),
            )
        )

    @property
    def _registry_target(self) -> str | None:
        return None
