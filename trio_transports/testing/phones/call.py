"""A call in memory: a bot at one end, a scripted phone at the other. With a virtual clock it takes no time."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import trio
from attrs import evolve

from ..._nursery import open_services
from ...errors import ConnectionClosed
from ...params import TransportParams
from ...serializers.detect import DetectingFrameSerializer
from ...serializers.json import JSONFrameSerializer
from ...session.broadcast import Broadcast
from ...session.events import Event
from ...session.run import open_session
from ...session.session import Session
from ...wire.memory import memory_wire_pair
from .hang_up import FakeHangUp
from .line import PhoneLine
from .lines import line_named
from .phone import ScriptedPhone

LEAVE_S: Final = 30.0

Bot: TypeAlias = Callable[[Session], Awaitable[None]]
"""The handler under test."""


@asynccontextmanager
async def phone_call(
    bot: Bot,
    line: str | PhoneLine = "twilio",
    *,
    params: TransportParams | None = None,
    hang_up: FakeHangUp | None = None,
    events: Broadcast[Event] | None = None,
    tells_marks: bool = True,
    buffer_s: float = 0.0,
    lag_s: float = 0.0,
    way_s: float = 0.0,
) -> AsyncIterator[ScriptedPhone]:
    """Call ``bot`` by a scripted phone of a provider's; leaving hangs up, and waits until the bot has returned.

    A bot that takes no notice of it has ``LEAVE_S``, then it is cancelled.

    ``params`` are those the bot is served with: audio both ways unless told otherwise, and the provider found out from
    its first message. ``hang_up`` stands in for the provider's interface. What the bot raises comes out.

    ``line`` is a provider's name, or a line of your own. ``events`` is where the session's events go, if you want to
    read them. ``tells_marks=False`` is a provider that tells of no mark, ``lag_s`` how many seconds late one tells,
    ``buffer_s`` how long it holds audio back before it plays, and ``way_s`` how long a message of the bot's is under
    way.
    """
    chosen = line_named(line) if isinstance(line, str) else line.fresh()
    if params is None:
        serializer = DetectingFrameSerializer() if chosen.fresh().opening() else JSONFrameSerializer()
        params = TransportParams(serializer=serializer, audio_in_enabled=True, audio_out_enabled=True)
    if hang_up is not None:
        params = evolve(params, hang_up=hang_up)
    near, far = memory_wire_pair(buffer_messages=256, max_message_bytes=params.max_message_bytes)
    hub: Broadcast[Event] = Broadcast() if events is None else events
    phone = ScriptedPhone(chosen, far, tells_marks, buffer_s=buffer_s, lag_s=lag_s, way_s=way_s)
    bot_is_done = trio.Event()

    async def serve() -> None:
        try:
            with hub.activity():
                async with open_session(near, params, events=hub) as session:
                    try:
                        await bot(session)
                    except ConnectionClosed:
                        await trio.lowlevel.checkpoint()  # the caller has hung up: a normal end, as for a server
        finally:
            bot_is_done.set()

    async with open_services() as services:
        services.start_soon(phone.run, name="scripted phone")
        services.start_soon(serve, name="bot")
        await phone.call()
        try:
            yield phone
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + LEAVE_S):
                await phone.hang_up()
                await bot_is_done.wait()
                await phone.has_ended.wait()
