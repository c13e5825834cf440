"""A server's door: everything between a listening socket and a connected wire, for every server of this library.

Rules
1. From accept to upgrade, TLS included, a caller has ``connect_timeout``. One that is to be refused has
   ``REFUSING_S`` to ask, and no more than ``MAX_REFUSING`` of them are heard at a time: further ones get no answer.
   Nothing is made for a caller before its first word: a thousand who say none cost a task each.
2. Who gets in is asked in this order: is the request right (400, 405, 426), is the server leaving (503), has its
   address taken too much (429), is its origin allowed (403), does ``authorize`` let it in (401, or its own status).
3. A server that is full lets the caller in only to tell it 1013, as the servers did that this library replaces.
4. What one connection does, or a hook of the user's raises in it, ends that connection; it is logged, once, and the
   server goes on (``boundary``).
5. ``health_path`` is answered to anybody who asks for that page: 200, or 503 from the moment the server leaves.
6. Everything that is refused is counted by its cause, and so is a call that was let in and ends since its caller sends
   too much (``rates``).
"""

import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from math import inf
from typing import Final, TypeAlias, final

import trio
from attrs import define, field, frozen

from ...errors import ConnectionClosed, HandshakeRejected
from ..engines import Engine
from ..peer import Peer
from ..protocol import Wire
from ..refusal import Page, Refusal
from ..settings import WireSettings
from ..stream import TCPStream, first_word, is_secured, peer_address, raw_socket
from ..wakes import SharedWakes, shared_wakes
from .admission import Authorize, admit
from .boundary import closing_what_fails, failures_end_here
from .callers import TOO_FAST, CallerCounts, Callers
from .leaving import LEAVING, Leaving, serve_connections
from .limits import Addresses, AddressLimits
from .listening import listener_address, open_listeners, with_tls
from .rates import rated

logger = logging.getLogger("trio_transports.server")

REFUSING_S: Final = 1.0
MAX_REFUSING: Final = 100

ServeWire: TypeAlias = Callable[[Wire], Awaitable[object]]


@final
@frozen(kw_only=True)
class DoorRules:
    """What a server asks of its callers. None is no limit."""

    connect_timeout_s: float
    close_timeout_s: float
    wires: WireSettings
    allowed_origins: Collection[str] | None = None
    authorize: Authorize | None = None
    subprotocols: Sequence[str] = ()
    limits: AddressLimits = field(factory=AddressLimits)
    max_messages_per_second: float | None = None
    max_bytes_per_second: float | None = None
    health_path: str | None = "/health"
    shares_wakes: bool = False
    """See ``wire.wakes``."""


@final
@define(eq=False)
class Door:
    """One server's. ``is_full`` is asked after each upgrade."""

    _rules: DoorRules
    _engine: Engine
    _is_full: Callable[[], bool] = lambda: False
    _counts: CallerCounts = field(factory=CallerCounts)
    _addresses: Addresses = field(init=False)
    _refusing: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._addresses = Addresses(self._rules.limits)

    def callers(self) -> Callers:
        """Take a snapshot of what was counted so far."""
        return self._counts.callers()

    async def serve(
        self,
        serve_wire: ServeWire,
        leaving: Leaving,
        *,
        host: str | None,
        port: int,
        ssl_context: ssl.SSLContext | None,
        on_listening: Callable[[tuple[tuple[str, int], ...]], object],
    ) -> None:
        """Listen, and have ``serve_wire`` called with the wire of each caller that gets in, until told to leave."""
        listeners = await open_listeners(host, port)
        addresses = tuple(listener_address(listener) for listener in listeners)
        async with shared_wakes(self._rules.shares_wakes) as wakes:
            await serve_connections(
                with_tls(listeners, ssl_context),
                partial(self._serve_connection, serve_wire, leaving, wakes),
                leaving,
                close_timeout_s=self._rules.close_timeout_s,
                on_listening=lambda: on_listening(addresses),
            )

    async def _serve_connection(
        self, serve_wire: ServeWire, leaving: Leaving, wakes: SharedWakes | None, stream: TCPStream
    ) -> None:
        self._counts.connections += 1
        try:
            with failures_end_here(_tell_end):  # rule 4
                await self._serve_caller(serve_wire, leaving, wakes, stream)
        finally:
            self._counts.connections -= 1
            raw_socket(stream).close()

    async def _serve_caller(
        self, serve_wire: ServeWire, leaving: Leaving, wakes: SharedWakes | None, stream: TCPStream
    ) -> None:
        with self._addresses.connection(peer_address(stream)[0]) as refusal:
            async with self._upgraded(stream, _Visit(leaving, refusal), wakes) as wire:
                if self._is_full():
                    self._counts.refuse("full")
                    await self._turn_away(wire)
                else:
                    self._counts.let_in += 1
                    async with closing_what_fails(wire, self._rules.close_timeout_s):
                        await serve_wire(self._rated(wire))

    @asynccontextmanager
    async def _upgraded(self, stream: TCPStream, visit: "_Visit", wakes: SharedWakes | None) -> AsyncIterator[Wire]:
        """Rules 1 and 6. Neither the time limit nor the counting reaches into the body."""
        rules, is_refused, is_open = self._rules, visit.refusal is not None, False
        if is_refused and self._refusing >= MAX_REFUSING:
            self._counts.refuse("unheard")
            await trio.aclose_forcefully(stream)
            raise ConnectionClosed(1006, "too many callers are being refused to answer each", initiator="local")
        limit_s = min(REFUSING_S, rules.connect_timeout_s) if is_refused else rules.connect_timeout_s
        self._refusing += is_refused
        try:
            with trio.CancelScope(deadline=trio.current_time() + limit_s) as limit:
                await first_word(stream)
                async with self._engine.accept(
                    stream,
                    admit=partial(self._admit, visit),
                    subprotocols=rules.subprotocols,
                    plain=partial(self._health, visit),
                    settings=rules.wires,
                    wakes=wakes,
                ) as wire:
                    limit.deadline = inf
                    if limit.cancel_called:  # as the last of the handshake was read: to be heard of here, not by a call
                        await trio.lowlevel.checkpoint()
                    is_open = True
                    yield wire
        except (HandshakeRejected, ConnectionClosed) as exc:
            if not is_open:
                self._counts.refuse(visit.cause or _cause(exc, stream))
            raise
        finally:
            self._refusing -= is_refused
        if limit.cancelled_caught:
            self._counts.refuse("limit" if is_refused else "time")
            raise ConnectionClosed(1006, f"the handshake took longer than {limit_s:g} s", initiator="local")

    async def _admit(self, visit: "_Visit", peer: Peer) -> Refusal | None:
        if visit.leaving.has_begun:
            return visit.refused("leaving", LEAVING)
        if visit.refusal is not None:
            return visit.refused("limit", visit.refusal)
        rules = self._rules
        refusal = await admit(peer, allowed_origins=rules.allowed_origins, authorize=rules.authorize)
        return None if refusal is None else visit.refused("origin or authorize", refusal)

    def _health(self, visit: "_Visit", peer: Peer) -> Page | None:
        if peer.path != self._rules.health_path:
            return None
        visit.cause = "health check"
        is_leaving = visit.leaving.has_begun
        return Page(
            status=503 if is_leaving else 200,
            body=json.dumps({"status": "leaving" if is_leaving else "ok", "calls": visit.leaving.guests}) + "\n",
            headers=(("Content-Type", "application/json"), ("Cache-Control", "no-store")),
        )

    def _rated(self, wire: Wire) -> Wire:
        rules = self._rules
        return rated(
            wire,
            max_messages_per_second=rules.max_messages_per_second,
            max_bytes_per_second=rules.max_bytes_per_second,
            on_too_fast=partial(self._counts.refuse, TOO_FAST),
        )

    async def _turn_away(self, wire: Wire) -> None:
        with trio.move_on_after(self._rules.close_timeout_s):
            await wire.aclose(1013, "the server is full: try again later")


@final
@define(eq=False)
class _Visit:
    """One caller on its way in; ``refusal`` is what was known of it before it said a word."""

    leaving: Leaving
    refusal: Refusal | None
    cause: str | None = None
    """Why it was not let in."""

    def refused(self, cause: str, refusal: Refusal) -> Refusal:
        """Note why, and give the refusal back."""
        self.cause = cause
        return refusal


def _cause(error: HandshakeRejected | ConnectionClosed, stream: TCPStream) -> str:
    if isinstance(error, HandshakeRejected):
        return "request"
    return "cut off" if is_secured(stream) else "tls"


def _tell_end(how: BaseException) -> None:
    match how:
        case ConnectionClosed():
            logger.debug("a connection ended: %s", how)
        case HandshakeRejected(status=status):
            logger.log(logging.INFO if status >= 300 else logging.DEBUG, "a caller was answered: %s", how)
        case _:
            logger.error("a connection failed; the server goes on", exc_info=how)
